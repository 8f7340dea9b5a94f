//! Changes run path and interpreter of ELF files and reads their SONAME, with the crate object-rewrite.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use object::elf::{
    EM_386, EM_X86_64, ET_DYN, ET_EXEC, FileHeader32, FileHeader64, PN_XNUM, PT_DYNAMIC, PT_INTERP, SHT_DYNAMIC,
    SHT_DYNSYM, SHT_GNU_VERDEF, SHT_GNU_VERNEED, SHT_NOBITS, SHT_NOTE, SHT_PROGBITS, SHT_REL, SHT_RELA, SHT_STRTAB,
    SHT_SYMTAB,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, FileKind, ReadRef};
use object_rewrite::{ErrorKind, Rewriter};

/// No part of a library is aligned to more than this, in bytes: huge pages have 2 MiB.
const LARGEST_ALIGNMENT: u64 = 2 << 20;

/// Where the memory of a process ends on x86-64. No part of a file can be placed beyond it.
const END_OF_MEMORY: u64 = 1 << 47;

/// A file may grow by this many bytes and a sixteenth of its size. The run path and padding make it grow.
///
/// In the 550 guest driver libnvidia-eglcore grows most, by 78 KB. Only a hostile file grows by more than the limit.
pub const MOST_GROWTH: usize = 256 << 10;

/// The limit for all names of a file together, in bytes. Names are sorted. A string of some megabytes can hold a hundred
/// thousand names with the same end, and sorting these would take hours.
///
/// Each name is counted as if it were as long as the longest. For libnvidia-eglcore of the 550 guest driver this makes 210 KB.
const MOST_IN_NAMES: usize = 256 << 20;

/// What to change in an ELF file.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// The new run path, colon-separated.
    pub run_path: String,
    /// The new interpreter; programs only. `None` keeps the one there is.
    pub interpreter: Option<String>,
    /// The processor that it must be for.
    pub machine: Machine,
}

/// The processor that a file is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    #[default]
    X86_64,
    I386,
}

/// What a file is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Library,
    /// It may be linked statically. Then it needs no run path.
    Program,
}

/// Why an ELF file could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is damaged, or not what it seems.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It is for another processor than the place it goes to.
    #[error("it is not for {0}")]
    Foreign(&'static str),
    /// It is an object file, or has only debugging information.
    #[error("it is neither a library nor a program")]
    WrongType,
    /// It lacks a part that a run path needs.
    #[error("it has no {0}")]
    Without(&'static str),
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
pub fn rewrite(data: &[u8], form: Form, changes: &Changes, out: &mut dyn Write) -> Result<Option<String>, Error> {
    let facts = Facts::read(data).map_err(|error| Error::Damaged(error.to_string()))?;
    facts.check(form, changes.machine)?;
    if form == Form::Program && !facts.is_dynamic && !facts.has_interpreter {
        out.write_all(data).map_err(Error::Write)?;
        return Ok(None);
    }
    if !facts.is_dynamic {
        return Err(Error::Without("dynamic section"));
    }
    if facts.named.saturating_mul(facts.longest_name(data)) > MOST_IN_NAMES {
        return Err(Error::Damaged("its names are absurdly long".into()));
    }
    // The rewriter expects files that a linker made. With other files it panics.
    catch_unwind(AssertUnwindSafe(|| rewrite_whole(data, changes, out)))
        .unwrap_or_else(|_| Err(Error::Damaged("its parts contradict each other".into())))
}

fn rewrite_whole(data: &[u8], changes: &Changes, out: &mut dyn Write) -> Result<Option<String>, Error> {
    let mut elf = Rewriter::read(data)?;
    let soname = elf.elf_soname().map(|name| String::from_utf8_lossy(name).into_owned());
    // Turns DT_RPATH into DT_RUNPATH: DT_RPATH would win over LD_LIBRARY_PATH.
    elf.elf_delete_runpath()?;
    elf.elf_set_runpath(changes.run_path.clone().into_bytes())?;
    if let Some(interpreter) = &changes.interpreter
        && elf.elf_interpreter().is_some()
    {
        elf.elf_set_interpreter(interpreter.clone().into_bytes())?;
    }
    let names = changes.run_path.len() + changes.interpreter.as_ref().map_or(0, String::len);
    elf.write(Limited { out, left: data.len() + data.len() / 16 + MOST_GROWTH + names })?;
    Ok(soname)
}

/// Accepts a limited number of bytes. More are an error.
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

/// The most memory that [`rewrite`] takes besides `data`, in bytes. 0 if it will refuse the file.
pub fn memory(data: &[u8]) -> usize {
    Facts::read(data).map_or(0, |facts| facts.memory)
}

/// What the headers of a file say.
#[derive(Debug)]
struct Facts {
    machine: u16,
    file_type: u16,
    segments: usize,
    sections: usize,
    /// Whether all parts lie within the file. The rewriter trusts offsets, alignments and the sizes of hash tables, and
    /// would write as many bytes as they say.
    is_whole: bool,
    is_dynamic: bool,
    has_interpreter: bool,
    /// How much memory the rewriter takes for the tables, in bytes.
    memory: usize,
    /// The most things that can have a name: symbols, libraries, versions, sections.
    named: usize,
    /// Where the names are: offsets and sizes, in bytes.
    strings: Vec<(u64, u64)>,
}

impl Facts {
    fn read(data: &[u8]) -> object::read::Result<Facts> {
        match FileKind::parse(data)? {
            FileKind::Elf32 => facts(FileHeader32::<Endianness>::parse(data)?, data),
            _ => facts(FileHeader64::<Endianness>::parse(data)?, data),
        }
    }

    /// The length of the longest name, in bytes. This reads all names.
    fn longest_name(&self, data: &[u8]) -> usize {
        let tables = self.strings.iter().filter_map(|&(offset, size)| data.read_bytes_at(offset, size).ok());
        tables.flat_map(|table| table.split(|&byte| byte == 0)).map(<[u8]>::len).max().unwrap_or(0)
    }

    fn check(&self, form: Form, machine: Machine) -> Result<(), Error> {
        let (number, name) = match machine {
            Machine::X86_64 => (EM_X86_64, "x86-64"),
            Machine::I386 => (EM_386, "32-bit x86"),
        };
        if self.machine != number {
            return Err(Error::Foreign(name));
        }
        if self.file_type != ET_DYN && (form == Form::Library || self.file_type != ET_EXEC) {
            return Err(Error::WrongType);
        }
        if self.segments == 0 || self.segments >= usize::from(PN_XNUM) {
            return Err(Error::Without("usable program headers"));
        }
        if self.sections == 0 {
            return Err(Error::Without("sections"));
        }
        if !self.is_whole {
            return Err(Error::Damaged("a part of it lies outside the file".into()));
        }
        Ok(())
    }
}

fn facts<Elf>(header: &Elf, data: &[u8]) -> object::read::Result<Facts>
where
    Elf: FileHeader<Endian = Endianness>,
{
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let sections = header.section_headers(endian, data)?;
    let dynamic = sections.iter().any(|section| section.sh_type(endian) == SHT_DYNAMIC);
    Ok(Facts {
        machine: header.e_machine(endian),
        file_type: header.e_type(endian),
        segments: segments.len(),
        sections: sections.len(),
        is_whole: parts_are_inside(header, data)?,
        is_dynamic: dynamic && segments.iter().any(|segment| segment.p_type(endian) == PT_DYNAMIC),
        has_interpreter: segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP),
        memory: tables::<Elf>(endian, sections, segments.len()),
        named: named::<Elf>(endian, sections),
        strings: sections
            .iter()
            .filter(|section| section.sh_type(endian) == SHT_STRTAB)
            .map(|section| (section.sh_offset(endian).into(), section.sh_size(endian).into()))
            .collect(),
    })
}

/// How much memory the crate `object` takes for the tables of a file. It makes a value of each symbol, relocation and
/// dynamic entry, in vectors that grow by doubling. Each segment has a list of its sections.
fn tables<Elf>(endian: Endianness, sections: &[Elf::SectionHeader], segments: usize) -> usize
where
    Elf: FileHeader<Endian = Endianness>,
{
    let mut bytes = sections.len().saturating_mul(512 + 16 * segments);
    for section in sections {
        let size: u64 = section.sh_size(endian).into();
        // How many bytes one byte of the table becomes. The smallest entries are a symbol of 16 bytes and a relocation of 8.
        let factor = match section.sh_type(endian) {
            SHT_SYMTAB | SHT_DYNSYM => 20,
            SHT_REL | SHT_RELA => 10,
            SHT_DYNAMIC | SHT_GNU_VERDEF | SHT_GNU_VERNEED => 16,
            SHT_NOBITS | SHT_PROGBITS | SHT_NOTE => continue,
            // Its content is read. In a mapped file, that takes memory. Names are in SHT_STRTAB.
            _ => 1,
        };
        bytes = bytes.saturating_add(usize::try_from(size).unwrap_or(usize::MAX).saturating_mul(factor));
    }
    bytes
}

/// The most things that can have names: one for each entry of a table.
fn named<Elf>(endian: Endianness, sections: &[Elf::SectionHeader]) -> usize
where
    Elf: FileHeader<Endian = Endianness>,
{
    let entries = sections.iter().map(|section| {
        let smallest = match section.sh_type(endian) {
            SHT_SYMTAB | SHT_DYNSYM => 16,
            SHT_DYNAMIC | SHT_GNU_VERDEF | SHT_GNU_VERNEED => 8,
            _ => return 0,
        };
        usize::try_from(section.sh_size(endian).into()).unwrap_or(usize::MAX) / smallest
    });
    entries.fold(sections.len(), usize::saturating_add)
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
