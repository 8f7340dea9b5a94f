//! Any bytes as a package, through the whole installer, into a directory below a watched one. Whatever is in it: nothing
//! outside, no link that leaves or dangles, no more bytes than were read and no more memory than promised, an error or a
//! complete tree.
//!
//! The input is a manifest's lines, and behind a NUL the content of every file that they name.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use libfuzzer_sys::fuzz_target;
use vgpu_driver::Role;
use vgpu_driver::install::{Options, Outputs, install};
use vgpu_driver::source::Source;
use vgpu_sample::{Compression, File, compress, makeself, tar, target};

/// All that a build may take, in bytes. What libraries in C take is counted by libFuzzer alone (-rss_limit_mb).
const MEMORY: usize = 250_000_000;

/// Counts what is allocated, and the most that it was.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn take(bytes: usize) {
    let taken = TAKEN.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
    PEAK.fetch_max(taken, Ordering::Relaxed);
}

// SAFETY: all of it is the system's own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new may be there at once.
        take(size);
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HEADER: &str = "driver\n550\n\n\n\n\n\n\n";

fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |data: &[u8]| {
        let watched = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (lines, content) = data.split_at(data.iter().position(|&byte| byte == 0).unwrap_or(data.len()));
        let text = String::from_utf8_lossy(lines);
        let names: BTreeSet<&str> = text.lines().filter_map(|line| line.split_ascii_whitespace().next()).collect();
        let mut files = vec![File::new(".manifest", 0o644, [HEADER.as_bytes(), lines].concat())];
        let plain = |name: &&&str| tar(&[File::new(**name, 0o644, "")]).is_ok();
        files.extend(names.iter().filter(plain).map(|name| File::new(*name, 0o755, content)));
        let Ok(tar) = tar(&files) else { return };
        let read = tar.len() as u64;
        let payload = compress(&tar, Compression::Zstd).unwrap();
        let run = watched.path().join("a.run");
        fs::write(&run, makeself(&target(Role::Guest), "550", &payload, b"")).unwrap();
        let out = watched.path().join("above/out");
        fs::create_dir_all(&out).unwrap();
        let options = Options {
            role: Role::Guest,
            outputs: Outputs::below(&out),
            destination: Outputs::below(&out),
            lib_path: vec![],
            lib_path_32: vec![],
            interpreter: None,
            vgpu_config: None,
            shell: None,
            tools: vec![],
            egl_platforms: true,
        };
        let before = TAKEN.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let report = Source::open(&run, Role::Guest).and_then(|source| install(&source, &options, &|_| {}));
        let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        assert!(peak < MEMORY, "{peak} bytes of memory");
        assert_eq!(names_in(watched.path()), ["a.run", "above"]);
        assert_eq!(names_in(&watched.path().join("above")), ["out"]);
        let written = check(&out, &out);
        assert!(written <= read + read / 20 + (16 << 20), "{read} bytes became {written}");
        if let Ok(report) = report {
            assert_eq!(report.bytes, written);
        }
    }
);

fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The bytes of all files below `directory`. Links lead to files of the same output.
fn check(directory: &Path, out: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_symlink() {
            let real = path.canonicalize().expect("a link leads somewhere");
            let output = path.strip_prefix(out).unwrap().components().next().unwrap();
            assert!(real.is_file() && real.starts_with(out.canonicalize().unwrap().join(output)), "{path:?} leaves");
        } else if meta.is_dir() {
            bytes += check(&path, out);
        } else {
            assert!(meta.is_file(), "{path:?} is neither file, link nor directory");
            bytes += meta.len();
        }
    }
    bytes
}
