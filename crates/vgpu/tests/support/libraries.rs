//! 64-bit ELF files that are made larger, or whose headers are wrong.

#![allow(dead_code)] // Each test program uses its part.

pub const SHT_STRTAB: u32 = 3;
pub const SHT_DYNSYM: u32 = 11;

/// The length of a section's header, in bytes.
const HEADER: usize = 64;

fn number(file: &[u8], at: usize) -> usize {
    u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize
}

fn set(file: &mut [u8], at: usize, value: usize) {
    file[at..at + 8].copy_from_slice(&(value as u64).to_le_bytes());
}

/// Where the headers of sections lie, and how many there are.
fn headers(file: &[u8]) -> (usize, usize) {
    (number(file, 0x28), usize::from(u16::from_le_bytes(file[0x3c..0x3e].try_into().unwrap())))
}

/// Where the header of the first section of a type lies.
pub fn header_of(file: &[u8], kind: u32) -> usize {
    let (start, count) = headers(file);
    let mut all = (0..count).map(|number| start + number * HEADER);
    all.find(|&at| file[at + 4..at + 8] == kind.to_le_bytes()).expect("a section of this type")
}

/// Adds a section that is not loaded at the end of a file, with this content.
pub fn add_section(file: &mut Vec<u8>, content: &[u8]) {
    let (start, count) = headers(file);
    let table = file[start..start + count * HEADER].to_vec();
    let mut new = table[(count - 1) * HEADER..].to_vec();
    let offset = file.len();
    file.extend(content);
    let moved = file.len();
    file.extend(table);
    new[4..8].copy_from_slice(&1u32.to_le_bytes());
    set(&mut new, 0x18, offset);
    set(&mut new, 0x20, content.len());
    file.extend(new);
    set(file, 0x28, moved);
    file[0x3c..0x3e].copy_from_slice(&(count as u16 + 1).to_le_bytes());
}

/// Adds new content for the section of a type at the end of a file.
pub fn let_section_be(file: &mut Vec<u8>, kind: u32, content: &[u8]) {
    let (header, offset) = (header_of(file, kind), file.len().next_multiple_of(8));
    file.resize(offset, 0);
    file.extend(content);
    set(file, header + 0x18, offset);
    set(file, header + 0x20, content.len());
}
