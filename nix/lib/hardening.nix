# Takes from NVIDIA's services and ours what they do not need: settings of systemd for all of them.
#
# ProtectClock, PrivateDevices and DeviceAllow are left out on purpose: each of them closes /dev/nvidia* and /dev/vfio, and
# all of these services open those. MemoryDenyWriteExecute is left out too: NVIDIA's libraries make code while they run.
{
  LockPersonality = true;
  NoNewPrivileges = true;
  ProtectControlGroups = true;
  ProtectHome = true;
  ProtectHostname = true;
  RestrictRealtime = true;
  RestrictSUIDSGID = true;
  SystemCallArchitectures = "native";
  # In place of ProtectClock.
  SystemCallFilter = [ "~@clock" ];
  SystemCallErrorNumber = "EPERM";
}
