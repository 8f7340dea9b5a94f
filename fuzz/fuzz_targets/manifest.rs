//! Any bytes as a manifest: every entry that is accepted stays within the package, and gets a place within an output.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vgpu_driver::manifest::Manifest;
use vgpu_driver::placement::{Placement, place};

fuzz_target!(|data: &[u8]| {
    let Ok(manifest) = Manifest::parse(data) else { return };
    for entry in &manifest.entries {
        assert!(stays_inside(&entry.file), "{entry:?}");
        if let Placement::Places(places) = place(entry, &manifest.version) {
            for place in places {
                assert!(stays_inside(&place.path), "{place:?} of {entry:?}");
            }
        }
    }
});

fn stays_inside(path: &str) -> bool {
    !path.starts_with('/') && path.split('/').all(|part| part != "..")
}
