//! Any bytes as an ELF file: changed or refused, and never much larger than it was. What was changed is taken again;
//! nonsense may well be refused then.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vgpu_driver::elf::{Changes, MOST_GROWTH, rewrite};

fuzz_target!(
    // libFuzzer ends the program at every panic; `rewrite` catches those of the crate that it uses.
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| {
        let changes = Changes { run_path: "/nix/store/driver/lib".into(), interpreter: Some("/nix/store/ld.so".into()) };
        let mut once = Vec::new();
        if rewrite(data, &changes, &mut once).is_ok() {
            assert!(once.len() <= data.len() + MOST_GROWTH, "{} bytes became {}", data.len(), once.len());
            let _ = rewrite(&once, &changes, &mut Vec::new());
        }
    }
);
