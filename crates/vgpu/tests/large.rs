//! Large libraries: written while they are unpacked, and corrected where they lie. Good ones, hostile ones, and many at once.

#[path = "support/libraries.rs"]
mod libraries;
#[path = "support/measured.rs"]
mod measured;
mod support;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libraries::{SHT_DYNSYM, SHT_STRTAB, add_section, header_of, let_section_be};
use measured::{Ended, build, refused};
use object_rewrite::Rewriter;
use support::{Sandbox, noise, run_file, unpacked};
use vgpu_driver::Role;
use vgpu_sample::{self as sample, File, elf};

const LIBCUDA: &str = "libcuda.so.550.163.01";

fn library() -> Vec<u8> {
    elf::library(Some("libcuda.so.1"), elf::Class::Elf64)
}

/// A library with so many bytes in a section that is not loaded.
fn with_section(content: &[u8]) -> Vec<u8> {
    let mut library = library();
    add_section(&mut library, content);
    library
}

/// Asserts that a file in d is this library, changed as if it were small: as a whole, in memory.
fn assert_right(sandbox: &Sandbox, name: &str, library: &[u8]) -> Vec<u8> {
    let found = fs::read(sandbox.path("d").join(name)).unwrap();
    let run_path = Rewriter::read(&found[..]).unwrap().elf_runpath().unwrap().to_vec();
    let own = sandbox.path("d/out/lib").display().to_string();
    assert!(run_path.starts_with(own.as_bytes()), "{}", String::from_utf8_lossy(&run_path));
    let mut elf = Rewriter::read(library).unwrap();
    elf.elf_delete_runpath().unwrap();
    elf.elf_set_runpath(run_path).unwrap();
    let mut right = vec![];
    elf.write(&mut right).unwrap();
    assert!(found == right, "{name} is not what it should be");
    found
}

/// The sample guest driver with another libcuda, and more files, each with its line of the manifest.
fn with(libcuda: Vec<u8>, more: Vec<(String, File)>) -> Vec<u8> {
    let mut files = sample::files(Role::Guest);
    files.iter_mut().find(|file| file.name == LIBCUDA).unwrap().data = libcuda;
    for (line, file) in more {
        files[0].data.extend(format!("{line}\n").bytes());
        files.push(file);
    }
    run_file(Role::Guest, &files)
}

/// How many bytes of two files differ in place.
fn differing(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).filter(|(one, other)| one != other).count()
}

#[test]
fn a_library_of_which_little_changes_is_right() {
    let sandbox = Sandbox::new();
    let library = with_section(&[1; 20 << 20]);
    sandbox.write("a.run", with(library.clone(), vec![]));
    let Ended { code, stderr, .. } = build(&sandbox, "a.run");
    assert_eq!(code, Some(0), "{stderr}");
    let found = assert_right(&sandbox, &format!("out/lib/{LIBCUDA}"), &library);
    assert!(differing(&library, &found) < 100_000);
}

/// It is written twice, and counts once: more than it and 16 MiB besides may not be written.
#[test]
fn a_library_of_which_much_changes_is_written_again() {
    let sandbox = Sandbox::new();
    let library = with_section(&noise(24 << 20));
    sandbox.write("a.run", with(library.clone(), vec![]));
    let Ended { code, stderr, .. } = build(&sandbox, "a.run");
    assert_eq!(code, Some(0), "{stderr}");
    let found = assert_right(&sandbox, &format!("out/lib/{LIBCUDA}"), &library);
    assert!(differing(&library, &found) > 20 << 20, "it was moved, or else this test shows nothing");
}

/// A file may not become larger than it was: its correction fails after its start has been changed.
#[test]
fn a_correction_that_fails_leaves_nothing() {
    // A little that changes, and much.
    for content in [vec![1; 3 << 20], noise(20 << 20)] {
        let sandbox = Sandbox::new();
        let library = with_section(&content);
        let length = library.len();
        sandbox.write("a.run", with(library, vec![]));
        let vgpu = assert_cmd::cargo::cargo_bin!("vgpu").display().to_string();
        let build = |limit: usize| {
            let script = format!("trap '' XFSZ; exec prlimit --fsize={limit} \"$@\"");
            let mut command = Command::new("sh");
            command.args(["-c", &script, "sh", &vgpu, "build", "a.run", "--role", "guest", "--out", "d"]);
            command.args(["--lib-path", &"/long".repeat(600)]);
            command.current_dir(sandbox.path("")).stdout(Stdio::null()).output().unwrap()
        };
        let output = build(length);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(LIBCUDA) && stderr.contains("cannot be written"), "{stderr}");
        assert_eq!(sandbox.names(), ["a.run"]);
        let output = build(length + (64 << 10));
        assert!(output.status.success(), "{output:?}");
        let found = fs::metadata(sandbox.path("d/out/lib").join(LIBCUDA)).unwrap().len();
        assert!(found > length as u64, "it has grown, or else this test shows nothing");
    }
}

/// A mapped file is memory, too, once it is read.
#[test]
fn a_very_large_library_of_which_all_changes_takes_no_more_memory() {
    let sandbox = Sandbox::new();
    unpacked(&sandbox);
    for content in [noise(8 << 20).repeat(40), vec![1; 320 << 20]] {
        let library = with_section(&content);
        fs::write(sandbox.path("unpacked").join(LIBCUDA), &library).unwrap();
        let Ended { code, stderr, memory } = build(&sandbox, "unpacked");
        assert_eq!(code, Some(0), "{stderr}");
        assert!(memory < 100_000_000, "{memory} bytes");
        assert_right(&sandbox, &format!("out/lib/{LIBCUDA}"), &library);
        fs::remove_dir_all(sandbox.path("d")).unwrap();
    }
    // Symbols may have their names all over it.
    let mut strings = library();
    let_section_be(&mut strings, SHT_STRTAB, &vec![1; 320 << 20]);
    fs::write(sandbox.path("unpacked").join(LIBCUDA), strings).unwrap();
    refused(&sandbox, "unpacked", "bytes of memory are needed for it, more than any driver needs");
}

/// Fifty thousand symbols, of which each is a part of the one before: they are sorted by their ends, which are alike.
#[test]
fn names_that_take_hours_are_refused() {
    let sandbox = Sandbox::new();
    unpacked(&sandbox);
    let mut library = library();
    let_section_be(&mut library, SHT_STRTAB, &[&[0], &vec![b'a'; 2 << 20][..], &[0; 7]].concat());
    let symbol = |name: u32| [&name.to_le_bytes()[..], &[0; 20]].concat();
    let_section_be(&mut library, SHT_DYNSYM, &(0..50_000).flat_map(symbol).collect::<Vec<u8>>());
    fs::write(sandbox.path("unpacked").join(LIBCUDA), library).unwrap();
    let start = Instant::now();
    refused(&sandbox, "unpacked", "its names are absurdly long");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Other bytes at an offset of a library of 3 MiB.
fn changed(offset: usize, value: &[u8]) -> Vec<u8> {
    let mut library = with_section(&[1; 3 << 20]);
    library[offset..offset + value.len()].copy_from_slice(value);
    library
}

#[test]
fn hostile_libraries_are_refused_where_they_lie() {
    let sandbox = Sandbox::new();
    unpacked(&sandbox);
    let symbols = |field: usize| header_of(&changed(0, b""), SHT_DYNSYM) + field;
    let absurd = (1_u64 << 40).to_le_bytes();
    let outside = "a part of it lies outside the file";
    for (what, library, expected) in [
        ("text", b"text".repeat(1 << 20), "should be a library, but is not an ELF file"),
        ("cut short", changed(0, b"")[..2 << 20].to_vec(), "it is damaged"),
        ("no segments", changed(0x38, &[0, 0]), "it has no usable program headers"),
        ("too many segments", changed(0x38, &[0xff, 0xff]), "cannot be given a run path"),
        ("no sections", changed(0x3c, &[0, 0]), "it has no sections"),
        ("sections behind the end", changed(0x28, &absurd), "it is damaged"),
        ("for another processor", changed(0x12, &[183, 0]), "it is not for x86-64"),
        ("an object file", changed(0x10, &[1, 0]), "it is neither a library nor a program"),
        ("a segment nowhere", changed(64 + 16, &[0xff; 8]), outside),
        ("a section nowhere", changed(symbols(0x18), &absurd), "it is damaged"),
        ("a section in no memory", changed(symbols(0x10), &[0xff; 8]), outside),
        ("a section that large", changed(symbols(0x20), &absurd), "bytes of memory are needed for it"),
        ("alignment of a terabyte", changed(symbols(0x30), &absurd), outside),
        ("no strings", changed(symbols(0x28), &[0xff; 4]), "cannot be given a run path"),
        ("hash table of gigabytes", changed(0xe8, &[0xff; 4]), outside),
    ] {
        fs::write(sandbox.path("unpacked").join(LIBCUDA), library).unwrap();
        eprintln!("{what}"); // Shown when it fails.
        refused(&sandbox, "unpacked", expected);
    }
}

/// Each of these needs most of the memory that there is: they wait for each other.
#[test]
fn large_files_at_once_keep_to_the_memory() {
    let sandbox = Sandbox::new();
    let noise = noise(8 << 20);
    let mut more = vec![];
    let mut add = |name: &str, types: &[&str], data: Vec<u8>| {
        let lines: Vec<String> = types.iter().map(|kind| format!("{name} 0755 {kind}")).collect();
        more.push((lines.join("\n"), File::new(name, 0o755, data)));
    };
    for number in 0..4 {
        let mut symbols = with_section(&noise.repeat(3));
        let_section_be(&mut symbols, SHT_DYNSYM, &vec![0; 8 << 20]);
        add(&format!("libsymbols{number}.so.1"), &["OPENGL_LIB NATIVE"], symbols);
        add(&format!("data{number}.bin"), &["OPENGL_DATA /"], noise.repeat(4));
    }
    // To several places: not in parts.
    let library = with_section(&noise);
    add("libtwice.so.1", &["OPENGL_LIB NATIVE", "VDPAU_LIB NATIVE vdpau/"], library.clone());
    let mut program = elf::program(None, "large");
    add_section(&mut program, &noise);
    add("program", &["UTILITY_BINARY"], program.clone());
    sandbox.write("a.run", with(library.clone(), more));
    let Ended { code, stderr, memory } = build(&sandbox, "a.run");
    assert_eq!(code, Some(0), "{stderr}");
    // Two libraries at once would take 180 MB and more.
    assert!(memory < 155_000_000, "{memory} bytes");
    for name in ["out/lib/libtwice.so.1", "out/lib/vdpau/libtwice.so.1", &format!("out/lib/{LIBCUDA}")] {
        assert_right(&sandbox, name, &library);
    }
    assert!(fs::read(sandbox.path("d/bin/origBin/program")).unwrap() == program);
}
