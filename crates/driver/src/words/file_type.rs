//! The types of a manifest's files, in one table: which fields an entry of the type has, and where the file goes.
//!
//! nvidia-installer has such a table, too. New types appear every year.

use super::output::Output::{self, Bin, Out};
use super::output::Treatment::{self, Copy, LibraryJson, OpenclIcd, Program, Script};

/// A field between type and module of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `NATIVE` or `COMPAT32`.
    Arch,
    /// A folder below the one that NVIDIA's installer has for the type.
    Path,
    /// What a symlink points at.
    Target,
}

/// What becomes of a file, or of a symlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It goes nowhere, for this reason.
    Nowhere(&'static str),
    /// A folder of one output.
    At(Output, &'static str, Treatment),
    /// A folder of `out`, and the same of `lib32`.
    Both(&'static str, Treatment),
    /// A library, below lib/ of `out` or `lib32`.
    Library(&'static str),
    /// A library of Windows, for Wine.
    Wine,
    /// An ICD or layer below this folder of `out`, and of `lib32`.
    Vulkan(&'static str),
    /// The version is removed from its name.
    Profile,
    /// A folder with the version in its name.
    Firmware,
    /// It keeps its path.
    KernelSource,
    /// A symlink in this folder of one output.
    Link(Output, &'static str),
    /// A symlink to a module of the X server, in the entry's path below lib/xorg/modules.
    ModuleLink,
    /// A symlink below lib/ of `out` or `lib32`, in the entry's path.
    LibraryLink,
    /// A symlink in lib/gbm of `out` or `lib32`. NVIDIA counts its target from lib.
    BackendLink,
}

use Field::{Arch, Path, Target};
use Rule::*;

const OWN_GLVND: Rule = Nowhere("nixpkgs has its own libglvnd");
const OWN_OCL: Rule = Nowhere("nixpkgs has its own ocl-icd");
const OWN_SETTINGS: Rule = Nowhere("built from source: nvidia-settings");
const OWN_MODPROBE: Rule = Nowhere("udev loads the modules and makes the device files");
const OWN_LINK: Rule = Nowhere("links to what nixpkgs has itself");
const NO_INSTALLER: Rule = Nowhere("NixOS needs no installer");
const FROM_SOURCE: Rule = Nowhere("kernel modules are built from source");

/// Where libEGL looks for platforms (Wayland, GBM, X11).
pub const EGL_PLATFORMS: &str = "share/egl/egl_external_platform.d";

/// Makes the enum and its functions from the table.
macro_rules! file_types {
    ($($variant:ident $name:literal $fields:expr, $rule:expr;)*) => {
        /// A type of file in a manifest.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum FileType { $($variant),* }

        impl FileType {
            /// All types.
            #[cfg(test)]
            pub(crate) const ALL: &[FileType] = &[$(FileType::$variant),*];

            /// The type with this name.
            pub fn named(name: &str) -> Option<FileType> {
                match name {
                    $($name => Some(FileType::$variant),)*
                    _ => None,
                }
            }

            /// NVIDIA's name for it.
            pub fn name(self) -> &'static str {
                match self { $(FileType::$variant => $name),* }
            }

            /// Its fields, in their order.
            pub fn fields(self) -> &'static [Field] {
                match self { $(FileType::$variant => &$fields),* }
            }

            /// What becomes of its files.
            pub fn rule(self) -> Rule {
                match self { $(FileType::$variant => $rule),* }
            }
        }
    };
}

file_types! {
    OpenglLib               "OPENGL_LIB"                [Arch], Library("");
    UtilityLib              "UTILITY_LIB"               [Arch], Library("");
    NvcuvidLib              "NVCUVID_LIB"               [Arch], Library("");
    EncodeapiLib            "ENCODEAPI_LIB"             [Arch], Library("");
    NvifrLib                "NVIFR_LIB"                 [Arch], Library("");
    GbmBackendLib           "GBM_BACKEND_LIB"           [Arch], Library("gbm");
    GlvndLib                "GLVND_LIB"                 [Arch], OWN_GLVND;
    GlxClientLib            "GLX_CLIENT_LIB"            [Arch], OWN_GLVND;
    EglClientLib            "EGL_CLIENT_LIB"            [Arch], OWN_GLVND;
    LibglLa                 "LIBGL_LA"                  [Arch], OWN_GLVND;
    WineLib                 "WINE_LIB"                  [Arch], Wine;
    // They test the system's libglvnd. Both word sizes have the same name.
    InternalUtilityBinary   "INTERNAL_UTILITY_BINARY"   [Arch], NO_INSTALLER;
    InternalUtilityLib      "INTERNAL_UTILITY_LIB"      [Arch], NO_INSTALLER;
    InternalUtilityData     "INTERNAL_UTILITY_DATA"     [], NO_INSTALLER;

    CudaLib                 "CUDA_LIB"                  [Arch, Path], Library("");
    OpenclLib               "OPENCL_LIB"                [Arch, Path], Library("");
    TlsLib                  "TLS_LIB"                   [Arch, Path], Library("");
    VdpauLib                "VDPAU_LIB"                 [Arch, Path], Library("vdpau");
    OpenclWrapperLib        "OPENCL_WRAPPER_LIB"        [Arch, Path], OWN_OCL;
    VgxLib                  "VGX_LIB"                   [], Library("");
    GridLib                 "GRID_LIB"                  [Path], Library("");
    FlexeraLib              "FLEXERA_LIB"               [Path], Library("");
    XmoduleSharedLib        "XMODULE_SHARED_LIB"        [Path], At(Bin, "lib/xorg/modules/drivers", Treatment::Library);
    GlxModuleSharedLib      "GLX_MODULE_SHARED_LIB"     [Path], At(Bin, "lib/xorg/modules/extensions", Treatment::Library);

    OpenglSymlink           "OPENGL_SYMLINK"            [Arch, Target], LibraryLink;
    UtilityLibSymlink       "UTILITY_LIB_SYMLINK"       [Arch, Target], LibraryLink;
    NvcuvidLibSymlink       "NVCUVID_LIB_SYMLINK"       [Arch, Target], LibraryLink;
    EncodeapiLibSymlink     "ENCODEAPI_LIB_SYMLINK"     [Arch, Target], LibraryLink;
    NvifrLibSymlink         "NVIFR_LIB_SYMLINK"         [Arch, Target], LibraryLink;
    CudaSymlink             "CUDA_SYMLINK"              [Arch, Path, Target], LibraryLink;
    OpenclLibSymlink        "OPENCL_LIB_SYMLINK"        [Arch, Path, Target], LibraryLink;
    VdpauSymlink            "VDPAU_SYMLINK"             [Arch, Path, Target], LibraryLink;
    GbmBackendLibSymlink    "GBM_BACKEND_LIB_SYMLINK"   [Arch, Target], BackendLink;
    GlvndSymlink            "GLVND_SYMLINK"             [Arch, Target], OWN_LINK;
    GlxClientSymlink        "GLX_CLIENT_SYMLINK"        [Arch, Target], OWN_LINK;
    EglClientSymlink        "EGL_CLIENT_SYMLINK"        [Arch, Target], OWN_LINK;
    OpenclWrapperSymlink    "OPENCL_WRAPPER_SYMLINK"    [Arch, Path, Target], OWN_LINK;
    VgxLibSymlink           "VGX_LIB_SYMLINK"           [Target], LibraryLink;
    // Their path is for other systems.
    GridLibSymlink          "GRID_LIB_SYMLINK"          [Path, Target], Link(Out, "lib");
    FlexeraLibSymlink       "FLEXERA_LIB_SYMLINK"       [Path, Target], Link(Out, "lib");
    GlxModuleSymlink        "GLX_MODULE_SYMLINK"        [Path, Target], ModuleLink;
    UtilityBinSymlink       "UTILITY_BIN_SYMLINK"       [Target], Link(Bin, "bin");
    // NVIDIA leaves its target out: it is the unit of the same name.
    SystemdUnitSymlink      "SYSTEMD_UNIT_SYMLINK"      [Path], OWN_LINK;

    UtilityBinary           "UTILITY_BINARY"            [], At(Bin, "bin", Program);
    OpenglData              "OPENGL_DATA"               [Path], At(Out, "lib", Copy);
    CudaIcd                 "CUDA_ICD"                  [], Both("etc/OpenCL/vendors", OpenclIcd);
    VulkanIcdJson           "VULKAN_ICD_JSON"           [Path], Vulkan("share/vulkan");
    VulkanscIcdJson         "VULKANSC_ICD_JSON"         [Path], Vulkan("share/vulkansc");
    GlvndEglIcdJson         "GLVND_EGL_ICD_JSON"        [], Both("share/glvnd/egl_vendor.d", LibraryJson);
    EglExternalPlatformJson "EGL_EXTERNAL_PLATFORM_JSON" [], Both(EGL_PLATFORMS, LibraryJson);
    ApplicationProfile      "APPLICATION_PROFILE"       [Path], Profile;
    Manpage                 "MANPAGE"                   [Path], At(Bin, "share/man/man1", Copy);
    Firmware                "FIRMWARE"                  [], Rule::Firmware;
    KernelModuleSrc         "KERNEL_MODULE_SRC"         [], KernelSource;
    DkmsConf                "DKMS_CONF"                 [], KernelSource;
    SystemdSleepScript      "SYSTEMD_SLEEP_SCRIPT"      [], At(Out, "lib/systemd/system-sleep", Script);

    SystemdUnit             "SYSTEMD_UNIT"              [], Nowhere("the NixOS module has its own services");
    InstallerBinary         "INSTALLER_BINARY"          [], NO_INSTALLER;
    XorgOutputclassConfig   "XORG_OUTPUTCLASS_CONFIG"   [], Nowhere("the NixOS module configures the X server");
    Documentation           "DOCUMENTATION"             [Path], Nowhere("documentation");
    KernelModule            "KERNEL_MODULE"             [], FROM_SOURCE;
    ModuleSigningKey        "MODULE_SIGNING_KEY"        [], FROM_SOURCE;
    // Files with this type have all kinds of places. We know those that we want by their names.
    ExplicitPath            "EXPLICIT_PATH"             [Path], Nowhere("not needed on NixOS");
    DotDesktop              "DOT_DESKTOP"               [Path], OWN_SETTINGS;
    Icon                    "ICON"                      [Path], OWN_SETTINGS;
    NvidiaModprobe          "NVIDIA_MODPROBE"           [Path], OWN_MODPROBE;
    NvidiaModprobeManpage   "NVIDIA_MODPROBE_MANPAGE"   [Path], OWN_MODPROBE;
    SandboxutilsFilelist    "SANDBOXUTILS_FILELIST_JSON" [Path], Nowhere("for containers of other systems");
}

/// Whether files of the type with this name are symlinks to make. This works for new types, too.
pub fn is_symlink(name: &str) -> bool {
    name.ends_with("_SYMLINK")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symlinks_are_what_their_name_says() {
        for file_type in FileType::ALL {
            let name = file_type.name();
            assert_eq!(FileType::named(name), Some(*file_type));
            let links = matches!(file_type.rule(), Link(..) | ModuleLink | LibraryLink | BackendLink);
            assert!(!links || is_symlink(name) && file_type.fields().contains(&Target), "{name}");
            assert!(!is_symlink(name) || links || file_type.rule() == OWN_LINK, "{name}");
        }
        assert_eq!(FileType::named("QUANTUM_LIB"), None);
    }
}
