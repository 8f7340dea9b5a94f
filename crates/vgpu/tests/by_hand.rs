//! `vgpu instances create`, `remove` and `attach`, as people use them by hand; and the JSON of all commands on instances.
//!
//! The machine is a directory tree: a file of it simply holds what is written to it. How a kernel answers is tested in
//! tests/kernel.

#[path = "support/host.rs"]
mod host;
mod machine_tree;

use std::fs;
use std::path::Path;
use std::process::Output;

use host::{FUNCTIONS, GPU, declare, host, parsed, remember, text, vgpu};
use machine_tree::MachineTree;
use serde_json::{Value, json};

fn instances(machine: &MachineTree, args: &[&str]) -> Output {
    vgpu(machine, &[&["instances"], args].concat())
}

/// The output of a command that works.
fn done(machine: &MachineTree, args: &[&str]) -> String {
    let output = instances(machine, args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The messages of a command that must end with this exit code, in one line.
fn fails(machine: &MachineTree, code: i32, args: &[&str]) -> String {
    let output = instances(machine, args);
    let told = text(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    assert_eq!(text(&output.stdout), "", "{args:?}");
    told
}

/// A file of a virtual function.
fn file(machine: &MachineTree, function: &str, name: &str) -> String {
    fs::read_to_string(machine.path(&machine.device(function)).join("nvidia").join(name)).unwrap().trim().to_owned()
}

#[test]
fn a_declared_vgpu_is_created_alone() {
    let machine = host();
    declare(&machine, json!({"instances": {"office": {"profile": "A40-8Q"}, "lab": {"profile": "A40-8Q"}}}));
    assert_eq!(done(&machine, &["create", "lab"]), "lab  made: NVIDIA A40-8Q on 0000:41:00.5\n");
    assert_eq!(file(&machine, FUNCTIONS[1], "current_vgpu_type"), "562");
    assert_eq!(file(&machine, FUNCTIONS[2], "current_vgpu_type"), "0", "office was not asked for");
    let link = fs::read_link(machine.path("run/vgpu/lab"));
    assert_eq!(link.unwrap(), Path::new("/sys/bus/pci/devices").join(FUNCTIONS[1]));

    // The second time it is there already.
    let output = instances(&machine, &["create", "lab"]);
    assert_eq!((text(&output.stdout), output.status.code()), (String::new(), Some(0)));
    assert_eq!(text(&output.stderr), "note: nothing to do: all that is declared is there\n");
}

#[test]
fn a_vgpu_that_is_not_declared_is_created_from_what_the_user_says_of_it() {
    let machine = host();
    let create = ["create", "try", "--profile", "A40-8Q", "--gpu", GPU, "--virtual-function", FUNCTIONS[2]];
    let with_parameter = [&create[..], &["--parameter", "frame_rate_limiter=0"]].concat();
    assert_eq!(done(&machine, &with_parameter), "try  made: NVIDIA A40-8Q on 0000:41:00.6\n");
    assert_eq!(file(&machine, FUNCTIONS[2], "current_vgpu_type"), "562");
    assert_eq!(file(&machine, FUNCTIONS[2], "vgpu_params"), "frame_rate_limiter=0");
    // We made it, but nobody declared it. `apply` does not remove it.
    let listed = parsed(&instances(&machine, &["list", "--json"]));
    assert_eq!(
        (&listed[0]["name"], &listed[0]["declared"], &listed[0]["state"]),
        (&json!("try"), &json!(false), &json!("ready"))
    );
    assert_eq!(done(&machine, &["apply"]), "");
    assert_eq!(file(&machine, FUNCTIONS[2], "current_vgpu_type"), "562");
}

#[test]
fn what_cannot_be_created_is_told_with_the_way_out() {
    let machine = host();
    declare(&machine, json!({"instances": {"office": {"profile": "A40-8Q"}}}));
    for (code, args, wanted) in [
        (
            1,
            &["create", "lab"][..],
            "error: lab is not declared help: declare it, or give its profile: vgpu instances create lab --profile",
        ),
        (
            1,
            &["create", "office", "--profile", "A40-4Q"],
            "office is declared, and made as it is declared help: leave --profile out",
        ),
        (1, &["create", "lab", "--profile", "A40-9Q"], "no profile is called A40-9Q help: the nearest are"),
        (1, &["create", "lab", "--profile", "A40-24Q"], "is cut into NVIDIA A40-8Q and takes no other size"),
        (1, &["create", "lab", "--profile", "A40-8Q", "--virtual-function", FUNCTIONS[0]], "has a vGPU of another"),
        (2, &["create"], "NAME"),
        (2, &["create", "lab", "--gpu", GPU], "--profile"),
        (2, &["create", "lab", "--profile", "A40-8Q", "--parameter", "frame_rate_limiter"], "write KEY=VALUE"),
        (2, &["create", "../lab", "--profile", "A40-8Q"], "../lab"),
        (2, &["create", "lab", "--profile", "A40-8Q", "--gpu", "41"], "41"),
    ] {
        let told = fails(&machine, code, args);
        assert!(told.contains(wanted), "{args:?}: {told}");
    }
    assert_eq!(file(&machine, FUNCTIONS[1], "current_vgpu_type"), "0");
    assert!(!machine.path("var/lib/vgpu/instances.json").exists(), "something is remembered that was not made");
}

#[test]
fn a_vgpu_is_removed_by_its_name_if_nobody_has_it_open() {
    let machine = host();
    declare(&machine, json!({"instances": {"office": {"profile": "A40-8Q"}, "lab": {"profile": "A40-8Q"}}}));
    remember(&machine, "office", FUNCTIONS[0], "this-start");
    done(&machine, &["create", "lab"]);
    let told = fails(&machine, 1, &["remove", "office"]);
    assert!(
        told.contains("virtual machine win10 (process 4711) has it open help: shut the virtual machine down"),
        "{told}"
    );
    assert_eq!(file(&machine, FUNCTIONS[0], "current_vgpu_type"), "562");

    assert_eq!(done(&machine, &["remove", "lab"]), "lab  removed from 0000:41:00.5\n");
    // A kernel would answer 0. In a directory tree, the rest of the old text stays after the 0 that was written.
    assert_eq!(file(&machine, FUNCTIONS[1], "current_vgpu_type"), "062");
    assert!(!machine.path("run/vgpu/lab").is_symlink());

    let told = fails(&machine, 1, &["remove", "nobody"]);
    assert!(told.contains("there is no vGPU that was made as nobody help: `vgpu instances list` shows all"), "{told}");
}

#[test]
fn what_is_not_there_cannot_be_attached() {
    let machine = host();
    declare(&machine, json!({"instances": {"lab": {"profile": "A40-8Q"}}}));
    for name in ["lab", "nobody"] {
        let told = fails(&machine, 1, &["attach", name]);
        assert!(
            told.contains(&format!("there is no vGPU {name} on this machine now help: `vgpu instances apply`")),
            "{told}"
        );
    }
    assert!(fails(&machine, 2, &["attach", "lab", "--format", "xen"]).contains("[possible values: libvirt, qemu]"));
}

#[test]
fn the_json_of_attach_has_what_is_printed_without_it() {
    let machine = host();
    declare(&machine, json!({"instances": {"office": {"profile": "A40-8Q"}}}));
    remember(&machine, "office", FUNCTIONS[0], "this-start");
    for format in ["libvirt", "qemu"] {
        let printed = done(&machine, &["attach", "office", "--format", format]);
        let answer = parsed(&instances(&machine, &["attach", "office", "--format", format, "--json"]));
        assert_eq!(answer, json!({"format": format, "text": printed.trim_end()}));
    }
    let default = parsed(&instances(&machine, &["attach", "office", "--json"]));
    assert_eq!(default["format"], json!("libvirt"));
}

/// The keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The keys that `vgpu instances COMMAND --help` promises for --json, sorted.
fn promised(command: &str) -> Vec<String> {
    let help = text(&vgpu(&MachineTree::new(), &["instances", command, "--help"]).stdout);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, rest) = help.split_once("[{").unwrap_or_else(|| panic!("{command} does not say which keys its JSON has"));
    let outer = rest.replace(": {id, name}", "");
    let mut keys: Vec<String> = outer.split_once("}]").unwrap().0.split(", ").map(str::to_owned).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn json_has_the_keys_that_the_help_promises() {
    let machine = host();
    remember(&machine, "gone", FUNCTIONS[0], "this-start");
    let declaration = |last: &str| json!({"instances": {"a": {"profile": "A40-8Q"}, last: {"profile": "A40-24Q"}}});
    declare(&machine, declaration("b"));
    // Steps of several kinds. A command that fails for one vGPU still prints what it did.
    for (command, args, actions) in [
        ("plan", &["plan", "--json"][..], &["keep", "create", "cannot"][..]),
        ("create", &["create", "hand", "--profile", "A40-8Q", "--json"], &["create"]),
        ("apply", &["apply", "--json"], &["keep", "create"]),
        ("remove", &["remove", "a", "--json"], &["remove"]),
    ] {
        let rows = parsed(&instances(&machine, args));
        let rows = rows.as_array().unwrap();
        let done: Vec<&str> = rows.iter().map(|row| row["action"].as_str().unwrap()).collect();
        assert_eq!(done, actions, "{command}");
        for row in rows {
            assert_eq!(keys(row), promised(command), "{command}");
        }
    }
    let listed = parsed(&instances(&machine, &["list", "--json"]));
    for row in listed.as_array().unwrap() {
        assert_eq!(keys(row), promised("list"));
        assert_eq!(keys(&row["profile"]), ["id", "name"]);
    }
}

#[test]
fn json_of_steps_says_where_and_why() {
    let machine = host();
    declare(&machine, json!({"instances": {"a": {"profile": "A40-8Q"}, "b": {"profile": "A40-24Q"}}}));
    remember(&machine, "gone", FUNCTIONS[0], "this-start");
    let in_use = "virtual machine win10 (process 4711) has it open; when that ends, the next apply removes it";
    let other_size = "0000:41:00.0 is cut into NVIDIA A40-8Q and takes no other size";
    let kept = |gpu: Value, function: Value| json!({"action": "keep", "name": "gone", "gpu": gpu, "virtual_function": function, "profile": null, "reason": in_use});
    let output = instances(&machine, &["plan", "--json"]);
    assert_eq!(output.status.code(), Some(1), "b cannot be made");
    assert_eq!(
        parsed(&output),
        json!([
            kept(json!(null), json!(FUNCTIONS[0])),
            {"action": "create", "name": "a", "gpu": GPU, "virtual_function": FUNCTIONS[1], "profile": "NVIDIA A40-8Q", "reason": null},
            {"action": "cannot", "name": "b", "gpu": null, "virtual_function": null, "profile": null, "reason": other_size},
        ])
    );
    let output = instances(&machine, &["apply", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("error: cannot make instance b"), "{}", text(&output.stderr));
    let made = &parsed(&output)[1];
    assert_eq!((&made["action"], &made["virtual_function"]), (&json!("create"), &json!(FUNCTIONS[1])));
}
