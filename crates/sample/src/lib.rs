//! A sample GRID archive in NVIDIA's formats: real ELF files, manifest, vgpuConfig.xml, both roles, everything small.
//!
//! For `vgpu demo`, tests and benchmarks: nobody needs one of NVIDIA's archives to see the whole way work. Nothing in it
//! is NVIDIA's.

pub mod elf;
mod files;

use std::io::{self, Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use vgpu_driver::Role;
use vgpu_driver::archive::makeself::{CheckSums, md5_text};

pub use files::{File, files};

/// The versions of the sample: those of release 17.6.
pub const HOST_VERSION: &str = "550.163.02";
pub const GUEST_VERSION: &str = "550.163.01";
pub const WINDOWS_VERSION: &str = "553.74";

/// The version of the sample's driver for a role.
pub fn version(role: Role) -> &'static str {
    match role {
        Role::Host => HOST_VERSION,
        Role::Guest => GUEST_VERSION,
    }
}

/// How a payload is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Zstd,
    /// Without integrity check, as NVIDIA had it.
    Xz,
    Gzip,
    Bzip2,
}

/// A GRID archive: its name and content.
pub fn grid_archive() -> io::Result<(String, Vec<u8>)> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default();
    for (folder, role) in [("Host_Drivers", Role::Host), ("Guest_Drivers", Role::Guest)] {
        let (name, run) = run_file(role)?;
        zip.start_file(format!("{folder}/{name}"), options)?;
        zip.write_all(&run)?;
    }
    let windows = format!("{WINDOWS_VERSION}_grid_win10_win11_server2022_dch_64bit_international.exe");
    zip.start_file(format!("Guest_Drivers/{windows}"), options)?;
    zip.write_all(b"MZ: a placeholder for the Windows driver")?;
    let name = format!("NVIDIA-GRID-Linux-KVM-{HOST_VERSION}-{GUEST_VERSION}-{WINDOWS_VERSION}.zip");
    Ok((name, zip.finish()?.into_inner()))
}

/// A .run file with the driver for a role: its name and content.
pub fn run_file(role: Role) -> io::Result<(String, Vec<u8>)> {
    let target = target(role);
    let payload = compress(&tar(&files(role))?, Compression::Zstd)?;
    let run = makeself(&target, version(role), &payload, b"");
    Ok((format!("{target}.run"), run))
}

/// What the driver for a role unpacks to, and is called.
pub fn target(role: Role) -> String {
    format!("NVIDIA-Linux-x86_64-{}{}", version(role), role.suffix())
}

/// A tar stream with the files, as NVIDIA's are: names begin with `./`, the owner is root.
pub fn tar(files: &[File]) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.data.len() as u64);
        header.set_mode(file.mode);
        header.set_mtime(1_744_119_672);
        tar.append_data(&mut header, format!("./{}", file.name), file.data.as_slice())?;
    }
    tar.into_inner()
}

/// Compresses a tar stream.
pub fn compress(tar: &[u8], compression: Compression) -> io::Result<Vec<u8>> {
    match compression {
        Compression::Zstd => {
            let mut writer = zstd::Encoder::new(Vec::new(), 1)?;
            writer.include_checksum(true)?; // As NVIDIA does.
            writer.write_all(tar)?;
            writer.finish()
        }
        Compression::Xz => {
            let encoder = liblzma::stream::Stream::new_easy_encoder(1, liblzma::stream::Check::None)?;
            let mut writer = liblzma::write::XzEncoder::new_stream(Vec::new(), encoder);
            writer.write_all(tar)?;
            writer.finish()
        }
        Compression::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(tar)?;
            writer.finish()
        }
        Compression::Bzip2 => {
            let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            writer.write_all(tar)?;
            writer.finish()
        }
    }
}

/// A .run file around a compressed payload, with right check sums. `decompressor` is embedded unless it is empty.
pub fn makeself(target: &str, version: &str, payload: &[u8], decompressor: &[u8]) -> Vec<u8> {
    let newlines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    let mut decompressor = decompressor.to_vec();
    if !decompressor.is_empty() {
        decompressor.push(b'\n');
    }
    let size = newlines(&decompressor);
    let script = SCRIPT.replace("VERSION", version).replace("=TARGET\n", &format!("={target}\n"));
    let lines = newlines(script.as_bytes()) + 4 + 2; // Four lines before it, two before the label.
    let mut rest = format!(
        "skip={}\nskip_decompress={}\nsize_decompress={size}\n{script}",
        lines + size + 1,
        if size == 0 { 0 } else { lines + 1 },
    )
    .into_bytes();
    rest.extend(decompressor);
    rest.extend(payload);
    with_check_sums(&rest)
}

/// The first three lines of a .run file, and the rest: everything from line 4 on.
pub fn with_check_sums(rest: &[u8]) -> Vec<u8> {
    let mut sums = CheckSums::new(u64::MAX);
    sums.update(rest);
    let (crc, md5) = sums.finish();
    let md5 = md5_text(md5.expect("no file is too large"));
    [format!("#! /bin/sh\nCRCsum={crc:010}\nMD5={md5}\n").as_bytes(), rest].concat()
}

const SCRIPT: &str = r#"label="NVIDIA Accelerated Graphics Driver for Linux-x86_64 VERSION"
version_string=VERSION
pkg_version=0
script=./nvidia-installer
targetdir=TARGET
TARGET_OS="Linux"
TARGET_ARCH="x86_64"

# A sample driver in the format of NVIDIA's. It only unpacks itself: sh FILE -x [--target DIR]
while [ $# -gt 0 ]; do
    case "$1" in
        -x|--extract-only) ;;
        --target) targetdir=$2; shift ;;
        *) echo "unknown option $1" >&2; exit 1 ;;
    esac
    shift
done
mkdir "$targetdir" && tail -n +$skip "$0" | zstd -d | tar -x -C "$targetdir" -f -
exit
"#;
