//! `vgpu instances` and `vgpu status` on machines that are directory trees: what is planned, listed, attached, checked.
//!
//! Making vGPUs is tested on a real kernel: tests/kernel.

#[path = "support/host.rs"]
mod host;
mod machine_tree;
#[path = "support/program.rs"]
mod program;
#[path = "support/skip.rs"]
mod skip;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use host::{CONFIG, FUNCTIONS, GPU, declare, host, parsed, remember, text, vgpu};
use machine_tree::MachineTree;
use serde_json::{Value, json};

#[test]
fn what_is_declared_and_what_is_there_are_listed_side_by_side() {
    let machine = host();
    declare(&machine, json!({"instances": {"office": {"profile": "A40-8Q"}, "lab": {"profile": 562}}}));
    remember(&machine, "office", FUNCTIONS[0], "this-start");
    let listed = parsed(&vgpu(&machine, &["instances", "list", "--json"]));
    assert_eq!(
        listed,
        json!([
            {"name": "lab", "declared": true, "gpu": null, "virtual_function": null, "uuid": null,
             "profile": {"id": 562, "name": "NVIDIA A40-8Q"}, "interface": null, "state": "missing", "used_by": null},
            {"name": "office", "declared": true, "gpu": GPU, "virtual_function": FUNCTIONS[0], "uuid": null,
             "profile": {"id": 562, "name": "NVIDIA A40-8Q"}, "interface": "vfio", "state": "in-use",
             "used_by": {"pid": 4711, "command": "qemu-system-x86", "vm": "win10"}},
        ])
    );
    // We made it before the last restart, so this vGPU may be somebody else's.
    remember(&machine, "office", FUNCTIONS[0], "another-start");
    let listed = parsed(&vgpu(&machine, &["instances", "list", "--json"]));
    assert_eq!((&listed[1]["state"], &listed[2]["state"]), (&json!("missing"), &json!("foreign")));
}

/// The plan, one line for each step.
fn planned(machine: &MachineTree) -> String {
    text(&vgpu(machine, &["instances", "plan"]).stdout)
}

#[test]
fn plans_say_what_and_why() {
    let machine = host();
    remember(&machine, "gone", FUNCTIONS[0], "this-start");
    declare(
        &machine,
        json!({"instances": {
            "a": {"profile": "A40-8Q", "parameters": {"frame_rate_limiter": false}},
            "b": {"profile": "A40-8Q", "virtual_function": FUNCTIONS[1]},
            "c": {"profile": "A40-24Q"}, "d": {"profile": "a40-9q"}, "e": {"profile": "A40-8Q"}}}),
    );
    insta::assert_snapshot!(planned(&machine), @"
    gone  keep: virtual machine win10 (process 4711) has it open; when that ends, the next apply removes it
    a     make NVIDIA A40-8Q on 0000:41:00.6
    b     make NVIDIA A40-8Q on 0000:41:00.5
    c     cannot be made: 0000:41:00.0 is cut into NVIDIA A40-8Q and takes no other size
        help: use profiles of one size on a GPU, or mixed sizes (mixed_sizes) on boards that can
    d     cannot be made: no profile is called a40-9q
        help: the nearest are A40-1Q, A40-2Q, A40-4Q; `vgpu profiles list` shows all
    e     cannot be made: 0000:41:00.0 has no free virtual function
        help: each vGPU takes one: `vgpu instances list` shows who has them
    ");
    // With mixed sizes, memory counts.
    declare(
        &machine,
        json!({"instances": {"c": {"profile": "A40-24Q"}, "d": {"profile": "A40-24Q"}},
            "gpus": {GPU: {"mixed_sizes": true}}}),
    );
    insta::assert_snapshot!(planned(&machine), @"
    0000:41:00.0  allow several sizes of vGPU, unless it does already
    gone          keep: virtual machine win10 (process 4711) has it open; when that ends, the next apply removes it
    c             make NVIDIA A40-24Q on 0000:41:00.5
    d             cannot be made: 0000:41:00.0 has 16384 MiB left, and 24576 are needed
        help: take fewer, smaller ones, or another GPU
    ");
}

/// A T4 has SR-IOV, but its vGPUs are mediated devices of the board itself: vgpuConfig.xml does not list it as sriov.
#[test]
fn boards_that_do_not_use_functions_get_their_vgpus_themselves() {
    const P40: &str = "0000:42:00.0";
    let machine = MachineTree::new();
    machine.driver("550.163.02").gpu(P40, "1b38", "11d9").sriov(P40, 16, &[]);
    machine.file("etc/nvidia/vgpu/vgpuConfig.xml", &fs::read_to_string(CONFIG).unwrap());
    declare(&machine, json!({"instances": {"a": {"profile": "P40-8Q"}}}));
    let expected = "a  make GRID P40-8Q on 0000:42:00.0\n";
    // Before nvidia-vgpud has told the types, nothing in sysfs shows it.
    assert_eq!(planned(&machine), expected);
    machine.mdev_parent(P40, &[(51, "GRID P40-8Q", 3)]);
    assert_eq!(planned(&machine), expected);
}

/// The user nobody may not see the open files of others.
#[test]
fn everybody_may_ask_for_the_plan() {
    if !rustix::process::geteuid().is_root() {
        skip::skip("only root can be somebody else", "VGPU_REQUIRE_ROOT");
        return;
    }
    let machine = host();
    declare(&machine, json!({"instances": {"office": {"profile": "A40-8Q"}, "more": {"profile": "A40-8Q"}}}));
    remember(&machine, "office", FUNCTIONS[0], "this-start");
    fs::set_permissions(machine.root(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(machine.path("proc/4711/fd"), fs::Permissions::from_mode(0o700)).unwrap();
    // Only root may be able to enter the directory that it was built in.
    let program = machine.path("vgpu");
    program::copy(assert_cmd::cargo::cargo_bin!("vgpu"), &program);
    let output = Command::new(program)
        .args(["instances", "plan", "--root"])
        .arg(machine.root())
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "more  make NVIDIA A40-8Q on 0000:41:00.5\n");
    assert_eq!(text(&output.stderr), "note: only root sees which vGPUs virtual machines have open\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn names_keep_their_functions() {
    let machine = host();
    declare(&machine, json!({"instances": {"a": {"profile": "A40-8Q"}, "b": {"profile": "A40-8Q"}}}));
    remember(&machine, "b", FUNCTIONS[1], "another-start");
    insta::assert_snapshot!(planned(&machine), @"
    a  make NVIDIA A40-8Q on 0000:41:00.6
    b  make NVIDIA A40-8Q on 0000:41:00.5
    ");
}

/// Whether a program is installed. If not, the test is skipped.
fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        skip::skip(&format!("{program} is missing"), "VGPU_REQUIRE_VM_TOOLS");
    }
    found
}

/// Whether libvirt's schema and its validator are installed (Debian: libvirt-clients and libxml2-utils).
fn can_validate() -> bool {
    let schema = Path::new("/usr/share/libvirt/schemas/domain.rng");
    if !schema.exists() {
        skip::skip(&format!("{} is missing", schema.display()), "VGPU_REQUIRE_VM_TOOLS");
    }
    schema.exists() && have("virt-xml-validate") && have("xmllint")
}

#[test]
fn libvirt_and_qemu_take_what_attach_prints() {
    let machine = host();
    machine.gpu("0000:42:00.0", "1b38", "11d9").mdev_parent("0000:42:00.0", &[(51, "GRID P40-8Q", 2)]);
    machine.mdev("0000:42:00.0", "aaaaaaaa-0000-4000-8000-000000000001", 51, 12);
    declare(
        &machine,
        json!({"instances": {
            "office": {"profile": "A40-8Q"},
            "old": {"profile": "P40-8Q", "uuid": "aaaaaaaa-0000-4000-8000-000000000001"}}}),
    );
    remember(&machine, "office", FUNCTIONS[0], "this-start");
    let attach = |name, format| {
        let output = vgpu(&machine, &["instances", "attach", name, "--format", format]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let (office, old) = (attach("office", "libvirt"), attach("old", "libvirt"));
    insta::assert_snapshot!(office, @"
    <hostdev mode='subsystem' type='pci' managed='no'>
      <source>
        <address domain='0x0000' bus='0x41' slot='0x00' function='0x4'/>
      </source>
    </hostdev>
    ");
    insta::assert_snapshot!(old, @"
    <hostdev mode='subsystem' type='mdev' managed='no' model='vfio-pci'>
      <source>
        <address uuid='aaaaaaaa-0000-4000-8000-000000000001'/>
      </source>
    </hostdev>
    ");
    if can_validate() {
        let file = machine.path("domain.xml");
        let domain = |devices: &str| {
            let xml = format!(
                "<domain type='kvm'><name>x</name><memory>1024</memory><os><type>hvm</type></os>\
                 <devices>{devices}</devices></domain>"
            );
            fs::write(&file, xml).unwrap();
            Command::new("virt-xml-validate").arg(&file).arg("domain").output().unwrap()
        };
        let output = domain(&format!("{office}{old}"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(!domain(&office.replace("bus", "buss")).status.success(), "the schema takes everything");
    }
    if have("qemu-system-x86_64") {
        for name in ["office", "old"] {
            let arguments = attach(name, "qemu");
            let output = Command::new("qemu-system-x86_64")
                .args(["-machine", "q35,accel=tcg", "-display", "none", "-nodefaults", "-S"])
                .args(arguments.split_whitespace())
                .output()
                .unwrap();
            let told = text(&output.stderr);
            assert!(told.contains("sysfsdev=/sys/bus/") && told.contains("no such host device"), "{told}");
        }
    }
}

/// `vgpu instances check`: exit code and what it says.
fn check(declaration: Value) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let (file, out) = (directory.path().join("declared.json"), directory.path().join("out.json"));
    fs::write(&file, declaration.to_string()).unwrap();
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vgpu"));
    command.args(["instances", "check", "--config", CONFIG, "--declaration"]).arg(&file).arg("--out").arg(&out);
    let output = command.output().unwrap();
    assert_eq!(out.exists(), output.status.success(), "written when wrong, or not written when right");
    (output.status.code(), text(&output.stderr))
}

#[test]
fn what_no_board_can_do_is_told_without_the_machine() {
    let on_gpu = |profiles: &[&str]| {
        let instances: serde_json::Map<_, _> = (0..)
            .zip(profiles)
            .map(|(number, profile)| (format!("v{number}"), json!({"profile": profile, "gpu": GPU})))
            .collect();
        json!({"instances": instances})
    };
    assert_eq!(check(on_gpu(&["A40-8Q"; 6])), (Some(0), String::new()));
    assert_eq!(check(json!({"instances": {"a": {"profile": "A40-8Q"}, "b": {"profile": "P40-1Q"}}})).0, Some(0));
    let mut mixed = on_gpu(&["A40-24Q", "A40-2Q"]);
    mixed["gpus"] = json!({GPU: {"mixed_sizes": true}});
    assert_eq!(check(mixed.clone()).0, Some(0));
    mixed["instances"]["c"] = json!({"profile": "A40-24Q", "gpu": GPU});
    for (declaration, wanted) in [
        (on_gpu(&["A40-80Q"]), "instance v0: this driver has no profile A40-80Q"),
        (on_gpu(&["A40-80Q"]), "the nearest are A40-8Q"),
        (on_gpu(&["A40-8Q"; 7]), "7 vGPUs are declared on it, and A40-8Q fits 6 times"),
        (on_gpu(&["A40-24Q", "A40-2Q"]), "A40-24Q and A40-2Q are of two sizes"),
        (on_gpu(&["A40-8Q", "P40-8Q"]), "no board offers both A40-8Q and P40-8Q"),
        (mixed, "take 51200 MiB, and it has 49152"),
    ] {
        let (code, told) = check(declaration.clone());
        assert_eq!(code, Some(1), "{declaration}");
        assert!(told.contains(wanted), "{declaration}:\n{told}");
    }
}

/// Makes a libnvidia-ml that knows one GPU, with some figures of it.
fn nvml(machine: &MachineTree) {
    let source = machine.path("nvml.c");
    fs::write(
        &source,
        r#"
        #include <string.h>
        typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory;
        typedef struct { unsigned int gpu, memory; } rates;
        int nvmlInit_v2(void) { return 0; }
        int nvmlShutdown(void) { return 0; }
        int nvmlDeviceGetHandleByPciBusId_v2(const char *address, void **device)
        { *device = (void *)1; return strcmp(address, "0000:41:00.0") ? 6 : 0; }
        int nvmlDeviceGetName(void *device, char *name, unsigned int length)
        { strncpy(name, "NVIDIA A40", length); return 0; }
        int nvmlDeviceGetMemoryInfo_v2(void *device, memory *m)
        { m->total = 46068ull << 20; m->used = 8192ull << 20; m->free = m->total - m->used; return 0; }
        int nvmlDeviceGetUtilizationRates(void *device, rates *r) { r->gpu = 12; r->memory = 3; return 0; }
        int nvmlDeviceGetVgpuHeterogeneousMode(void *device, unsigned int *mode) { mode[1] = 1; return 0; }
        int nvmlDeviceGetActiveVgpus(void *device, unsigned int *count, unsigned int *numbers)
        {
            if (*count < 2) { *count = 2; return 7; }
            *count = 2; numbers[0] = 7; numbers[1] = 8; return 0;
        }
        int nvmlVgpuInstanceGetVmID(unsigned int vgpu, char *id, unsigned int length, int *type)
        { *type = 1; strncpy(id, vgpu == 7 ? "AB7A7A7A-0000-4000-8000-000000000001" : "another", length); return 0; }
        int nvmlVgpuInstanceGetFbUsage(unsigned int vgpu, unsigned long long *used)
        { *used = vgpu * 100ull << 20; return 0; }
        typedef struct { unsigned int vgpu; unsigned long long time, sm, memory, encoder, decoder; } sample;
        int nvmlDeviceGetVgpuUtilization(void *device, unsigned long long since, int *kind, unsigned int *count, sample *samples)
        {
            static const sample all[] = { { 7, 20, 34 }, { 8, 20, 5 }, { 7, 10, 99 } };
            *kind = 1;
            if (!samples || *count < 3) { *count = 3; return 7; }
            *count = 3; memcpy(samples, all, sizeof(all)); return 0;
        }
        "#,
    )
    .unwrap();
    let library = machine.path("etc/nvidia/vgpu/libnvidia-ml.so.1");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().unwrap();
    assert!(built.success());
}

#[test]
fn status_shows_what_gpus_are_cut_into() {
    let machine = host();
    declare(&machine, json!({"instances": {"office": {"profile": "A40-8Q"}}}));
    remember(&machine, "office", FUNCTIONS[0], "this-start");
    insta::assert_snapshot!(text(&vgpu(&machine, &["status"]).stdout), @"
    0000:41:00.0  A40
      driver 550.163.02, vfio, 3 of 32 functions on
      [office  ]··················································  48 GiB
      8 GiB taken, 40 GiB free; fits 2 x A40-8Q
      office           A40-8Q         in-use     win10

    nvidia-vgpud           not installed
    nvidia-vgpu-mgr        not installed
    nvidia-vgpu-instances  not installed
    ");
    let status = parsed(&vgpu(&machine, &["status", "--json"]));
    let gpu = &status["gpus"][0];
    assert_eq!(gpu["sriov"], json!({"total": 32, "enabled": 3}));
    assert_eq!((&gpu["interface"], &gpu["device"], &gpu["live"]), (&json!("vfio"), &json!("2235"), &Value::Null));
    assert_eq!(gpu["instances"][0]["name"], json!("office"));
    assert_eq!(gpu["room"], json!([{"profile": "A40-8Q", "count": 2}]));
    assert_eq!(status["services"][0]["name"], json!("nvidia-vgpud"));
}

#[test]
fn live_figures_come_from_nvidias_library() {
    if !have("cc") {
        return;
    }
    let machine = host();
    nvml(&machine);
    let command = "qemu-system-x86_64\0-name\0guest=win10\0-uuid\0ab7a7a7a-0000-4000-8000-000000000001\0";
    machine.file("proc/4711/cmdline", command);
    let status = parsed(&vgpu(&machine, &["status", "--json"]));
    let gpu = &status["gpus"][0];
    let figures = |vm: &str, utilization: u32, memory_used: u32| json!({"mdev_uuid": null, "vm": vm, "utilization": utilization, "memory_used": memory_used});
    let win10 = figures("AB7A7A7A-0000-4000-8000-000000000001", 34, 700);
    let live = json!({
        "name": "NVIDIA A40", "utilization": 12, "memory_used": 8192, "memory_total": 46068,
        "vgpus": [win10, figures("another", 5, 800)],
    });
    assert_eq!((&gpu["live"], &gpu["mixed_sizes"], &gpu["name"]), (&live, &json!(true), &json!("NVIDIA A40")));
    assert_eq!(gpu["instances"][0]["live"], win10);
    let screen = text(&vgpu(&machine, &["status"]).stdout);
    assert!(screen.contains("12 % busy, 8192 of 46068 MiB in use"), "{screen}");
    assert!(screen.contains("foreign    win10        34 % busy, 700 MiB"), "{screen}");
}
