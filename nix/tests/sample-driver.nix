# The driver of the sample archive, which is in no catalog: its files have hashes of their own.
{
  nvidiaPackages,
  # SRI hashes of the archive, and of the guest's .run file.
  zip,
  guest,
  # Arguments of mkVgpuDriver, beside these or in their place.
  changes ? { },
}:

nvidiaPackages.mkVgpuDriver (
  {
    version = "550.163.02";
    sha256 = zip;
    guestVersion = "550.163.01";
    guestSha256 = guest;
    generalVersion = "550.144.03";
    gridVersion = "17.6";
    zipFilename = "NVIDIA-GRID-Linux-KVM-550.163.02-550.163.01-553.74.zip";
    useSettings = false;
    usePersistenced = false;
    vgpuPatcher = null;
  }
  // changes
)
