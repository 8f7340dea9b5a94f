//! Small ELF files: shared libraries that load and programs that run, made without a compiler.

use object::Endianness;
use object::build::elf::{Builder, Dynamic, SectionData, SectionId};
use object::build::{ByteString, Bytes};
use object::elf;

/// The programs that a file is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 32-bit programs.
    Elf32,
    /// 64-bit programs.
    Elf64,
}

/// A library with this SONAME. Modules of the X server have none.
pub fn library(soname: Option<&str>, class: Class) -> Vec<u8> {
    let strings = soname.map(|name| (elf::DT_SONAME, name));
    file(class, strings.into_iter().collect(), None)
}

/// An x86-64 program that needs a library, prints `message` and exits 0.
///
/// The dynamic loader of the system starts it, and fails when it doesn't find the library.
pub fn program(needed: Option<&str>, message: &str) -> Vec<u8> {
    let strings = needed.map(|name| (elf::DT_NEEDED, name));
    file(Class::Elf64, strings.into_iter().collect(), Some(message))
}

/// Machine code: write(1, message, length); exit(0).
fn code(message: &str) -> Vec<u8> {
    let mut code = vec![0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0x35]; // mov eax,1; mov edi,1; lea rsi,[rip+…
    code.extend(16u32.to_le_bytes()); // … the message follows 16 bytes of code]
    code.push(0xba); // mov edx,length
    code.extend((message.len() as u32).to_le_bytes());
    code.extend([0x0f, 0x05, 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]); // syscall; mov eax,60; xor edi,edi; syscall
    code.extend(message.as_bytes());
    code.push(0);
    code
}

const INTERPRETER: &[u8] = b"/lib64/ld-linux-x86-64.so.2\0";
const PAGE: u64 = 0x1000;

fn file(class: Class, strings: Vec<(u32, &str)>, message: Option<&str>) -> Vec<u8> {
    let is_64 = class == Class::Elf64;
    let mut elf = Builder::new(Endianness::Little, is_64);
    elf.header.e_type = elf::ET_DYN;
    elf.header.e_machine = if is_64 { elf::EM_X86_64 } else { elf::EM_386 };
    elf.header.e_phoff = elf.file_header_size() as u64;
    elf.hash_bucket_count = 1;

    let alloc = elf::SHF_ALLOC;
    let mut sections = Vec::new();
    if message.is_some() {
        let data = SectionData::Data(Bytes::from(INTERPRETER.to_vec()));
        sections.push(add(&mut elf, ".interp", elf::SHT_PROGBITS, alloc, data));
    }
    let hash = add(&mut elf, ".hash", elf::SHT_HASH, alloc, SectionData::Hash);
    let symbols = add(&mut elf, ".dynsym", elf::SHT_DYNSYM, alloc, SectionData::DynamicSymbol);
    let strings_section = add(&mut elf, ".dynstr", elf::SHT_STRTAB, alloc, SectionData::DynamicString);
    sections.extend([hash, symbols, strings_section]);
    let text = add(
        &mut elf,
        ".text",
        elf::SHT_PROGBITS,
        alloc | elf::SHF_EXECINSTR,
        SectionData::Data(Bytes::from(code(message.unwrap_or_default()))),
    );
    // A run path wants larger program headers; they grow into what lies before the code, which can't move.
    elf.sections.get_mut(text).sh_addralign = 0x200;
    sections.push(text);
    let auto = [elf::DT_HASH, elf::DT_STRTAB, elf::DT_SYMTAB, elf::DT_STRSZ];
    let symbol_size = Dynamic::Integer { tag: elf::DT_SYMENT, val: if is_64 { 24 } else { 16 } };
    let entries = (strings.into_iter())
        .map(|(tag, text)| Dynamic::String { tag, val: ByteString::from(text.as_bytes().to_vec()) })
        .chain(auto.map(|tag| Dynamic::Auto { tag }))
        // Linkers leave spare entries; a run path needs one.
        .chain([symbol_size])
        .chain([const { Dynamic::Integer { tag: elf::DT_NULL, val: 0 } }; 5])
        .collect();
    let dynamic = add(&mut elf, ".dynamic", elf::SHT_DYNAMIC, alloc | elf::SHF_WRITE, SectionData::Dynamic(entries));
    add(&mut elf, ".shstrtab", elf::SHT_STRTAB, 0, SectionData::SectionString);
    for (section, link) in [(hash, symbols), (symbols, strings_section), (dynamic, strings_section)] {
        elf.sections.get_mut(section).sh_link_section = Some(link);
    }
    elf.set_section_sizes();
    lay_out(&mut elf, &sections, dynamic, message.map_or(Kind::Library, |_| Kind::Program));

    let mut bytes = Vec::new();
    elf.write(&mut bytes).expect("a fixed layout can be written");
    bytes
}

fn add(elf: &mut Builder, name: &'static str, kind: u32, flags: u32, data: SectionData<'static>) -> SectionId {
    let section = elf.sections.add();
    section.name = name.as_bytes().into();
    section.sh_type = kind;
    section.sh_flags = flags.into();
    section.sh_addralign = 8;
    section.data = data;
    section.id()
}

#[derive(PartialEq)]
enum Kind {
    Library,
    Program,
}

/// Two segments are loaded: the code, and the dynamic section, which the dynamic loader writes to.
fn lay_out(elf: &mut Builder, sections: &[SectionId], dynamic: SectionId, kind: Kind) {
    let segments = if kind == Kind::Program { 5 } else { 3 };
    let headers = elf.file_header_size() + segments * if elf.is_64 { 56 } else { 32 };
    if kind == Kind::Program {
        // From this segment the dynamic loader learns where the program lies.
        let (start, size) = (elf.header.e_phoff, (headers - elf.file_header_size()) as u64);
        let own = elf.segments.add();
        (own.p_type, own.p_flags, own.p_align) = (elf::PT_PHDR, elf::PF_R, 8);
        (own.p_offset, own.p_vaddr, own.p_paddr) = (start, start, start);
        (own.p_filesz, own.p_memsz) = (size, size);
    }
    let load = elf.segments.add();
    (load.p_type, load.p_flags, load.p_align) = (elf::PT_LOAD, elf::PF_R | elf::PF_X, PAGE);
    (load.p_filesz, load.p_memsz) = (headers as u64, headers as u64);
    for &id in sections {
        load.append_section(elf.sections.get_mut(id));
    }
    let load = elf.segments.add_load_segment(elf::PF_R | elf::PF_W, PAGE);
    load.append_section(elf.sections.get_mut(dynamic));
    let segment = elf.segments.add();
    (segment.p_type, segment.p_flags, segment.p_align) = (elf::PT_DYNAMIC, elf::PF_R | elf::PF_W, 8);
    segment.append_section(elf.sections.get_mut(dynamic));
    if kind == Kind::Program {
        let segment = elf.segments.add();
        (segment.p_type, segment.p_flags, segment.p_align) = (elf::PT_INTERP, elf::PF_R, 1);
        segment.append_section(elf.sections.get_mut(sections[0]));
        elf.header.e_entry = elf.sections.get(sections[sections.len() - 1]).sh_addr;
    }
}
