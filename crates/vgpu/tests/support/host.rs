//! A host for tests of instances: an A40 whose virtual functions are on, and calls of `vgpu` that look at it.
#![allow(dead_code)] // Each test program uses its part.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::machine_tree::MachineTree;

pub const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernel/guest/vgpuConfig.xml");
pub const GPU: &str = "0000:41:00.0";
pub const FUNCTIONS: [&str; 3] = ["0000:41:00.4", "0000:41:00.5", "0000:41:00.6"];

/// A host with an A40 whose three functions are on. The first has a vGPU, which a virtual machine has open.
pub fn host() -> MachineTree {
    let machine = MachineTree::new();
    machine.driver("550.163.02").gpu(GPU, "2235", "145a").sriov(GPU, 32, &FUNCTIONS);
    machine.vfio(FUNCTIONS[0], 562, &[]);
    for function in &FUNCTIONS[1..] {
        machine.vfio(function, 0, &[(562, "NVIDIA A40-8Q")]);
    }
    machine.file("etc/nvidia/vgpu/vgpuConfig.xml", &fs::read_to_string(CONFIG).unwrap());
    machine.file("proc/sys/kernel/random/boot_id", "this-start\n");
    machine.virtual_machine(4711, "win10", "100");
    machine
}

/// Writes the memory of an instance that we made on a function.
pub fn remember(machine: &MachineTree, name: &str, function: &str, boot: &str) {
    let remembered = json!({"instances": {name: {
        "gpu": GPU, "function": function, "uuid": null, "type_id": 562, "boot": boot}}});
    machine.file("var/lib/vgpu/instances.json", &remembered.to_string());
}

pub fn declare(machine: &MachineTree, declaration: Value) {
    machine.file("etc/nvidia/vgpu/instances.json", &declaration.to_string());
}

pub fn vgpu(machine: &MachineTree, args: &[&str]) -> Output {
    let root = machine.root().to_str().unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
    command.env("NO_COLOR", "1").args(args).args(["--root", root]).output().unwrap()
}

pub fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

pub fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}
