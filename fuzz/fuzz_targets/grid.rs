//! Any bytes as a GRID archive: its directory is read or refused with little memory, and each driver in it gives as much as
//! it says, and no more than its packed size allows, or an error.

#![no_main]

use std::cell::RefCell;
use std::fs;
use std::io::{Read, copy, sink};
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use vgpu_driver::Role;
use vgpu_driver::archive::grid::Grid;
use vgpu_driver::memory::Memory;
use vgpu_driver::source::Source;

thread_local! {
    static PLACE: RefCell<Option<TempDir>> = const { RefCell::new(None) };
}

/// The input as a file.
fn file(data: &[u8]) -> PathBuf {
    PLACE.with_borrow_mut(|place| {
        let path = place.get_or_insert_with(|| tempfile::tempdir().unwrap()).path().join("a.zip");
        fs::write(&path, data).unwrap();
        path
    })
}

fuzz_target!(|data: &[u8]| {
    let path = file(data);
    let Ok(mut grid) = Grid::open(&path) else { return };
    assert!(grid.run_files().iter().all(|name| !name.contains(char::is_control)));
    let windows = grid.windows();
    let drivers = [Role::Host, Role::Guest].map(|role| grid.driver(role).ok().flatten());
    for driver in drivers.into_iter().flatten().chain(windows) {
        assert!(driver.version.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit()), "{driver:?}");
        assert!(!driver.name.contains(char::is_control) && !driver.name.split('/').any(|part| part == ".."));
        if let Ok((size, mut content)) = grid.open_driver(&driver) {
            assert!(size <= (64 << 20) + data.len() as u64 * 20, "{size} bytes of {}", data.len());
            let read = copy(&mut content.by_ref().take(size + 1), &mut sink());
            assert!(read.as_ref().map_or(true, |read| *read == size), "{read:?} of {size} bytes of {driver:?}");
        }
    }
    for role in [Role::Host, Role::Guest] {
        let source = Source::open(&path, role);
        let _ = source.and_then(|source| source.for_each(&Memory::default(), &|_| {}, |_| Ok(())));
    }
});
