//! What is read of a machine: GPUs, their functions, the vGPUs on them, and who uses these.

mod machine_tree;

use machine_tree::MachineTree;
use vgpu::machine::pci::Sriov;
use vgpu::machine::processes::VfioUsers;
use vgpu::machine::vgpu::{self as vgpus, Interface};
use vgpu::machine::{driver, pci};

const UUID: &str = "c73f1fa6-489e-4834-9476-d70dabd98c40";

#[test]
fn a_gpu_without_sriov_has_mediated_devices_of_its_own() {
    let machine = MachineTree::new();
    machine
        .gpu("0000:41:00.0", "1b38", "11d9")
        .mdev_parent("0000:41:00.0", &[(50, "GRID P40-8Q", 2), (46, "GRID P40-1Q", 0)]);
    machine.mdev("0000:41:00.0", UUID, 50, 12);
    let gpus = vgpus::host_gpus(machine.root());
    let [gpu] = &gpus[..] else { panic!("{gpus:?}") };
    assert_eq!(gpu.interface(), Some(Interface::Mdev));
    let [function] = &gpu.functions[..] else { panic!("{gpu:?}") };
    let types: Vec<_> = function.types.iter().map(|t| (t.id, t.name.as_str(), t.available)).collect();
    assert_eq!(types, [(46, "GRID P40-1Q", 0), (50, "GRID P40-8Q", 2)]);
    let [vgpu] = &gpu.vgpus[..] else { panic!("{gpu:?}") };
    assert_eq!(vgpu.uuid.unwrap().to_string(), UUID);
    assert_eq!((vgpu.type_id, vgpu.type_name.as_deref()), (Some(50), Some("GRID P40-8Q")));
    assert_eq!(vgpu.iommu_group, Some(12));
    assert_eq!(vgpu.directory, machine.path(&format!("sys/bus/mdev/devices/{UUID}")));
}

#[test]
fn mediated_devices_on_virtual_functions_are_told_from_those_on_gpus() {
    let machine = MachineTree::new();
    machine.gpu("0000:41:00.0", "2235", "145a").sriov("0000:41:00.0", 32, &["0000:41:00.4", "0000:41:00.5"]);
    machine.mdev_parent("0000:41:00.4", &[(558, "NVIDIA A40-8Q", 0)]).mdev("0000:41:00.4", UUID, 558, 106);
    machine.mdev_parent("0000:41:00.5", &[(558, "NVIDIA A40-8Q", 1)]);
    let gpus = vgpus::host_gpus(machine.root());
    assert_eq!(gpus[0].interface(), Some(Interface::SriovMdev));
    assert_eq!(gpus[0].gpu.function.sriov, Some(Sriov { total: 32, enabled: 2 }));
    assert_eq!(gpus[0].functions.len(), 2);
    assert_eq!(gpus[0].vgpus[0].function.to_string(), "0000:41:00.4");
}

#[test]
fn nvidias_own_files_are_read() {
    let machine = MachineTree::new();
    machine.driver("550.163.02");
    machine.gpu("0000:41:00.0", "2235", "145a").sriov("0000:41:00.0", 32, &["0000:41:00.4", "0000:41:00.5"]);
    machine.vfio("0000:41:00.4", 558, &[]).vfio("0000:41:00.5", 0, &[(558, "NVIDIA A40-8Q"), (557, "NVIDIA A40-1Q")]);
    machine.virtual_machine(4711, "win10", "100");
    let gpus = vgpus::host_gpus(machine.root());
    assert_eq!(gpus[0].interface(), Some(Interface::Vfio));
    let [vgpu] = &gpus[0].vgpus[..] else { panic!("{gpus:?}") };
    assert_eq!((vgpu.type_id, vgpu.uuid, vgpu.iommu_group), (Some(558), None, Some(100)));
    assert_eq!(gpus[0].functions[1].types.iter().map(|t| t.id).collect::<Vec<_>>(), [557, 558]);

    let users = VfioUsers::read(machine.root());
    let user = users.of(vgpu.iommu_group, None).unwrap();
    assert_eq!((user.pid, user.vm.as_deref(), user.command.as_str()), (4711, Some("win10"), "qemu-system-x86"));
    assert_eq!(users.of(Some(101), None), None);
    assert!(users.complete);
    assert_eq!(driver::version(machine.root()).as_deref(), Some("550.163.02"));
    assert_eq!(driver::modules(machine.root()), ["nvidia_vgpu_vfio", "nvidia"]);
}

#[test]
fn devices_of_iommufd_count_as_open_too() {
    let machine = MachineTree::new();
    machine.virtual_machine(4711, "win10", "devices/vfio3");
    assert_eq!(VfioUsers::read(machine.root()).of(None, Some("vfio3")).unwrap().vm.as_deref(), Some("win10"));
}

/// Before virtual functions are switched on, nothing tells which interface they will have.
#[test]
fn without_virtual_functions_there_is_no_interface() {
    let machine = MachineTree::new();
    machine.gpu("0000:41:00.0", "2235", "145a").sriov("0000:41:00.0", 32, &[]);
    let gpus = vgpus::host_gpus(machine.root());
    assert_eq!((gpus[0].interface(), gpus[0].functions.len()), (None, 0));
    assert_eq!(pci::devices(machine.root())[0].driver.as_deref(), Some("nvidia"));
}
