# What NVIDIA's services and ours can do without: settings of systemd for all of them.
#
# ProtectClock, PrivateDevices and DeviceAllow are left out on purpose: each of them closes /dev/nvidia* and /dev/vfio, which
# all of these services open. So is MemoryDenyWriteExecute: NVIDIA's libraries make code while they run.
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
