//! Any bytes as a root certificate: refused, or one PEM block with blank lines and comments around it, and no key anywhere.

#![no_main]

use std::cell::RefCell;
use std::fs;
use std::time::SystemTime;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use vgpu::license::certificate;

thread_local! {
    static PLACE: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

fuzz_target!(|data: &[u8]| {
    let checked = PLACE.with_borrow_mut(|place| {
        let path = place.get_or_insert_with(|| tempfile::tempdir().unwrap()).path().join("root.pem");
        fs::write(&path, data).unwrap();
        certificate::check(&path, SystemTime::UNIX_EPOCH)
    });
    if checked.is_err() {
        return;
    }
    let text = std::str::from_utf8(data).expect("a certificate is text");
    assert!(!text.lines().any(|line| !line.trim().starts_with('#') && line.contains("PRIVATE KEY")), "{text}");
    let begins = text.lines().filter(|line| line.trim().starts_with("-----BEGIN ")).count();
    assert_eq!(begins, 1, "{text}");
    let around = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let block: Vec<&str> = around.collect();
    assert_eq!(block.first(), Some(&"-----BEGIN CERTIFICATE-----"), "{text}");
    assert_eq!(block.last(), Some(&"-----END CERTIFICATE-----"), "{text}");
});
