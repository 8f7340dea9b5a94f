//! Reading an archive and installing it leave no thread behind, also after an error.

use std::fs;
use std::path::Path;

use vgpu_driver::Role;
use vgpu_driver::archive::Error;
use vgpu_driver::archive::stream::{PayloadUse, with_payload};
use vgpu_driver::install::{Options, Outputs, install};
use vgpu_driver::source::Source;

/// Threads of this process that read archives or write drivers.
fn readers() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let names = threads.filter_map(|thread| fs::read_to_string(thread.join("comm")).ok());
    names.filter(|name| matches!(name.trim(), "md5" | "reader" | "writer")).count()
}

/// Installs a file. Returns whether that worked.
fn installs(place: &Path, name: &str) -> bool {
    let outputs = Outputs::below(&place.join("out"));
    let options = Options {
        role: Role::Guest,
        outputs: outputs.clone(),
        destination: outputs,
        lib_path: vec![],
        lib_path_32: vec![],
        interpreter: None,
        vgpu_config: None,
        shell: None,
        tools: vec![],
        egl_platforms: true,
    };
    let source = Source::open(&place.join(name), Role::Guest).unwrap();
    let installed = install(&source, &options, &|_| {}).is_ok();
    assert_eq!(readers(), 0);
    fs::remove_dir_all(place.join("out")).unwrap();
    installed
}

/// One test, so that no other one has threads of these names.
#[test]
fn no_thread_is_left() {
    let (_, good) = vgpu_sample::run_file(Role::Guest).unwrap();
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("good.run"), &good).unwrap();
    fs::write(place.path().join("damaged.run"), &damaged).unwrap();
    for _ in 0..50 {
        assert!(installs(place.path(), "good.run") && !installs(place.path(), "damaged.run"));
    }
    for file in [good, damaged] {
        let results = (0..200).map(|_| {
            let consume = |_: &_, _| Ok::<_, Error>(());
            let result = with_payload(Path::new("a.run"), &mut &file[..], PayloadUse::Read, &|_| {}, consume);
            assert_eq!(readers(), 0);
            result.is_ok()
        });
        assert_eq!(results.filter(|whole| *whole).count() % 200, 0);
    }
}
