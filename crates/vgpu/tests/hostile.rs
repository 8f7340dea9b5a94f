//! Damaged and hostile input always ends in one clear error with advice and exit code 1. No output is left.

mod support;

use std::io::Write;
use std::process::Command;

use predicates::prelude::*;
use support::{Sandbox, packed, run_file, run_file_of};
use tar::{EntryType, Header};
use vgpu_driver::Role;
use vgpu_sample::{self as sample, Compression, File};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// `vgpu build` must refuse `content` with a message that contains `expected`.
fn refused(file: &str, content: impl AsRef<[u8]>, expected: &str) {
    let sandbox = Sandbox::new();
    sandbox.write(file, content);
    refused_in(&sandbox, file, expected);
}

fn refused_in(sandbox: &Sandbox, file: &str, expected: &str) {
    let before = sandbox.names();
    let result = sandbox.vgpu(&["build", file, "--role", "guest", "--out", "d"]).assert().code(1);
    let message = String::from_utf8(result.get_output().stderr.clone()).unwrap();
    assert!(message.contains(expected), "expected {expected:?} in:\n{message}");
    assert!(message.starts_with("error: cannot build the guest driver from "), "{message}");
    assert!(message.contains("\nhelp: "), "{message}");
    assert!(message.contains(file), "the message names the file: {message}");
    assert_eq!(sandbox.names(), before, "nothing half-done is left");
}

/// The sample guest driver.
fn files() -> Vec<File> {
    sample::files(Role::Guest)
}

fn good() -> Vec<u8> {
    run_file(Role::Guest, &files())
}

/// The sample with one more line in its manifest, and one more file.
fn with(line: &str, file: Option<File>) -> Vec<u8> {
    let mut files = files();
    files[0].data.extend(format!("{line}\n").bytes());
    files.extend(file);
    run_file(Role::Guest, &files)
}

/// The sample's tar stream with one more member, whose header `change` makes.
fn with_member(name: &[u8], kind: EntryType, change: impl Fn(&mut Header)) -> Vec<u8> {
    with_content(name, kind, b"", change)
}

fn with_content(name: &[u8], kind: EntryType, content: &[u8], change: impl Fn(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    change(&mut header);
    header.set_cksum();
    let mut tar = [header.as_bytes(), content].concat();
    tar.resize(tar.len().next_multiple_of(512), 0);
    tar.extend(sample::tar(&files()).unwrap());
    run_file_of(Role::Guest, &tar)
}

fn zip_with(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

const RUN: &str = "Guest_Drivers/NVIDIA-Linux-x86_64-550.163.01-grid.run";

#[test]
fn files_that_are_no_archive() {
    refused("a.zip", "<!DOCTYPE html><html><title>Sign in</title>", "is a web page (HTML)");
    refused("a.run", "", "is an empty file");
    refused("a.run", "MZ a Windows driver", "is a Windows program");
    refused("a.run", "hello", "is a file of an unknown kind");
    refused("a.run", "#!/bin/sh\necho hello\n", "it has no CRCsum line");
    let sandbox = Sandbox::new();
    refused_in(&sandbox, "absent.zip", "cannot be opened");
    assert!(Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap().success());
    refused_in(&sandbox, "pipe", "is a directory, pipe or device");
    sandbox.write("empty/file", "");
    refused_in(&sandbox, "empty", "has no .manifest");
}

#[test]
fn truncated_at_every_layer() {
    let run = good();
    for length in [20, 60, 100, 300, run.len() / 2, run.len() - 1] {
        let sandbox = Sandbox::new();
        sandbox.write("a.run", &run[..length]);
        refused_in(&sandbox, "a.run", "a.run");
    }
    refused("a.run", &run[..run.len() - 1], "is damaged or incomplete: its CRC is");
    let zip = zip_with(&[(RUN, &run)]);
    for length in [10, zip.len() / 2, zip.len() - 10] {
        refused("a.zip", &zip[..length], "damaged or incomplete .zip archive");
    }
    refused("a.zip", zip_with(&[(RUN, &run[..run.len() / 2])]), "is damaged or incomplete: its CRC is");
    // The payload was cut short before the check sums were made, so these are right.
    let tar = sample::tar(&files()).unwrap();
    refused("a.run", run_file_of(Role::Guest, &tar[..tar.len() / 2]), "cannot be unpacked");
    for compression in [Compression::Zstd, Compression::Xz, Compression::Gzip, Compression::Bzip2] {
        let payload = sample::compress(&tar, compression).unwrap();
        let cut = sample::makeself("x-grid", "550.163.01", &payload[..payload.len() / 2], b"");
        refused("a.run", cut, "cannot be unpacked");
    }
    refused("a.run", sample::makeself("x-grid", "550.163.01", b"", b""), "the payload is missing");
}

#[test]
fn a_flipped_byte_anywhere_is_noticed() {
    let run = good();
    let sandbox = Sandbox::new();
    let script = run.windows(5).position(|w| w == b"exit\n").unwrap();
    // Header, script and payload: every byte of the first lines, samples of the rest.
    for at in (0..90).chain((90..script).step_by(97)).chain((script..run.len()).step_by(run.len() / 20)) {
        let mut flipped = run.clone();
        flipped[at] ^= 1;
        sandbox.write("a.run", &flipped);
        refused_in(&sandbox, "a.run", "a.run");
    }
    let mut zip = zip_with(&[(RUN, &run)]);
    let middle = zip.len() / 2;
    zip[middle] ^= 1;
    refused("a.zip", zip, "a.zip");
}

#[test]
fn wrong_check_sums() {
    let run = good();
    let text = |from: &str, to: &str| {
        let at = run.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        [&run[..at], to.as_bytes(), &run[at + from.len()..]].concat()
    };
    refused("a.run", text("CRCsum=", "CRCsum=1"), "CRCsum is not a number");
    let crc = String::from_utf8_lossy(&run[18..28]).into_owned();
    refused("a.run", text(&crc, "0000000001"), &format!("its CRC is {}", crc.trim_start_matches('0')));
    let md5 = String::from_utf8_lossy(&run[33..65]).into_owned();
    refused("a.run", text(&md5, &"0".repeat(32)), &format!("its MD5 is {md5}"));
}

#[test]
fn skip_of_nonsense() {
    let run = good();
    let end = run.windows(16).position(|w| w == b"skip_decompress=").unwrap();
    for (skip, expected) in [
        ("0", "cannot start at line 0"),
        ("3", "cannot start at line 3"),
        ("999999", "further on than the file goes"),
        ("9999999999", "cannot start at line 9999999999"),
        ("twelve", "skip is not a number"),
        ("", "skip is not a number"),
        ("9", "neither zstd, xz, gzip nor bzip2"),
    ] {
        let rest = [format!("skip={skip}\n").as_bytes(), &run[end..]].concat();
        refused("a.run", sample::with_check_sums(&rest), expected);
    }
}

#[test]
fn members_that_lead_out() {
    let regular = |name: &[u8]| with_member(name, EntryType::Regular, |_| {});
    refused("a.run", regular(b"./../outside"), "leads out of the package with `..`");
    refused("a.run", regular(b"/etc/outside"), "has an absolute path");
    refused("a.run", regular(b"a/../../outside"), "leads out of the package with `..`");
    refused("a.run", regular(b"bad\xff"), "not UTF-8");
    let to = |target: &'static str| move |h: &mut Header| h.set_link_name_literal(target).unwrap();
    refused("a.run", with_member(b"l", EntryType::Symlink, to("/etc")), "is a symbolic link that leads out");
    refused("a.run", with_member(b"a/l", EntryType::Symlink, to("../../x")), "is a symbolic link that leads out");
    refused("a.run", with_member(b"kernel", EntryType::Symlink, to("firmware")), "lies below a symbolic link");
    refused("a.run", with_member(b"nvidia-smi", EntryType::Symlink, to("LICENSE")), "lies below a symbolic link");
}

#[test]
fn members_that_no_driver_has() {
    let to = |h: &mut Header| h.set_link_name_literal("nvidia-smi").unwrap();
    refused("a.run", with_member(b"h", EntryType::Link, to), "is a hard link");
    refused("a.run", with_member(b"null", EntryType::Char, |_| {}), "is a device");
    refused("a.run", with_member(b"sda", EntryType::Block, |_| {}), "is a device");
    refused("a.run", with_member(b"pipe", EntryType::Fifo, |_| {}), "is a device");
    refused("a.run", with_member(b"s", EntryType::GNUSparse, |_| {}), "is neither a file");
    let huge = |h: &mut Header| h.set_size(1 << 40);
    refused("a.run", with_member(b"huge", EntryType::Regular, huge), "claims to have 1099511627776 bytes");
    refused("a.run", with_member(b"long", EntryType::GNULongName, huge), "name of absurd length");
    refused("a.run", with_member(b"pax", EntryType::XHeader, huge), "name of absurd length");
    let large = |h: &mut Header| h.set_size(513 << 20);
    refused("a.run", with_member(b"large", EntryType::Regular, large), "claims to have 537919488 bytes");
    // A size that a file may have, but more than the whole payload could have. No memory is taken for it.
    let all = |h: &mut Header| h.set_size(500 << 20);
    refused("a.run", with_member(b"nvidia-smi", EntryType::Regular, all), "unpacks to more than");
}

#[test]
fn names_in_headers_of_their_own() {
    let pax = |key: &str, value: &[u8]| {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_pax_extensions([(key, value)]).unwrap();
        let mut header = Header::new_gnu();
        header.set_path("short").unwrap();
        header.set_mode(0o644);
        header.set_size(0);
        header.set_entry_type(if key == "linkpath" { EntryType::Symlink } else { EntryType::Regular });
        header.set_cksum();
        tar.append(&header, &b""[..]).unwrap();
        run_file_of(Role::Guest, &tar.into_inner().unwrap())
    };
    refused("a.run", pax("path", b"../outside"), "leads out of the package with `..`");
    refused("a.run", pax("path", b"a\0b"), "a\\u{0}b, which has a control character in its name");
    refused("a.run", pax("path", &b"long/".repeat(1000)), "has a name of absurd length");
    refused("a.run", pax("linkpath", b"/etc"), "is a symbolic link that leads out");
    refused("a.run", pax("size", b"7"), "has two sizes");
    // Damaged ones. If they were skipped, the driver could be installed.
    for records in ["99 path=x\n", "9 path=x", "9 path x\n", "12 path=a\nb\n", "6 a=b\n\n9 path=x\n", "10 size=x\n"] {
        let content = with_content(b"pax", EntryType::XHeader, records.as_bytes(), |_| {});
        refused("a.run", content, "a PAX header is damaged");
    }
}

#[test]
fn nothing_set_user_id_is_installed() {
    let mut files = files();
    let smi = files.iter_mut().find(|file| file.name == "nvidia-smi").unwrap();
    smi.mode = 0o4755;
    refused("a.run", run_file(Role::Guest, &files), "would be installed set-user-ID");
    let tool = File::new("tool", 0o755, "#!/bin/sh\n");
    refused("a.run", with("tool 02755 UTILITY_BINARY MODULE:x", Some(tool)), "would be installed set-user-ID");
}

/// 300 MiB of zeros: more than a small archive may unpack to.
fn zeros() -> impl std::io::Read {
    std::io::Read::take(std::io::repeat(0), 300 << 20)
}

#[test]
fn bombs() {
    let payload = zstd::encode_all(zeros(), 1).unwrap();
    refused("a.run", sample::makeself("x-grid", "550.163.01", &payload, b""), "a.run");
    // A tar stream that never ends after its first member.
    let mut header = Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_mode(0o644);
    header.set_size(300 << 20);
    header.set_cksum();
    let tar = std::io::Read::chain(&header.as_bytes()[..], zeros());
    let payload = zstd::encode_all(tar, 1).unwrap();
    refused("a.run", sample::makeself("x-grid", "550.163.01", &payload, b""), "unpacks to more than");
    refused("a.zip", zip_with(&[(RUN, &vec![0; 200 << 20])]), "claims to unpack to 209715200 bytes");
}

/// The length of the file limits the sizes in the directory of an archive.
#[test]
fn sizes_in_an_archive_that_are_lies() {
    let mut zip = zip_with(&[(RUN, &good())]);
    let directory = zip.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    let huge = 1_845_493_759_u32.to_le_bytes();
    zip[directory + 20..][..4].copy_from_slice(&huge);
    zip[directory + 24..][..4].copy_from_slice(&huge);
    refused("a.zip", zip, "claims to unpack to 1845493759 bytes");

    // 24 MiB that zip packs to nothing and zstd skips: the payload may not unpack to more for them.
    let padding = [&0x184D_2A50_u32.to_le_bytes()[..], &(24_u32 << 20).to_le_bytes()[..], &vec![0; 24 << 20]].concat();
    let mut header = Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_mode(0o644);
    header.set_size(300 << 20);
    header.set_cksum();
    let frames = [zstd::encode_all(&header.as_bytes()[..], 1).unwrap(), padding, zstd::encode_all(zeros(), 1).unwrap()];
    let payload = frames.concat();
    let run = sample::makeself("x-grid", "550.163.01", &payload, b"");
    refused("a.zip", zip_with(&[(RUN, &run)]), "unpacks to more than");
}

#[test]
fn manifests_that_cannot_be_true() {
    refused("a.run", with("absent.so 0755 OPENGL_LIB NATIVE MODULE:x", None), "names absent.so, which is not there");
    refused("a.run", with("lib.so.1 0755", None), "too few fields");
    refused("a.run", with("lib.so.1 0755 OPENGL_LIB MODULE:x", None), "OPENGL_LIB needs NATIVE or COMPAT32");
    refused("a.run", with("lib.so.1 rwx OPENGL_LIB NATIVE", None), "rwx is not an octal mode");
    refused("a.run", with("../lib.so.1 0755 OPENGL_LIB NATIVE", None), "leads out of the package");
    let twin = File::new("twin/nvidia-smi", 0o755, "#!/bin/sh\n");
    refused(
        "a.run",
        with("twin/nvidia-smi 0755 UTILITY_BINARY MODULE:x", Some(twin)),
        "nvidia-smi and twin/nvidia-smi would both be installed as bin/nvidia-smi",
    );
    let mut doubled = files();
    doubled.push(doubled.iter().find(|file| file.name == "nvidia-smi").unwrap().clone());
    refused("a.run", run_file(Role::Guest, &doubled), "contains nvidia-smi, which is there twice");
    let mut second = files();
    second.push(second[0].clone());
    refused("a.run", run_file(Role::Guest, &second), "there are two of them");
    second[0].data.resize(9 << 20, b'\n');
    refused("a.run", run_file(Role::Guest, &second), "it has 9437184 bytes");
    let mut without = files();
    without.remove(0);
    refused("a.run", run_file(Role::Guest, &without), "has no .manifest");
    let mut broken = files();
    broken[0].data = b"hello".to_vec();
    refused("a.run", run_file(Role::Guest, &broken), "its second line is not a version");
    broken[0].data = vec![0xff; 100];
    refused("a.run", run_file(Role::Guest, &broken), "it is not UTF-8 text");
}

#[test]
fn damaged_files_of_a_driver() {
    let replaced = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut files = files();
        change(&mut files.iter_mut().find(|file| file.name == name).unwrap().data);
        run_file(Role::Guest, &files)
    };
    let libcuda = "libcuda.so.550.163.01";
    for length in [4, 20, 64, 200, 400] {
        let cut = replaced(libcuda, &|data| data.truncate(length));
        refused("a.run", cut, "libcuda.so.550.163.01 cannot be given a run path: it is damaged");
    }
    // The address of its first segment, right behind the file header.
    let nowhere = replaced(libcuda, &|data| data[64 + 16..64 + 24].fill(0xff));
    refused("a.run", nowhere, "a part of it lies outside the file");
    refused("a.run", replaced(libcuda, &|data| *data = b"text".to_vec()), "is not an ELF file");
    // Section headers for which a terabyte of padding would be written: an empty section far away, and a large alignment.
    for (field, also) in [(0x18, 0x20), (0x30, 0x30)] {
        let absurd = replaced(libcuda, &|data| {
            let section = u64::from_le_bytes(data[0x28..0x30].try_into().unwrap()) as usize + 2 * 64;
            data[section + also..][..8].fill(0);
            data[section + field..][..8].copy_from_slice(&(1u64 << 40).to_le_bytes());
        });
        refused("a.run", absurd, "a part of it lies outside the file");
    }
    let hashes = replaced(libcuda, &|data| data[0xe8..0xec].copy_from_slice(&u32::MAX.to_le_bytes()));
    refused("a.run", hashes, "a part of it lies outside the file");
    refused("a.run", replaced("nvidia_icd.json", &|data| data.truncate(20)), "nvidia_icd.json is not JSON");
    let nested = replaced("nvidia_icd.json", &|data| *data = b"[".repeat(100_000));
    refused("a.run", nested, "nvidia_icd.json is not JSON");
    let long = replaced("nvidia_icd.json", &|data| data.resize(2 << 20, b' '));
    refused("a.run", long, "nvidia_icd.json is too large");
    refused("a.run", replaced("nvidia-bug-report.sh", &|data| data.push(0xff)), "is a script that is not UTF-8");
}

#[test]
fn zip_archives_that_lie() {
    let run = good();
    let zip = zip_with(&[(RUN, &run)]);
    let directory = zip.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    let with = |at: usize, value: &[u8]| {
        let mut zip = zip.clone();
        zip[directory + at..][..value.len()].copy_from_slice(value);
        zip
    };
    refused("a.zip", with(8, &[1]), "it is encrypted");
    refused("a.zip", with(10, &[99]), "it is compressed in another way than deflate");
    refused("a.zip", with(16, &[0; 4]), "its CRC is wrong");
    refused("a.zip", with(16, &[0; 4]), "help: the file is damaged or incomplete");
    refused("a.zip", with(24, &1000u32.to_le_bytes()), "it is longer than the archive's directory says");
    let longer = u32::try_from(run.len() + 7).unwrap().to_le_bytes();
    refused("a.zip", with(24, &longer), "it is 7 bytes shorter than the archive's directory says");
    refused("a.zip", with(24, &u32::to_le_bytes(1 << 30)), "claims to unpack to 1073741824 bytes");
    refused("a.zip", with(42, &u32::to_le_bytes(1 << 30)), "damaged or incomplete .zip archive"); // Starts elsewhere.
    refused("a.zip", zip_with(&[(RUN, b"#! /bin/sh\n")]), "it has no CRCsum line");
    refused("a.zip", zip_with(&[(RUN, b"<html>")]), "is a web page (HTML)");
}

#[test]
fn an_unpacked_driver_that_leads_out() {
    let sandbox = Sandbox::new();
    for File { name, data, .. } in files() {
        sandbox.write(&format!("unpacked/{name}"), data);
    }
    sandbox.write("secret", "mine");
    let smi = sandbox.path("unpacked/nvidia-smi");
    std::fs::remove_file(&smi).unwrap();
    std::os::unix::fs::symlink("../secret", &smi).unwrap();
    refused_in(&sandbox, "unpacked", "nvidia-smi, which is a symbolic link, or lies below one");
}

#[test]
fn archives_without_the_driver_asked_for() {
    refused("a.zip", zip_with(&[("readme.txt", b"hello")]), "has no guest driver");
    let host = ("Host_Drivers/NVIDIA-Linux-x86_64-550.163.02-vgpu-kvm.run", &b"#! /bin/sh\n"[..]);
    refused("a.zip", zip_with(&[host]), "help: it has Host_Drivers/NVIDIA-Linux-x86_64-550.163.02-vgpu-kvm.run");
    let run = good();
    refused("a.zip", zip_with(&[(RUN, &run), ("b/NVIDIA-Linux-x86_64-550.1.1-grid.run", &run)]), "it has several");
    let tar = sample::tar(&sample::files(Role::Host)).unwrap();
    refused("a.run", packed(Role::Host, &tar, Compression::Zstd, b""), "use --role host");
}

#[test]
fn an_output_that_exists_is_never_touched() {
    let sandbox = Sandbox::new();
    sandbox.write("a.run", good());
    sandbox.write("d/precious", "mine");
    let build = ["build", "a.run", "--role", "guest", "--out", "d"];
    sandbox.vgpu(&build).assert().code(1).stderr(predicate::str::contains("d exists already"));
    assert_eq!(std::fs::read(sandbox.path("d/precious")).unwrap(), b"mine");
}

#[test]
fn outputs_that_cannot_be_are_refused_before_the_work() {
    let sandbox = Sandbox::new();
    sandbox.write("a.run", good());
    let long = "x".repeat(256);
    for (out, expected) in [
        ("a.run/d", "a part of this path is a file"),
        ("a/..", "help: choose another --out"),
        (&long, "it is longer than 255 bytes"),
    ] {
        // The archive does not exist, but it has not been opened yet.
        let build = ["build", "absent.run", "--role", "guest", "--out", out];
        sandbox.vgpu(&build).assert().code(1).stderr(predicate::str::contains(expected));
        assert_eq!(sandbox.names(), ["a.run"]);
    }
    // Missing directories above it are created with it, and removed with it.
    let build = |source| ["build", source, "--role", "guest", "--out", "no/such/place"];
    sandbox.vgpu(&build("absent.run")).assert().code(1);
    assert_eq!(sandbox.names(), ["a.run"]);
    sandbox.vgpu(&build("a.run")).assert().success();
    assert!(sandbox.path("no/such/place/out/lib/libcuda.so.1").exists());
}

#[test]
fn no_space_left() {
    let sandbox = Sandbox::new();
    sandbox.write("a.run", good());
    // A limit for the size of files replaces a full disk: with both, a write fails.
    let vgpu = assert_cmd::cargo::cargo_bin("vgpu");
    let script = format!("trap '' XFSZ; ulimit -f 1; exec {} build a.run --role guest --out d", vgpu.display());
    let result = Command::new("sh").args(["-c", &script]).current_dir(sandbox.path("")).output().unwrap();
    let message = String::from_utf8(result.stderr).unwrap();
    assert_eq!(result.status.code(), Some(1), "{message}");
    assert!(message.contains("cannot be written") && message.contains("make room"), "{message}");
    assert_eq!(sandbox.names(), ["a.run"]);
}
