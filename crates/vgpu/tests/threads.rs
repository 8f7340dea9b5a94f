//! Reading an archive leaves no thread behind, also after an error: the archive of the next call is another.

use std::fs;
use std::path::Path;

use vgpu_driver::Role;
use vgpu_driver::archive::Error;
use vgpu_driver::archive::stream::{PayloadUse, with_payload};

/// Threads of this process that read archives.
fn readers() -> usize {
    let threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let names = threads.filter_map(|thread| fs::read_to_string(thread.join("comm")).ok());
    names.filter(|name| matches!(name.trim(), "md5" | "reader")).count()
}

#[test]
fn no_thread_is_left() {
    let (_, good) = vgpu_sample::run_file(Role::Guest).unwrap();
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
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
