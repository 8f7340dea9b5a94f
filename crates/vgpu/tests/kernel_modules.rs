//! How a build of kernel modules ends. nix-build really builds them, from sources that the test makes.
//!
//! .ci/kernel-modules.sh and kernel-compat/matrix.sh test whether NVIDIA's own sources compile.

mod nix_store;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix_store::{NixStore, nixpkgs_lib, quoted};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Compiles nv.c as Kbuild would, with a thousand lines on the way.
const MAKEFILE: &str = "
modules:
\tseq 1000
\tgcc -c nvidia/nv.c -o nvidia.ko
modules_install:
\tinstall -D nvidia.ko $(MODLIB)/misc/nvidia.ko
\tgrep -c '^include .*/compat.mk$$' Kbuild > $(MODLIB)/included
";

/// What the kernel's headers put into a module that says its version.
fn modinfo(version: &str) -> String {
    format!("__attribute__((section(\".modinfo\"), used)) static const char version[] = \"version={version}\";\n")
}

struct Scene {
    store: NixStore,
    lib: PathBuf,
    sources: tempfile::TempDir,
}

impl Scene {
    /// Sources with `code` in the middle, in the folder of closed or of open modules.
    fn new(folder: &str, code: &str) -> Option<Scene> {
        let (store, lib) = (NixStore::new()?, nixpkgs_lib()?);
        let sources = tempfile::tempdir().unwrap();
        let folder = sources.path().join(folder);
        fs::create_dir_all(folder.join("nvidia")).unwrap();
        fs::write(folder.join("Makefile"), MAKEFILE).unwrap();
        fs::write(folder.join("Kbuild"), "").unwrap();
        fs::write(folder.join("nvidia/nv.c"), code.to_owned() + &modinfo("550.163.02")).unwrap();
        Some(Scene { store, lib, sources })
    }

    /// Changes one of the files.
    fn edit(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.sources.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        let changed = change(text.clone());
        assert_ne!(text, changed);
        fs::write(path, changed).unwrap();
    }

    /// The result of the build, or its last lines, starting with `error:`.
    fn build(&self, arguments: &str) -> Result<PathBuf, String> {
        let (lib, sources) = (self.lib.display(), quoted(self.sources.path()));
        let expression = format!(
            "import {ROOT}/nix/tests/module-build.nix {{ lib = import {lib}; sources = {sources}; {arguments} }}"
        );
        let mut command = Command::new("nix-build");
        let output = self.store.prepare(command.args(["--no-out-link", "-E", &expression])).output().unwrap();
        if output.status.success() {
            return Ok(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()));
        }
        let said = String::from_utf8(output.stderr).unwrap();
        let from = said.find("error: ").unwrap_or_default();
        let until = said.find("\nerror: builder for").unwrap_or(said.len());
        Err(said[from..until.max(from)].to_owned())
    }
}

fn modules(built: &Path) -> PathBuf {
    built.join("lib/modules/6.1.0-47-amd64")
}

#[test]
fn a_failed_build_ends_with_the_first_error_the_kernel_the_driver_and_what_to_do() {
    let code = "int f(int a);\nint g(void) { return f(); }\nint h(void) { return i; }\n";
    let Some(scene) = Scene::new("kernel", code) else { return };
    let said = scene.build("").unwrap_err();
    let lines: Vec<&str> = said.lines().collect();
    let [error, cause, help] = lines[lines.len() - 3..] else { panic!("{said}") };
    assert_eq!(
        error,
        "error: the closed kernel modules of nvidia-vgpu-host-550.163.02 do not compile with Linux 6.1.0-47-amd64"
    );
    assert!(cause.starts_with("cause: nvidia/nv.c:2:22: error: too few arguments to function"), "{cause}");
    assert!(
        help.starts_with("help: choose a kernel that is known to work: boot.kernelPackages = pkgs.linux"),
        "{help}"
    );
}

#[test]
fn modules_that_compile_are_installed_with_our_compatibility_code() {
    let Some(scene) = Scene::new("kernel-open", "int f(void) { return 0; }\n") else { return };
    let built = modules(&scene.build("open = true;").unwrap());
    assert!(built.join("misc/nvidia.ko").is_file());
    assert_eq!(fs::read_to_string(built.join("included")).unwrap(), "1\n");
}

#[test]
fn an_archive_without_the_sources_that_were_asked_for_says_which_it_has() {
    let Some(scene) = Scene::new("kernel", "") else { return };
    let said = scene.build("open = true;").unwrap_err();
    for part in ["building the open kernel modules", "no folder kernel-open", "set hardware.nvidia.open = false"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn patches_and_hooks_reach_the_modules_alone() {
    let Some(scene) = Scene::new("kernel", "int f(void) { return undeclared; }\n") else { return };
    let hook = r#"hooks.postPatch = "sed -i s/undeclared/0/ nvidia/nv.c";"#;
    assert!(modules(&scene.build(hook).unwrap()).join("misc/nvidia.ko").is_file());
}

#[test]
fn modules_of_another_version_than_the_driver_are_refused() {
    let Some(scene) = Scene::new("kernel", "int f(void) { return 0; }\n") else { return };
    scene.edit("kernel/nvidia/nv.c", |code| code.replace("=550.163.02", "=550.163.01"));
    let said = scene.build("").unwrap_err();
    let cause = "cause: it is 550.163.01, and the driver is called 550.163.02";
    for part in ["version of nvidia.ko in nvidia-vgpu-host-550.163.02", cause, "vgpu identify"] {
        assert!(said.contains(part), "{said}");
    }
    // A module need not say its version.
    scene.edit("kernel/nvidia/nv.c", |code| code.replace("version=550.163.01", "license=NVIDIA"));
    assert!(scene.build("").is_ok());
}

#[test]
fn sources_that_make_no_modules_are_refused() {
    let Some(scene) = Scene::new("kernel", "") else { return };
    scene.edit("kernel/Makefile", |text| {
        text.replace("install -D nvidia.ko $(MODLIB)/misc/nvidia.ko", "mkdir -p $(MODLIB)")
    });
    let said = scene.build("").unwrap_err();
    assert!(said.contains("the closed sources of nvidia-vgpu-host-550.163.02 made no kernel modules"), "{said}");
}

#[test]
fn modules_keep_nothing_else_installed() {
    let Some(scene) = Scene::new("kernel", "const char *place = PLACE;\n") else { return };
    // As the compiler leaves paths of the store in a module …
    scene.edit("kernel/Makefile", |text| text.replace("gcc ", "gcc -DPLACE='\"$(MODLIB)\"' "));
    assert!(scene.build("").is_ok());
    // … and where nothing removes them.
    scene.edit("kernel/Makefile", |text| text + "\techo $(MODLIB) > $(MODLIB)/place\n");
    let said = scene.build("").unwrap_err();
    assert!(said.contains("is not allowed to refer to"), "{said}");
}
