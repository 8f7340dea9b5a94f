//! Any bytes as a tar stream: members have names within the package, and give no more than their size.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use vgpu_driver::archive::Error;
use vgpu_driver::archive::payload::for_each_member;
use vgpu_driver::memory::Memory;
use vgpu_sample::{Compression, compress};

fuzz_target!(|data: &[u8]| {
    let packed = compress(data, Compression::Zstd).unwrap();
    for payload in [data, &packed[..]] {
        let _: Result<(), Error> = for_each_member(Path::new("fuzz.run"), payload, data.len() as u64, &Memory::default(), |member| {
            let path = member.path.as_str();
            assert!(!path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | "..")));
            let mut content = Vec::new();
            let read = member.data.read_to_end(&mut content);
            assert!(read.is_err() || content.len() as u64 <= member.size);
            Ok(())
        });
    }
});
