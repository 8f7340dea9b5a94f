//! Threads that treat files and write them, while the caller goes on reading the archive.
//!
//! Every file is written once, straight to its place. Memory is bounded: [`Writers::wait_for_room`] holds the reader up
//! while too much waits to be written.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;

use crate::archive::payload::Member;
use crate::placement::{Output, Place, Treatment};
use crate::{Error, elf, install::Options, text};

/// Files read but not yet written may take this much memory together, in bytes; one larger file may go alone.
const ROOM: usize = 110 << 20;
/// Those and the buffers that wait to be used again, in bytes.
const MEMORY: usize = 120 << 20;
const THREADS: usize = 2;
/// Files that nothing is done to are handed over in parts of so many bytes, so that reading and writing overlap.
const PART: usize = 4 << 20;

/// A file of the driver with its places.
pub struct Job {
    /// Path within the package, for errors.
    pub file: String,
    pub places: Vec<Place>,
    pub data: Buffer,
    pub executable: bool,
}

/// The content of a file, in memory that is used again for the next one: fresh memory, which the kernel has to clear
/// page by page, would cost as much as decompressing into it.
pub struct Buffer {
    memory: Vec<u8>,
    size: usize,
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.size]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.size]
    }
}

/// A part of a file that nothing is done to.
struct Part {
    path: Arc<Path>,
    file: Arc<File>,
    /// Where in the file, in bytes.
    offset: u64,
    data: Buffer,
}

/// What the threads do.
enum Work {
    File(Job),
    Part(Part),
}

/// A file that was written.
pub struct Installed {
    pub output: Output,
    pub path: String,
    pub is_library: bool,
    /// Of a library that has one.
    pub soname: Option<String>,
}

/// What was written so far.
#[derive(Default)]
pub struct Written {
    pub files: u64,
    /// In bytes.
    pub bytes: u64,
    pub installed: Vec<Installed>,
}

impl Written {
    fn add(&mut self, more: Written) {
        self.files += more.files;
        self.bytes += more.bytes;
        self.installed.extend(more.installed);
    }
}

/// Whether a file of so many bytes is worth handing over in parts.
pub fn is_large(size: u64) -> bool {
    size > PART as u64
}

/// What the threads share.
pub struct Shared<'a> {
    options: &'a Options,
    /// Names the archive in errors.
    archive: &'a Path,
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Default)]
struct State {
    /// Memory of files read but not yet written, in bytes.
    waiting: usize,
    written: Written,
    failed: Option<Error>,
    /// Memory to use again, smallest first.
    spare: Vec<Vec<u8>>,
}

impl State {
    /// The smallest spare memory that holds `size` bytes, or else the largest there is, made to.
    fn buffer(&mut self, size: usize) -> Buffer {
        let fitting = self.spare.partition_point(|memory| memory.len() < size);
        let fitting = fitting.min(self.spare.len().saturating_sub(1));
        let mut memory = if self.spare.is_empty() { Vec::new() } else { self.spare.remove(fitting) };
        if memory.len() < size {
            memory.resize(size, 0);
        }
        self.waiting += memory.len();
        Buffer { memory, size }
    }

    fn take_back(&mut self, buffer: Buffer) {
        let memory = buffer.memory;
        self.waiting -= memory.len();
        let place = self.spare.partition_point(|spare| spare.len() < memory.len());
        self.spare.insert(place, memory);
        let mut held = self.waiting + self.spare.iter().map(Vec::len).sum::<usize>();
        while held > MEMORY && !self.spare.is_empty() {
            held -= self.spare.remove(0).len();
        }
    }
}

impl<'a> Shared<'a> {
    pub fn new(options: &'a Options, archive: &'a Path) -> Self {
        Shared { options, archive, state: Mutex::default(), room: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was written, or the first error. To be called when the threads have ended.
    pub fn finish(self) -> Result<Written, Error> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.failed.map_or(Ok(state.written), Err)
    }
}

/// The way to the threads. They end when this is dropped.
pub struct Writers<'scope, 'a> {
    shared: &'scope Shared<'a>,
    jobs: SyncSender<Work>,
}

impl<'scope, 'a> Writers<'scope, 'a> {
    pub fn start<'env>(scope: &'scope Scope<'scope, 'env>, shared: &'scope Shared<'a>) -> Self {
        let (jobs, queue) = sync_channel(64);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..THREADS {
            let queue = Arc::clone(&queue);
            scope.spawn(move || work(shared, &queue));
        }
        Writers { shared, jobs }
    }

    /// Waits until a file of `size` bytes may be read into memory, and gives a buffer to read it into.
    /// `None` when a file could not be written: reading on is no use.
    pub fn wait_for_room(&self, size: u64) -> Option<Buffer> {
        let size = usize::try_from(size).ok()?;
        let mut state = self.shared.state();
        while state.failed.is_none() && state.waiting > 0 && state.waiting + size > ROOM {
            state = self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.failed.is_none().then(|| state.buffer(size))
    }

    /// Hands a file over.
    pub fn write(&self, job: Job) {
        self.send(Work::File(job));
    }

    /// Writes a large member that nothing is done to. `Ok(false)` when a file could not be written.
    pub fn write_in_parts(
        &self,
        archive: &Path,
        member: Member,
        place: Place,
        executable: bool,
    ) -> Result<bool, Error> {
        let path: Arc<Path> = self.shared.options.place(place.output, &place.path).into();
        let file = Arc::new(create_file(&path, executable).map_err(|e| Error::write(&path, e))?);
        let mut offset = 0;
        while offset < member.size {
            let size = (member.size - offset).min(PART as u64);
            let Some(mut data) = self.wait_for_room(size) else { return Ok(false) };
            let part = Member { path: String::new(), mode: 0, size, data: &mut *member.data };
            part.read_into(archive, &mut data)?;
            self.send(Work::Part(Part { path: path.clone(), file: file.clone(), offset, data }));
            offset += size;
        }
        let installed = Installed { output: place.output, path: place.path, is_library: false, soname: None };
        self.shared.state().written.add(Written { files: 1, bytes: member.size, installed: vec![installed] });
        Ok(true)
    }

    fn send(&self, work: Work) {
        // The threads take work until this is dropped, so there is always a receiver.
        let _ = self.jobs.send(work);
    }
}

fn work(shared: &Shared, queue: &Mutex<Receiver<Work>>) {
    loop {
        let work = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = work else { return };
        let failed = shared.state().failed.is_some();
        let (result, buffer) = match work {
            Work::File(job) if failed => (Ok(Written::default()), job.data),
            Work::File(mut job) => (install(shared, &mut job), job.data),
            Work::Part(part) => (part.write(), part.data),
        };
        let mut state = shared.state();
        match result {
            Ok(done) => state.written.add(done),
            Err(error) => state.failed = state.failed.take().or(Some(error)),
        }
        state.take_back(buffer);
        shared.room.notify_all();
    }
}

impl Part {
    /// What is written is counted when the whole file is.
    fn write(&self) -> Result<Written, Error> {
        self.file.write_all_at(&self.data, self.offset).map_err(|e| Error::write(&self.path, e))?;
        Ok(Written::default())
    }
}

/// Writes one file to all its places.
fn install(shared: &Shared, job: &mut Job) -> Result<Written, Error> {
    let mut written = Written::default();
    for place in std::mem::take(&mut job.places) {
        let treatment = match place.treatment {
            Treatment::Program if job.data.starts_with(b"#!") => Treatment::Script,
            Treatment::Program if !elf::is_elf(&job.data) => Treatment::Copy,
            treatment => treatment,
        };
        if treatment == Treatment::Program
            && let Some(name) = place.path.strip_prefix("bin/")
        {
            // Containers mount programs as NVIDIA made them.
            let path = shared.options.place(place.output, &format!("origBin/{name}"));
            write_file(&path, true, |out| out.write_all(&job.data)).map_err(|e| Error::write(&path, e))?;
            written.files += 1;
            written.bytes += job.data.len() as u64;
        }
        let path = shared.options.place(place.output, &place.path);
        let soname = treat(shared, job, &place, treatment, &path)?;
        written.files += 1;
        written.bytes += fs::metadata(&path).map_err(|e| Error::write(&path, e))?.len();
        let is_library = treatment == Treatment::Library;
        written.installed.push(Installed { output: place.output, path: place.path, is_library, soname });
    }
    Ok(written)
}

/// Writes one file to one place; returns its SONAME.
fn treat(
    shared: &Shared,
    job: &mut Job,
    place: &Place,
    treatment: Treatment,
    path: &Path,
) -> Result<Option<String>, Error> {
    let damaged = |problem: String| Error::File { path: shared.archive.into(), file: job.file.clone(), problem };
    match treatment {
        Treatment::Library | Treatment::Program => {
            if !elf::is_elf(&job.data) {
                return Err(damaged("should be a library, but is not an ELF file".into()));
            }
            if place.path == "bin/nvidia-vgpud" && text::redirect_config(&mut job.data) == 0 {
                return Err(damaged("does not name the vgpuConfig.xml that it reads".into()));
            }
            let changes = shared.options.elf_changes(place.output);
            let mut soname = Ok(None);
            write_file(path, true, |out| {
                soname = elf::rewrite(&job.data, &changes, out);
                Ok(())
            })
            .map_err(|e| Error::write(path, e))?;
            soname.map_err(|error| match error {
                elf::Error::Write(source) => Error::write(path, source),
                elf::Error::Damaged(_) => damaged(format!("cannot be given a run path: {error}")),
            })
        }
        Treatment::Script => {
            let text = std::str::from_utf8(&job.data).map_err(|_| damaged("is a script that is not UTF-8".into()))?;
            let text = text::script(text, shared.options);
            write_file(path, true, |out| out.write_all(text.as_bytes())).map_err(|e| Error::write(path, e))?;
            Ok(None)
        }
        Treatment::Copy | Treatment::LibraryJson | Treatment::OpenclIcd => {
            let executable = job.executable && place.keeps_executable();
            write_file(path, executable, |out| out.write_all(&job.data)).map_err(|e| Error::write(path, e))?;
            Ok(None)
        }
    }
}

/// Creates a file, and its directories, with the mode that NixOS' store knows: executable or not.
pub fn write_file(
    path: &Path,
    executable: bool,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(256 << 10, create_file(path, executable)?);
    fill(&mut out)?;
    out.flush()
}

fn create_file(path: &Path, executable: bool) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let file = File::create_new(path)?;
    file.set_permissions(Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    Ok(file)
}

impl Options {
    /// Where to write what goes to `path` in an output.
    pub(super) fn place(&self, output: Output, path: &str) -> PathBuf {
        self.destination.of(output).join(path)
    }

    fn elf_changes(&self, output: Output) -> elf::Changes {
        let (own, system) = match output {
            Output::Lib32 => (self.outputs.of(Output::Lib32), &self.lib_path_32),
            _ => (self.outputs.of(Output::Out), &self.lib_path),
        };
        let mut run_path = own.join("lib").display().to_string();
        for dir in system {
            run_path.push(':');
            run_path.push_str(&dir.display().to_string());
        }
        elf::Changes { run_path, interpreter: self.interpreter.as_ref().map(|path| path.display().to_string()) }
    }
}
