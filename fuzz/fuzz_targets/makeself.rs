//! Any bytes as a .run file: the header is read or refused, and nothing is read beyond the end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vgpu_driver::archive::makeself::Header;
use vgpu_driver::archive::stream::{PayloadUse, with_payload};
use vgpu_driver::archive;

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = Header::parse(data) {
        assert!(header.checked_from <= data.len());
    }
    // With right check sums, so that what lies behind them is reached too.
    for mut file in [data, &vgpu_sample::with_check_sums(data)] {
        let _ = with_payload(std::path::Path::new("fuzz.run"), &mut file, PayloadUse::Read, &|_| {}, |_, mut payload| {
            std::io::copy(&mut payload, &mut std::io::sink())
                .map_err(|e| archive::Error::io(std::path::Path::new("fuzz.run"), "cannot be read", e))
        });
    }
});
