//! Devices on the PCI bus, as /sys/bus/pci/devices shows them (kernel: Documentation/ABI/testing/sysfs-bus-pci).

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::files;

/// NVIDIA, as a vendor.
pub const NVIDIA: u16 = 0x10de;

/// Where a function is on the bus: domain, bus, device and function, written `0000:41:00.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub domain: u32,
    pub bus: u8,
    pub slot: u8,
    pub function: u8,
}

/// A text that is no PCI address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a PCI address like 0000:41:00.0")]
pub struct NotAnAddress(pub String);

impl FromStr for Address {
    type Err = NotAnAddress;

    /// Reads it as the kernel and `lspci -D` write it, in upper or lower case. Without a domain, that is 0.
    fn from_str(text: &str) -> Result<Address, NotAnAddress> {
        let digits = |part: &str, most: usize| {
            let hexadecimal = (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            hexadecimal.then(|| u32::from_str_radix(part, 16).ok()).flatten()
        };
        let parse = || {
            let (rest, function) = text.rsplit_once('.')?;
            let (rest, slot) = rest.rsplit_once(':')?;
            let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
            let address = Address {
                domain: digits(domain, 8)?,
                bus: digits(bus, 2)? as u8,
                slot: digits(slot, 2)? as u8,
                function: digits(function, 1)? as u8,
            };
            (address.slot < 32 && address.function < 8).then_some(address)
        };
        parse().ok_or_else(|| NotAnAddress(text.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.slot, self.function)
    }
}

impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A function of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub address: Address,
    /// Its directory in sysfs, below the root directory.
    pub directory: PathBuf,
    pub vendor: u16,
    pub device: u16,
    pub subsystem_vendor: u16,
    pub subsystem_device: u16,
    /// Class, subclass and programming interface: 0x030200 is a 3D controller.
    pub class: u32,
    /// The kernel driver that has it: nvidia, nouveau, vfio-pci.
    pub driver: Option<String>,
    /// The function that this one is a virtual function of.
    pub physical_function: Option<Address>,
    /// Its virtual functions, in the order of virtfn0, virtfn1, ….
    pub virtual_functions: Vec<Address>,
    /// Its SR-IOV. `None` if it has none.
    pub sriov: Option<Sriov>,
    /// Its NUMA node. `None` on machines with one node.
    pub numa_node: Option<u32>,
    /// N of /dev/vfio/N.
    pub iommu_group: Option<u32>,
}

/// Virtual functions of a physical one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Sriov {
    /// How many there can be.
    pub total: u32,
    /// How many are switched on.
    pub enabled: u32,
}

impl Device {
    /// Whether it is an NVIDIA GPU, or a virtual function of one: a VGA (0x0300) or 3D (0x0302) controller.
    pub fn is_nvidia_gpu(&self) -> bool {
        self.vendor == NVIDIA && matches!(self.class >> 8, 0x0300 | 0x0302)
    }
}

/// All devices, by address.
pub fn devices(root: &Path) -> Vec<Device> {
    let mut devices: Vec<Device> =
        files::entries(&root.join("sys/bus/pci/devices")).filter_map(|directory| device(&directory)).collect();
    devices.sort_by_key(|device| device.address);
    devices
}

/// The device with this directory in sysfs.
pub fn device(directory: &Path) -> Option<Device> {
    let id = |file: &str| u16::try_from(files::hexadecimal(&directory.join(file))?).ok();
    let virtual_functions =
        (0..).map_while(|at| files::link_name(&directory.join(format!("virtfn{at}")))?.parse().ok());
    let total = files::number(&directory.join("sriov_totalvfs")).filter(|total| *total > 0);
    Some(Device {
        address: files::name(directory)?.parse().ok()?,
        directory: directory.to_owned(),
        vendor: id("vendor")?,
        device: id("device")?,
        subsystem_vendor: id("subsystem_vendor").unwrap_or(0),
        subsystem_device: id("subsystem_device").unwrap_or(0),
        class: files::hexadecimal(&directory.join("class"))?,
        driver: files::link_name(&directory.join("driver")),
        physical_function: files::link_name(&directory.join("physfn")).and_then(|name| name.parse().ok()),
        virtual_functions: virtual_functions.collect(),
        sriov: total.map(|total| Sriov { total, enabled: files::number(&directory.join("sriov_numvfs")).unwrap_or(0) }),
        // -1 means that there is none.
        numa_node: files::number(&directory.join("numa_node")),
        iommu_group: files::link_name(&directory.join("iommu_group")).and_then(|name| name.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_as_the_kernel_does() {
        let address: Address = "0000:C1:1f.7".parse().unwrap();
        assert_eq!((address.bus, address.slot, address.function), (0xc1, 0x1f, 7));
        assert_eq!(address.to_string(), "0000:c1:1f.7");
        assert_eq!("41:00.0".parse::<Address>().unwrap().to_string(), "0000:41:00.0");
        assert_eq!("10000:01:00.0".parse::<Address>().unwrap().to_string(), "10000:01:00.0");
        for wrong in ["", "41", "0000:41:00", "0000:41:20.0", "0000:41:00.8", "0000:+1:00.0", "0:0:0:0.0", "é:00.0"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
