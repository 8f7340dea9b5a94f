//! Evaluates the NixOS modules and packages: every option, attributes, the flake, and what a change builds again.
//! nixos.rs tests them inside NixOS.
//!
//! nix/tests has the Nix side. These tests need nix-instantiate and `<nixpkgs/lib>`; some need `<nixpkgs>`. Where there
//! is none they say so and pass, unless VGPU_REQUIRE_NIX is set.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

#[path = "support/skip.rs"]
mod skip;

use skip::skip;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Whether `path` (`<nixpkgs>`, `<nixpkgs/lib>`) is there to evaluate with.
fn have(path: &str) -> bool {
    let found = Command::new("nix-instantiate").args(["--eval", "-E", &format!("builtins.pathExists {path}")]).output();
    let found = found.is_ok_and(|output| output.status.success() && output.stdout.starts_with(b"true"));
    if !found {
        skip(&format!("nix-instantiate or {path} is missing"), "VGPU_REQUIRE_NIX");
    }
    found
}

/// Nix without import from derivation: evaluation may build nothing.
fn instantiate(args: &[&str]) -> Output {
    Command::new("nix-instantiate")
        .args(["--option", "allow-import-from-derivation", "false"])
        .args(args)
        .current_dir(ROOT)
        .output()
        .unwrap()
}

/// Evaluates an expression, strictly, to JSON.
fn evaluate(expression: &str) -> Value {
    let output = instantiate(&["--eval", "--strict", "--json", "-E", expression]);
    assert!(output.status.success(), "{expression}:\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every option says what it is for, of what type, and gives an example.
#[test]
fn options_describe_themselves() {
    if !have("<nixpkgs/lib>") {
        return;
    }
    let names = |guest: bool| {
        let options = evaluate(&format!("import ./nix/tests/options.nix {{ guest = {guest}; }}"));
        let options = options.as_array().unwrap().clone();
        for option in &options {
            assert_eq!(option["missing"], Value::Array(vec![]), "{}", option["name"]);
        }
        options
            .iter()
            .map(|option| option["name"].as_str().unwrap().trim_start_matches("hardware.nvidia.vgpu.").to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(names(false), @"
    driverSource.curlOptsList
    driverSource.name
    driverSource.netrc
    driverSource.sha256
    driverSource.url
    gpus
    gpus.<name>.mixedSizes
    gpus.<name>.scheduler.policy
    gpus.<name>.scheduler.timeSlice
    instances
    instances.<name>.gpu
    instances.<name>.group
    instances.<name>.parameters
    instances.<name>.placement
    instances.<name>.profile
    instances.<name>.user
    instances.<name>.uuid
    instances.<name>.virtualFunction
    package
    patcher.copyVGPUProfiles
    patcher.enable
    patcher.enablePatcherCmd
    patcher.options.doNotForceGPLLicense
    patcher.options.extra
    patcher.options.moduleParameters
    patcher.options.remapP40ProfilesToV100D
    patcher.profileOverrides
    patcher.profileOverrides.<name>.display.height
    patcher.profileOverrides.<name>.display.width
    patcher.profileOverrides.<name>.enableCuda
    patcher.profileOverrides.<name>.framerateLimit
    patcher.profileOverrides.<name>.heads
    patcher.profileOverrides.<name>.maxInstances
    patcher.profileOverrides.<name>.vramAllocation
    patcher.profileOverrides.<name>.xmlConfig
    release
    scheduler.policy
    scheduler.timeSlice
    vgpuConfig
    ");
    insta::assert_snapshot!(names(true), @"
    driverSource.curlOptsList
    driverSource.name
    driverSource.netrc
    driverSource.sha256
    driverSource.url
    griddUnlock.enable
    griddUnlock.rootCaFile
    licensing.featureType
    licensing.proxy.address
    licensing.proxy.port
    licensing.settings
    licensing.tokenFile
    package
    patcher.enable
    patcher.options.doNotForceGPLLicense
    patcher.options.extra
    release
    ");
}

/// The error of a call of mkVgpuDriver or mkVgpuPatcher, its first two lines.
fn attribute_error(call: &str) -> String {
    let expression = format!(
        "((import ./nix/tests/eval.nix {{ }} {{ modules = [ ]; }}).config.boot.kernelPackages.nvidiaPackages.{call}).version"
    );
    let output = instantiate(&["--eval", "--strict", "-E", &expression]);
    assert!(!output.status.success(), "{call}");
    String::from_utf8(output.stderr).unwrap().lines().take(2).collect::<Vec<_>>().join("\n")
}

/// What mkVgpuDriver and mkVgpuPatcher say of attributes they miss or don't know.
#[test]
fn wrong_attributes_are_named() {
    if !have("<nixpkgs/lib>") {
        return;
    }
    insta::assert_snapshot!(attribute_error("mkVgpuDriver { version = \"1\"; sha265 = \"\"; vgpuPatcher = null; }"), @"
    error: mkVgpuDriver: `sha256`, `guestVersion`, `guestSha256`, `generalVersion`, `gridVersion`, `zipFilename` missing; `sha265` not known
           It needs `version`, `sha256`, `guestVersion`, `guestSha256`, `generalVersion`, `gridVersion`, `zipFilename`, `vgpuPatcher` and may be given `useSettings`, `settingVersion`, `settingsVersion`, `settingsSha256`, `usePersistenced`, `persistencedVersion`, `persistencedSha256`, `broken`, `modulePatches`, `modulePostPatch`, `prePatch`, `postPatch`, `patchFlags`, `patches`, `preInstall`, `postInstall`.
    ");
    insta::assert_snapshot!(attribute_error("mkVgpuPatcher { rev = \"main\"; }"), @"
    error: mkVgpuPatcher: `sha256`, `generalVersion`, `generalSha256` missing
           It needs `rev`, `sha256`, `generalVersion`, `generalSha256` and may be given `src`, `owner`, `repo`, `rev`, `sha256`, `version`, `linuxGuest`, `linuxSha256`, `windowsGuestFilename`, `windowsSha256`, `gridVersion`, `generalUrl`, `vgpuUrl`.
    ");
}

/// The attributes in docs/custom-drivers.md are those that mkVgpuDriver and mkVgpuPatcher know.
#[test]
fn attributes_are_documented() {
    if !have("<nixpkgs/lib>") {
        return;
    }
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    let page = fs::read_to_string(format!("{ROOT}/docs/custom-drivers.md")).unwrap();
    for function in ["mkVgpuDriver", "mkVgpuPatcher"] {
        let section = page.split("\n## ").find(|section| section.starts_with(function)).unwrap();
        let first_columns = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
        let documented = first_columns.flat_map(|column| quoted(&format!("`{column}"))).collect::<BTreeSet<_>>();
        let error = attribute_error(&format!("{function} {{ }}"));
        assert_eq!(documented, quoted(error.split("It needs").nth(1).unwrap()), "{function}");
    }
}

/// All packages in a real package set can be instantiated, and each change builds only what it must build again.
#[test]
fn a_change_builds_only_what_depends_on_it() {
    if !have("<nixpkgs>") {
        return;
    }
    let paths = evaluate("import ./nix/tests/package-paths.nix { }");
    let is_derivation = |path: &Value| path.as_str().is_some_and(|path| path.ends_with(".drv"));
    assert!(is_derivation(&paths["vgpu"]));
    assert!(is_derivation(&paths["custom"]["driver"]));
    assert!(is_derivation(&paths["custom"]["settings"]) && is_derivation(&paths["custom"]["persistenced"]));

    let releases = paths["releases"].as_object().unwrap();
    assert!(releases.len() > 60);
    for (name, parts) in releases {
        assert!(is_derivation(&parts["driver"]) && is_derivation(&parts["modules"]), "{name}");
    }
    assert!(is_derivation(&releases["vgpu_17_3"]["settings"]) && is_derivation(&releases["grid_17_3"]["persistenced"]));

    let libraries = |name: &str| paths["libraries"][name].as_array().unwrap().clone();
    let (native, compat32) = (libraries("libPath"), libraries("libPath32"));
    assert!(native.iter().all(|path| !compat32.contains(path)), "32-bit libraries look among the others");
    for name in
        ["libdrm", "libxext", "libx11", "libxcb", "zlib", "gcc", "wayland", "gbm", "libglvnd", "openssl", "dbus"]
    {
        for paths in [&native, &compat32] {
            assert!(
                paths.iter().any(|path| path.as_str().unwrap().to_lowercase().contains(name)),
                "no {name}: {paths:?}"
            );
        }
    }

    let changes = &paths["changes"];
    let (before, kernel, profile) = (&changes["before"], &changes["kernel"], &changes["profile"]);
    for same in ["driver", "outputs", "settings", "persistenced", "vgpuConfig"] {
        assert_eq!(before[same], kernel[same], "another kernel changes {same}");
    }
    assert_ne!(before["modules"], kernel["modules"]);
    for same in ["driver", "outputs", "modules", "bin", "settings", "persistenced"] {
        assert_eq!(before[same], profile[same], "another profile changes {same}");
    }
    assert_ne!(before["vgpuConfig"], profile["vgpuConfig"]);
    assert_ne!(changes["otherProfile"]["vgpuConfig"], profile["vgpuConfig"]);
}

/// Our module is only a small part of the evaluation of a whole host. Function calls are counted, because their number is
/// the same on every machine. Nix makes about four million per second.
#[test]
fn evaluation_is_cheap() {
    if !have("<nixpkgs/nixos>") {
        return;
    }
    let calls = |module: &str| {
        let output = Command::new("nix-instantiate")
            .args(["nix/tests/cost.nix", "--arg", "module", module])
            .env("NIX_SHOW_STATS", "1")
            .current_dir(ROOT)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stderr).unwrap();
        let stats: Value = serde_json::from_str(&text[text.find("\n{").map_or(0, |at| at + 1)..]).unwrap();
        stats["nrFunctionCalls"].as_u64().unwrap()
    };
    let (without, with) = (calls("false"), calls("true"));
    assert!(with > without, "the module does nothing");
    assert!((with - without) * 10 < without, "{without} function calls without the module, {with} with it");
}

/// The flake's outputs, with an input of our own in place of nixpkgs: no network.
#[test]
fn the_flake_evaluates() {
    if !have("<nixpkgs/lib>") {
        return;
    }
    let nixpkgs = tempfile::tempdir().unwrap();
    let lib = instantiate(&["--eval", "-E", "toString <nixpkgs/lib>"]).stdout;
    let lib = String::from_utf8(lib).unwrap().trim().trim_matches('"').to_owned();
    copy(&fs::canonicalize(lib).unwrap(), &nixpkgs.path().join("lib"));
    copy(&Path::new(ROOT).join("nix/tests"), &nixpkgs.path().join("tests"));
    fs::write(nixpkgs.path().join("flake.nix"), "{ outputs = _: { lib = import ./lib; }; }").unwrap();
    fs::write(
        nixpkgs.path().join("default.nix"),
        "{ system }: (import ./tests/host-tools.nix { lib = import ./lib; }).extend (_: prev: { nixfmt-tree = prev.gcc; cargo = prev.gcc; clippy = prev.gcc; rustfmt = prev.gcc; rustc = prev.rustc // prev.gcc; mkShell = prev.stdenv.mkDerivation; })",
    )
    .unwrap();
    let flake = tempfile::tempdir().unwrap();
    for part in ["nix", "catalog", "examples", "crates"] {
        copy(&Path::new(ROOT).join(part), &flake.path().join(part));
    }
    for part in ["flake.nix", "Cargo.toml", "Cargo.lock"] {
        fs::copy(Path::new(ROOT).join(part), flake.path().join(part)).unwrap();
    }
    // Somebody's flake that has ours as an input.
    let user = tempfile::tempdir().unwrap();
    fs::write(
        user.path().join("flake.nix"),
        r#"{
          inputs = { nixpkgs.url = "github:NixOS/nixpkgs"; vgpu4nixos.url = "github:mrzenc/vgpu4nixos"; };
          outputs = { nixpkgs, vgpu4nixos, ... }: {
            report = import ./report.nix { outputs = vgpu4nixos; pkgs = import nixpkgs { system = "x86_64-linux"; }; };
          };
        }"#,
    )
    .unwrap();
    fs::copy(format!("{ROOT}/nix/tests/flake-outputs.nix"), user.path().join("report.nix")).unwrap();
    let at = |dir: &tempfile::TempDir| format!("path:{}", dir.path().display());
    let output = Command::new("nix")
        .args(["--extra-experimental-features", "nix-command flakes", "eval", "--json", "--no-write-lock-file"])
        .args(["--override-input", "nixpkgs", &at(&nixpkgs)])
        .args(["--override-input", "vgpu4nixos", &at(&flake)])
        .args(["--override-input", "vgpu4nixos/nixpkgs", &at(&nixpkgs)])
        .arg(format!("{}#report", at(&user)))
        .env("HOME", nixpkgs.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let outputs: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        outputs,
        json!({
            "nixosModules": { "default": true, "host": true, "guest": true },
            "packages": { "default": "vgpu-0.1.0", "vgpu": "vgpu-0.1.0", "gridd-unlock-patcher": "gridd-unlock-patcher-1.1" },
            "devShells": ["default"],
            "checks": ["guest", "host", "tests", "vgpu"],
            "formatter": "gcc",
            "overlay": ["grid_17_6", "mkVgpuDriver", "vgpu_17_6"],
            "templates": { "default": true, "host": true, "guest": true },
        })
    );
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-rL").args([from, to]).status().unwrap();
    assert!(status.success());
}
