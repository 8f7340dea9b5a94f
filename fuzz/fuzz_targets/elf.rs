//! Any bytes as an ELF file: changed or refused, and never much larger than it was. What was changed is taken again;
//! nonsense may well be refused then.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vgpu_driver::elf::{Changes, Form, MOST_GROWTH, Machine, memory, rewrite};

fuzz_target!(
    // libFuzzer ends the program at every panic; `rewrite` catches those of the crate that it uses.
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| {
        for (machine, form) in [(Machine::X86_64, Form::Program), (Machine::I386, Form::Library)] {
            let interpreter = Some("/nix/store/ld.so".into());
            let changes = Changes { run_path: "/nix/store/driver/lib".into(), interpreter, machine };
            let mut once = Vec::new();
            if memory(data) < 64 << 20 && rewrite(data, form, &changes, &mut once).is_ok() {
                let most = data.len() + data.len() / 16 + MOST_GROWTH + 64;
                assert!(once.len() <= most, "{} bytes became {}", data.len(), once.len());
                let _ = rewrite(&once, form, &changes, &mut Vec::new());
            }
        }
    }
);
