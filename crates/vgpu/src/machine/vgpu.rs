//! The vGPUs of a machine, the types that the kernel offers, and the interface by which it makes vGPUs.
//!
//! There are three interfaces. The interface of a function is read from sysfs, and never derived from versions or names.
//! NVIDIA's module decides when it is compiled for a kernel (nvidia-vgpu-vfio, nv-vgpu-vfio-interface.h), and GPUs without
//! SR-IOV have an interface of their own.

use std::fmt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::files;
use super::overview::{self, Gpu};
use super::pci::{self, Address, Device};

/// How the kernel makes vGPUs on a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// Mediated devices of the GPU itself: `mdev_supported_types` of the physical function.
    Mdev,
    /// Mediated devices of virtual functions, one for each: `mdev_supported_types` of a virtual function.
    SriovMdev,
    /// NVIDIA's own files on virtual functions: `nvidia/current_vgpu_type`.
    Vfio,
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Interface::Mdev => "mdev",
            Interface::SriovMdev => "sriov-mdev",
            Interface::Vfio => "vfio",
        })
    }
}

/// The sizes of vGPU that a GPU takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// All vGPUs of the GPU have one size. This is what NVIDIA's driver starts with.
    Equal,
    /// vGPUs may have several sizes ("heterogeneous" in NVML). Only memory is the limit.
    Mixed,
}

/// A type of vGPU that a function offers now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// 558 in nvidia-558.
    pub id: u32,
    /// NVIDIA A40-8Q
    pub name: String,
    /// How many more can be made on this function.
    pub available: u32,
}

/// A function that vGPUs can be made on: a GPU itself, or a virtual function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub device: Device,
    pub interface: Interface,
    /// The types that it offers, by number. A virtual function with a vGPU offers no more.
    pub types: Vec<Type>,
}

/// An existing vGPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vgpu {
    /// The function it was made on.
    pub function: Address,
    pub interface: Interface,
    /// Only mediated devices have one.
    pub uuid: Option<Uuid>,
    /// Number of its type: 558 in nvidia-558.
    pub type_id: Option<u32>,
    /// Name of its type. With NVIDIA's own files it is not known.
    pub type_name: Option<String>,
    /// Its directory in sysfs, below the root directory. QEMU gets it as `sysfsdev`.
    pub directory: PathBuf,
    /// N of /dev/vfio/N.
    pub iommu_group: Option<u32>,
    /// vfioN of /dev/vfio/devices/vfioN, on kernels that have it.
    pub vfio_device: Option<String>,
    /// What is in `vgpu_params`, where the driver has that file.
    pub parameters: Option<String>,
    /// The virtual machine that has it open, from the driver's manager. Only mediated devices have this.
    pub vm_name: Option<String>,
}

/// A physical GPU with its functions and vGPUs.
#[derive(Debug)]
pub struct HostGpu {
    pub gpu: Gpu,
    /// Its virtual functions that are switched on.
    pub virtual_functions: Vec<Device>,
    /// Its functions that vGPUs can be made on, by address.
    pub functions: Vec<Function>,
    pub vgpus: Vec<Vgpu>,
}

/// The parameter for the place of a vGPU in the GPU's memory (NVIDIA's user guide).
pub const PLACEMENT: &str = "vgpu-placement-id";

impl Vgpu {
    /// The placement in its parameters.
    pub fn placement(&self) -> Option<u32> {
        let mut parameters = self.parameters.as_deref()?.split(',');
        parameters.find_map(|text| text.trim().strip_prefix(PLACEMENT)?.strip_prefix('=')?.parse().ok())
    }
}

impl HostGpu {
    pub fn address(&self) -> Address {
        self.gpu.function.address
    }

    /// Whether the kernel knows types for it. Before nvidia-vgpud has told the kernel the types, it does not.
    pub fn knows_types(&self) -> bool {
        !self.vgpus.is_empty() || self.functions.iter().any(|function| !function.types.is_empty())
    }

    /// The interface of the GPU. `None` while it is not known, as on GPUs with SR-IOV before their functions are switched on.
    pub fn interface(&self) -> Option<Interface> {
        self.functions.first().map(|function| function.interface)
    }
}

/// All NVIDIA GPUs of a machine, by address, with their functions and vGPUs.
pub fn host_gpus(root: &Path) -> Vec<HostGpu> {
    let mdevs = mdevs(root);
    let host_gpu = |gpu: Gpu| {
        let addresses = gpu.function.virtual_functions.iter();
        let virtual_functions: Vec<Device> =
            addresses.filter_map(|address| pci::device(&directory(root, *address))).collect();
        let all = std::iter::once(&gpu.function).chain(&virtual_functions);
        let mut functions: Vec<Function> = all.cloned().filter_map(function).collect();
        functions.sort_by_key(|function| function.device.address);
        let vgpus = functions.iter().flat_map(|function| vgpus(function, &mdevs)).collect();
        HostGpu { gpu, virtual_functions, functions, vgpus }
    };
    overview::gpus(root).into_iter().map(host_gpu).collect()
}

/// The directory of a function in sysfs.
pub fn directory(root: &Path, address: Address) -> PathBuf {
    root.join(format!("sys/bus/pci/devices/{address}"))
}

fn function(device: Device) -> Option<Function> {
    let directory = &device.directory;
    let (interface, types) = if directory.join("mdev_supported_types").is_dir() {
        let interface = if device.physical_function.is_some() { Interface::SriovMdev } else { Interface::Mdev };
        (interface, mdev_types(&directory.join("mdev_supported_types")))
    } else if directory.join("nvidia/current_vgpu_type").is_file() {
        let table = files::read(&directory.join("nvidia/creatable_vgpu_types")).unwrap_or_default();
        (Interface::Vfio, creatable_types(&table))
    } else {
        return None;
    };
    Some(Function { interface, types, device })
}

/// The types below a `mdev_supported_types` (kernel: Documentation/ABI/testing/sysfs-bus-vfio-mdev).
fn mdev_types(directory: &Path) -> Vec<Type> {
    let read = |directory: PathBuf| {
        Some(Type {
            id: type_id(&files::name(&directory)?)?,
            name: files::read(&directory.join("name")).unwrap_or_default(),
            available: files::number(&directory.join("available_instances")).unwrap_or(0),
        })
    };
    let mut types: Vec<Type> = files::entries(directory).filter_map(read).collect();
    types.sort_by_key(|kind| kind.id);
    types
}

/// The types in a `creatable_vgpu_types`. Below a heading `ID    : vGPU Name` it has lines like `558   : NVIDIA A40-8Q`.
/// NVIDIA's user guide shows lines like `NVIDIA A40-8Q 558`.
fn creatable_types(table: &str) -> Vec<Type> {
    let parse = |line: &str| {
        let (id, name) = match line.split_once(':') {
            Some((id, name)) => (id.trim(), name.trim()),
            None => line.trim().rsplit_once(char::is_whitespace).map(|(name, id)| (id, name.trim()))?,
        };
        Some(Type { id: id.parse().ok()?, name: name.to_owned(), available: 1 })
    };
    let mut types: Vec<Type> = table.lines().filter_map(parse).collect();
    types.sort_by_key(|kind| kind.id);
    types
}

/// 558 of `nvidia-558`.
fn type_id(name: &str) -> Option<u32> {
    name.rsplit_once('-')?.1.parse().ok()
}

/// A mediated device and the function it was made on.
struct Mdev {
    uuid: Uuid,
    parent: Address,
    directory: PathBuf,
}

/// All mediated devices on PCI functions, by UUID: `/sys/bus/mdev/devices/<uuid>` leads to `…/<function>/<uuid>`.
fn mdevs(root: &Path) -> Vec<Mdev> {
    let read = |directory: PathBuf| {
        let target = std::fs::read_link(&directory).ok()?;
        let parent = files::name(target.parent()?)?.parse().ok()?;
        Some(Mdev { uuid: files::name(&directory)?.parse().ok()?, parent, directory })
    };
    let mut mdevs: Vec<Mdev> = files::entries(&root.join("sys/bus/mdev/devices")).filter_map(read).collect();
    mdevs.sort_by_key(|mdev| mdev.uuid);
    mdevs
}

/// The vGPUs on a function.
fn vgpus(function: &Function, mdevs: &[Mdev]) -> Vec<Vgpu> {
    let address = function.device.address;
    if function.interface != Interface::Vfio {
        let on_function = mdevs.iter().filter(|mdev| mdev.parent == address);
        return on_function.map(|mdev| of_mdev(function, mdev)).collect();
    }
    let directory = &function.device.directory;
    let type_id = files::number(&directory.join("nvidia/current_vgpu_type")).filter(|id| *id != 0);
    let vgpu = type_id.map(|id| Vgpu {
        function: address,
        interface: function.interface,
        uuid: None,
        type_id: Some(id),
        type_name: None,
        directory: directory.clone(),
        iommu_group: function.device.iommu_group,
        vfio_device: vfio_device(directory),
        parameters: files::read(&directory.join("nvidia/vgpu_params")),
        vm_name: None,
    });
    vgpu.into_iter().collect()
}

fn of_mdev(function: &Function, mdev: &Mdev) -> Vgpu {
    let kind = mdev.directory.join("mdev_type");
    Vgpu {
        function: function.device.address,
        interface: function.interface,
        uuid: Some(mdev.uuid),
        type_id: files::link_name(&kind).and_then(|name| type_id(&name)),
        type_name: files::read(&kind.join("name")),
        directory: mdev.directory.clone(),
        iommu_group: files::link_name(&mdev.directory.join("iommu_group")).and_then(|name| name.parse().ok()),
        vfio_device: vfio_device(&mdev.directory),
        parameters: files::read(&mdev.directory.join("nvidia/vgpu_params")),
        vm_name: files::read(&mdev.directory.join("nvidia/vm_name")).filter(|name| !name.is_empty()),
    }
}

fn vfio_device(directory: &Path) -> Option<String> {
    files::entries(&directory.join("vfio-dev")).find_map(|path| files::name(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_of_creatable_types_are_read() {
        let real = "ID    : vGPU Name\n1145  : NVIDIA L40S-1B\n558   : NVIDIA A40-8Q\n";
        let guide = "NVIDIA A40-8Q 558\nNVIDIA L40S-1B 1145\n";
        for table in [real, guide] {
            let types = creatable_types(table);
            let read: Vec<_> = types.iter().map(|kind| (kind.id, kind.name.as_str())).collect();
            assert_eq!(read, [(558, "NVIDIA A40-8Q"), (1145, "NVIDIA L40S-1B")]);
        }
        assert_eq!(creatable_types("ID    : vGPU Name\n"), []);
    }
}
