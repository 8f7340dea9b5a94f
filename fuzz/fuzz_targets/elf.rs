//! Any bytes as an ELF file: changed or refused, never a panic. What was changed can be read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vgpu::driver::elf::{Changes, rewrite};

fuzz_target!(|data: &[u8]| {
    let changes = Changes { run_path: "/nix/store/driver/lib".into(), interpreter: Some("/nix/store/glibc/ld.so".into()) };
    let mut once = Vec::new();
    if let Ok(soname) = rewrite(data, &changes, &mut once) {
        let mut twice = Vec::new();
        assert_eq!(rewrite(&once, &changes, &mut twice).ok(), Some(soname), "the result cannot be read");
    }
});
