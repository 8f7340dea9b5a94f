//! Whether time and memory grow with what they should not: ten times the files, profiles, GPUs or instances.
//!
//! Ten times as much may take ten times as long, not a hundred times. Each line says how long `vgpu` takes with ten times as
//! much, and the memory that it uses at its peak, as multiples of what it takes with the smaller number. Below ten, starting
//! the program still counts.

#[path = "../tests/machine_tree/mod.rs"]
mod machine_tree;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use machine_tree::MachineTree;
use serde_json::json;
use vgpu_driver::Role;
use vgpu_sample::{self as sample, Compression, File};
use wait4::Wait4;

const ROUNDS: usize = 5;
/// A vgpuConfig.xml with an A40, all of whose profiles are in it.
const CONFIG: &str = include_str!("../tests/kernel/guest/vgpuConfig.xml");
/// Virtual functions of an A40.
const FUNCTIONS: usize = 32;

/// Set for the process that measures.
const MEASURE: &str = "GROWTH_MEASURE";

fn main() {
    if std::env::var_os(MEASURE).is_some() {
        return measure();
    }
    println!("{:<42} {:>8} {:>8}", "", "time", "memory");
    compare("files of a driver, installed: 1,500", 1_500, driver, {
        &["build", "a.run", "--role", "guest", "--out", "d"]
    });
    compare("profiles, changed: 600 for 40 GPUs", 40, profiles, {
        &["profiles", "apply", "--changes", "c.json", "--config", "v.xml", "--out", "new.xml"]
    });
    compare("GPUs, shown: 8", 8, machine, &["status", "--json", "--root", "."]);
    compare("GPUs, looked at by the doctor: 8", 8, machine, &["doctor", "--json", "--role", "host", "--root", "."]);
    compare("instances on 3 GPUs, planned: 90", 3, machine, &["instances", "plan", "--json", "--root", "."]);
}

/// Runs `vgpu` in what `make` makes of a number, and of ten times that, by turns, and prints the ratios.
fn compare(what: &str, number: usize, make: fn(usize) -> MachineTree, args: &[&str]) {
    let (few, many) = (make(number), make(10 * number));
    let (mut of_few, mut of_many) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        of_few.push(run(few.root(), args));
        of_many.push(run(many.root(), args));
    }
    let ratio = |(few, many): (f64, f64)| many / few;
    let time = ratio((median(&of_few).0.as_secs_f64(), median(&of_many).0.as_secs_f64()));
    let memory = ratio((median(&of_few).1 as f64, median(&of_many).1 as f64));
    println!("{what:<42} {time:>8.2} {memory:>8.2}");
}

/// How long it took, and the peak memory in KiB.
///
/// The kernel's count of memory begins with that of the process that starts the program. So a small one starts it.
fn run(place: &Path, args: &[&str]) -> (Duration, u64) {
    let _ = fs::remove_dir_all(place.join("d"));
    let mut measurer = Command::new(std::env::current_exe().unwrap());
    let output = measurer.env(MEASURE, "").args(args).current_dir(place).stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (time, memory) = text.trim().split_once(' ').expect("the time and the memory");
    (Duration::from_nanos(time.parse().unwrap()), memory.parse().unwrap())
}

/// Starts `vgpu` with this process' arguments, and prints what [`run`] returns.
fn measure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vgpu"));
    command.args(std::env::args_os().skip(1)).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let ended = command.spawn().unwrap().wait4().unwrap();
    // 1: the doctor or the plan found something to say.
    assert!(matches!(ended.status.code(), Some(0 | 1)), "{command:?}: {:?}", ended.status);
    println!("{} {}", start.elapsed().as_nanos(), ended.rusage.maxrss);
}

fn median(runs: &[(Duration, u64)]) -> (Duration, u64) {
    let mut runs = runs.to_vec();
    runs.sort();
    runs[runs.len() / 2]
}

/// The sample driver with so many files more.
fn driver(number: usize) -> MachineTree {
    let place = MachineTree::new();
    let mut files = sample::files(Role::Guest);
    for number in 0..number {
        let name = format!("kernel/{}/{number}.c", number / 100);
        files[0].data.extend(format!("{name} 0644 KERNEL_MODULE_SRC INHERIT_PATH_DEPTH:1 MODULE:resman\n").bytes());
        files.push(File::new(name, 0o644, "int nv;\n"));
    }
    let payload = sample::compress(&sample::tar(&files).unwrap(), Compression::Zstd).unwrap();
    let run = sample::makeself(&sample::target(Role::Guest), sample::version(Role::Guest), &payload, b"");
    fs::write(place.root().join("a.run"), run).unwrap();
    place
}

/// A vgpuConfig.xml with so many GPUs, 15 profiles each, and changes of sixty profiles.
fn profiles(gpus: usize) -> MachineTree {
    let place = MachineTree::new();
    let mut text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<vgpuconfig>\n  <version>1.0</version>\n".to_owned();
    let ids = 1..=15 * gpus;
    for id in ids.clone() {
        write!(
            text,
            "  <vgpuType id=\"{id}\" name=\"GRID P40-{id}Q\" class=\"Quadro\">\n    <profileSize>0x40000000</profileSize>\n    \
             <framebuffer>0x38000000</framebuffer>\n    <fbReservation>0x8000000</fbReservation>\n    \
             <numHeads>4</numHeads>\n    <display width=\"5120\" height=\"2880\"/>\n  </vgpuType>\n"
        )
        .unwrap();
    }
    for gpu in 0..gpus {
        let device = format!("vendorId=\"0x10de\" deviceId=\"0x{:04X}\"", 0x1000 + gpu);
        write!(text, "  <pgpu>\n    <devId {device} subsystemVendorId=\"0x10de\" subsystemId=\"0x0\"/>\n").unwrap();
        for id in ids.clone().skip(15 * gpu).take(15) {
            writeln!(text, "    <supportedVgpu vgpuId=\"{id}\"><maxVgpus>24</maxVgpus></supportedVgpu>").unwrap();
        }
        text.push_str("  </pgpu>\n");
    }
    place.file("v.xml", &(text + "</vgpuconfig>\n"));
    let overrides: serde_json::Map<_, _> =
        ids.step_by(10).take(60).map(|id| (id.to_string(), json!({"heads": 1, "vramAllocation": 2048}))).collect();
    place.file("c.json", &json!({"clones": {}, "overrides": overrides}).to_string());
    place
}

/// A host with so many A40s, 32 virtual functions each, and 30 instances declared for each.
fn machine(gpus: usize) -> MachineTree {
    let machine = MachineTree::new();
    machine.driver("550.163.02");
    let mut instances = serde_json::Map::new();
    for gpu in 0..gpus {
        let address = |function: usize| format!("0000:{gpu:02x}:{:02x}.{}", function / 8, function % 8);
        let functions: Vec<String> = (8..8 + FUNCTIONS).map(address).collect();
        machine.gpu(&address(0), "2235", "145a");
        machine.sriov(&address(0), FUNCTIONS as u32, &functions.iter().map(String::as_str).collect::<Vec<_>>());
        for function in &functions {
            machine.vfio(function, 0, &[(557, "NVIDIA A40-1Q")]);
        }
        for number in 0..30 {
            instances.insert(format!("i{gpu}-{number}"), json!({"profile": "A40-1Q", "gpu": address(0)}));
        }
    }
    machine.file("etc/nvidia/vgpu/vgpuConfig.xml", CONFIG);
    machine.file("etc/nvidia/vgpu/instances.json", &json!({"instances": instances}).to_string());
    machine.file("proc/sys/kernel/random/boot_id", "this-start\n");
    machine
}
