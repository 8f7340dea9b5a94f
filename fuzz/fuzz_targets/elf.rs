//! Any bytes as an ELF file: changed or refused, never a panic, and never much larger than it was. What was changed is
//! taken again; nonsense may well be refused then.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vgpu::driver::elf::{Changes, rewrite};

/// What alignment may add, in bytes.
const PADDING: usize = 64 << 20;

fuzz_target!(|data: &[u8]| {
    let changes = Changes { run_path: "/nix/store/driver/lib".into(), interpreter: Some("/nix/store/glibc/ld.so".into()) };
    let mut once = Vec::new();
    if rewrite(data, &changes, &mut once).is_ok() {
        assert!(once.len() <= data.len() + PADDING, "{} bytes became {}", data.len(), once.len());
        let _ = rewrite(&once, &changes, &mut Vec::new());
    }
});
