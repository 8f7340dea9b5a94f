//! Damaged .run files: reading the driver is an error, wherever a bit is wrong or the end is missing.
//!
//! The MD5 of a large file is not computed if its payload has a check sum of its own. So large files are tested, too.
//! Small ones are damaged in 10,000 ways in every run, large ones in 240: 10,000 of them take twenty minutes,
//! `VGPU_DAMAGE=10000 cargo test --test damage`.

mod support;

use std::io;
use std::path::Path;

use support::noise;
use vgpu_driver::archive::payload::for_each_member;
use vgpu_driver::archive::stream::{PayloadUse, with_payload};
use vgpu_driver::memory::Memory;
use vgpu_driver::{Error, Role};
use vgpu_sample::{Compression, File, compress, makeself, tar, target, version};

/// Reads a driver to its end, as the installer does.
fn read(file: &[u8]) -> Result<(), Error> {
    let path = Path::new("damaged.run");
    with_payload(path, &mut &*file, PayloadUse::Unpacked, &|_| {}, |_, payload| {
        for_each_member(path, payload, file.len() as u64, &Memory::default(), |member| {
            io::copy(member.data, &mut io::sink())
                .map(drop)
                .map_err(|source| vgpu_driver::archive::Error::Payload { path: path.into(), source }.into())
        })
    })
}

fn run_file(files: &[File], compression: Compression) -> Vec<u8> {
    let payload = compress(&tar(files).unwrap(), compression).unwrap();
    makeself(&target(Role::Guest), version(Role::Guest), &payload, b"")
}

/// Spreads `count` places over `length` bytes, the same in every run.
fn places(count: usize, length: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |number| (number * length / count + number * 7919 % 13) % length)
}

/// Damages a file at this many places, in two ways. Returns how many damaged files were tried.
fn assert_every_damage_is_found(file: &[u8], count: usize) -> usize {
    read(file).expect("the file itself is whole");
    let mut tried = 0;
    for place in places(count, file.len()) {
        assert!(read(&file[..place]).is_err(), "cut off at byte {place} of {}", file.len());
        let mut flipped = file.to_vec();
        flipped[place] ^= 1 << (place % 8);
        if place < 100 && flipped[place].eq_ignore_ascii_case(&file[place]) {
            continue; // A digit of the MD5 in capitals is the same digit.
        }
        assert!(read(&flipped).is_err(), "bit {} of byte {place} of {} flipped", place % 8, file.len());
        tried += 2;
    }
    tried
}

#[test]
fn damage_of_small_files_is_found() {
    let compressions = [Compression::Zstd, Compression::Xz, Compression::Gzip, Compression::Bzip2];
    let tried = compressions.map(|compression| {
        let file = run_file(&vgpu_sample::files(Role::Guest), compression);
        assert_every_damage_is_found(&file, 1260)
    });
    assert!(tried.iter().sum::<usize>() >= 10_000, "{tried:?}");
}

#[test]
fn damage_of_large_files_is_found_without_their_md5() {
    let cases: usize = std::env::var("VGPU_DAMAGE").map_or(240, |cases| cases.parse().unwrap());
    let mut tried = 0;
    let mut files = vgpu_sample::files(Role::Guest);
    files.push(File::new("noise.bin", 0o644, noise(18 << 20)));
    for compression in [Compression::Zstd, Compression::Gzip] {
        let file = run_file(&files, compression);
        // Line 3, the MD5 itself, is the only part of a large file that no check sum covers. Nothing needs it.
        let md5 = file.windows(5).position(|window| window == b"\nMD5=").unwrap();
        let mut other_md5 = file.clone();
        other_md5[md5 + 8] = if other_md5[md5 + 8] == b'0' { b'1' } else { b'0' };
        read(&other_md5).unwrap();
        tried += assert_every_damage_is_found(&file, cases.div_ceil(4));
    }
    eprintln!("{tried} damaged files, an error each");
}
