//! ELF files: run path, interpreter and SONAME, in process, by the crate object-rewrite.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use object::elf::{FileHeader32, FileHeader64, SHT_NOBITS};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, FileKind};
use object_rewrite::{ErrorKind, Rewriter};

/// No part of a library is aligned to more than this, in bytes: huge pages have 2 MiB.
const LARGEST_ALIGNMENT: u64 = 2 << 20;

/// Where the memory of a process ends on x86-64; no part lies beyond.
const END_OF_MEMORY: u64 = 1 << 47;

/// A file grows by its run path and padding; by more than this, in bytes, only if it means harm.
pub const MOST_GROWTH: usize = 16 << 20;

/// What to change in an ELF file.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The new run path, colon-separated.
    pub run_path: String,
    /// The new interpreter; programs only. `None` keeps the one there is.
    pub interpreter: Option<String>,
}

/// Why an ELF file could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is damaged, or not what it seems.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The result could not be written.
    #[error("{0}")]
    Write(io::Error),
}

impl From<object_rewrite::Error> for Error {
    fn from(error: object_rewrite::Error) -> Self {
        match error.kind() {
            ErrorKind::Io(io::ErrorKind::InvalidData) => Error::Damaged("it would grow out of proportion".into()),
            ErrorKind::Io(kind) => Error::Write(kind.into()),
            _ => Error::Damaged(error.to_string()),
        }
    }
}

/// Whether this is the start of an ELF file.
pub fn is_elf(data: &[u8]) -> bool {
    data.starts_with(b"\x7fELF")
}

/// Writes the ELF file `data`, changed, to `out`; returns its SONAME.
///
/// A statically linked program has nothing to change and is written as it is.
pub fn rewrite(data: &[u8], changes: &Changes, out: &mut dyn Write) -> Result<Option<String>, Error> {
    if !is_whole(data).map_err(|error| Error::Damaged(error.to_string()))? {
        return Err(Error::Damaged("a part of it lies outside the file".into()));
    }
    // The rewriter was written for files of compilers. What it panics at is no such file.
    catch_unwind(AssertUnwindSafe(|| rewrite_whole(data, changes, out)))
        .unwrap_or_else(|_| Err(Error::Damaged("its parts contradict each other".into())))
}

fn rewrite_whole(data: &[u8], changes: &Changes, out: &mut dyn Write) -> Result<Option<String>, Error> {
    let mut elf = Rewriter::read(data)?;
    let soname = elf.elf_soname().map(|name| String::from_utf8_lossy(name).into_owned());
    // Fails without a dynamic section, and turns DT_RPATH, which would go before LD_LIBRARY_PATH, into DT_RUNPATH.
    if elf.elf_delete_runpath().is_err() {
        out.write_all(data).map_err(Error::Write)?;
        return Ok(soname);
    }
    elf.elf_set_runpath(changes.run_path.clone().into_bytes())?;
    if let Some(interpreter) = &changes.interpreter
        && elf.elf_interpreter().is_some()
    {
        elf.elf_set_interpreter(interpreter.clone().into_bytes())?;
    }
    elf.write(Limited { out, left: data.len() + MOST_GROWTH })?;
    Ok(soname)
}

/// Takes no more than so many bytes; more are invalid data.
struct Limited<'a> {
    out: &'a mut dyn Write,
    left: usize,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::InvalidData)?;
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether all parts lie within the file: the rewriter believes offsets, alignments and the sizes of hash tables, and
/// would write as much.
fn is_whole(data: &[u8]) -> object::read::Result<bool> {
    match FileKind::parse(data)? {
        FileKind::Elf32 => parts_are_inside(FileHeader32::<Endianness>::parse(data)?, data),
        _ => parts_are_inside(FileHeader64::<Endianness>::parse(data)?, data),
    }
}

fn parts_are_inside<Elf>(header: &Elf, data: &[u8]) -> object::read::Result<bool>
where
    Elf: FileHeader<Endian = Endianness>,
{
    let endian = header.endian()?;
    let inside = |offset: u64, size: u64| offset.checked_add(size).is_some_and(|end| end <= data.len() as u64);
    let in_memory = |end: Option<u64>| end.is_some_and(|end| end <= END_OF_MEMORY);
    for section in header.section_headers(endian, data)? {
        let size = if section.sh_type(endian) == SHT_NOBITS { 0 } else { section.sh_size(endian).into() };
        let mut hashes = 0;
        if let Some(table) = section.hash_header(endian, data)? {
            hashes = 4 * u64::from(table.bucket_count.get(endian));
        }
        if let Some(table) = section.gnu_hash_header(endian, data)? {
            hashes = 4 * (u64::from(table.bucket_count.get(endian)) + u64::from(table.bloom_count.get(endian)));
        }
        let address = section.sh_addr(endian).into().checked_add(section.sh_size(endian).into());
        let aligned = section.sh_addralign(endian).into() <= LARGEST_ALIGNMENT;
        if !aligned || !in_memory(address) || !inside(section.sh_offset(endian).into(), size) || hashes > size {
            return Ok(false);
        }
    }
    Ok(header.program_headers(endian, data)?.iter().all(|segment| {
        inside(segment.p_offset(endian).into(), segment.p_filesz(endian).into())
            && in_memory(segment.p_vaddr(endian).into().checked_add(segment.p_memsz(endian).into()))
            && segment.p_align(endian).into() <= LARGEST_ALIGNMENT
    }))
}
