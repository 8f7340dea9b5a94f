//! Tells what a file is by its first bytes. Its name is often wrong.

use std::fmt;

/// A kind of file that people take for a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Zip,
    /// A shell script: perhaps a makeself .run file.
    Script,
    Html,
    /// The vGPU profiles of a host driver.
    VgpuConfig,
    Xml,
    Empty,
    /// Another archive or compressed file, by its name.
    Packed(&'static str),
    WindowsProgram,
    Elf,
    Other,
}

/// Bytes that [`Kind::of`] wants to see.
pub const ENOUGH: usize = 512;

const MAGIC: [(&[u8], Kind); 11] = [
    (b"PK\x03\x04", Kind::Zip),
    (b"PK\x05\x06", Kind::Zip),
    (b"#!", Kind::Script),
    (b"\x1f\x8b", Kind::Packed("a gzip file")),
    (b"\xfd7zXZ\0", Kind::Packed("an xz file")),
    (b"\x28\xb5\x2f\xfd", Kind::Packed("a zstd file")),
    (b"7z\xbc\xaf\x27\x1c", Kind::Packed("a 7-Zip archive")),
    (b"Rar!", Kind::Packed("a RAR archive")),
    (b"!<arch>", Kind::Packed("a Debian package or static library")),
    (b"MZ", Kind::WindowsProgram),
    (b"\x7fELF", Kind::Elf),
];

impl Kind {
    /// Tells the kind from the first bytes of a file ([`ENOUGH`] of them).
    pub fn of(start: &[u8]) -> Kind {
        if start.is_empty() {
            return Kind::Empty;
        }
        if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
            return *kind;
        }
        let text = String::from_utf8_lossy(start).trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
        // XHTML begins like XML. vgpuConfig.xml is known by its document type or its outermost element.
        if text.contains("<!doctype vgpuconfig") || text.contains("<vgpuconfig") {
            Kind::VgpuConfig
        } else if ["<!doctype html", "<html", "<head"].iter().any(|tag| text.contains(tag)) {
            Kind::Html
        } else if text.starts_with("<?xml") {
            Kind::Xml
        } else if text.starts_with("<!--") {
            Kind::Html
        } else {
            Kind::Other
        }
    }

    /// What to do when this was given in place of a driver.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Kind::Html => {
                "a browser saved NVIDIA's login or error page under this name: log in to the licensing portal \
                 and download the archive again"
            }
            Kind::VgpuConfig => "`vgpu profiles list --config FILE` reads it; drivers are in GRID .zip and .run files",
            Kind::Empty => "the download failed: download it again",
            Kind::WindowsProgram => "this is a Windows driver; give the GRID .zip or a Linux .run file",
            _ => "give a GRID .zip (NVIDIA-GRID-Linux-KVM-….zip) or a .run file (NVIDIA-Linux-x86_64-….run)",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Zip => "a .zip archive",
            Kind::Script => "a script",
            Kind::Html => "a web page (HTML)",
            Kind::VgpuConfig => "the list of vGPU profiles of a host driver (vgpuConfig.xml)",
            Kind::Xml => "an XML file",
            Kind::Empty => "an empty file",
            Kind::Packed(name) => name,
            Kind::WindowsProgram => "a Windows program",
            Kind::Elf => "a program or library",
            Kind::Other => "a file of an unknown kind",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_page_is_html_whatever_comes_first() {
        assert_eq!(Kind::of(b"\xef\xbb\xbf\r\n  <!DOCTYPE HTML><html>"), Kind::Html);
        assert_eq!(Kind::of(b"<html lang=en>"), Kind::Html);
        assert_eq!(Kind::of(b"<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC \"\"><html>"), Kind::Html);
    }

    #[test]
    fn profiles_and_other_xml_are_no_web_pages() {
        assert_eq!(
            Kind::of(b"<?xml version=\"1.0\"?>\n<!DOCTYPE vgpuconfig SYSTEM \"vgpuConfig.dtd\">"),
            Kind::VgpuConfig
        );
        assert_eq!(Kind::of(b"<!-- NVIDIA -->\n<vgpuconfig>"), Kind::VgpuConfig);
        assert_eq!(Kind::of(b"<?xml version=\"1.0\"?><domain>"), Kind::Xml);
    }

    #[test]
    fn magic_numbers_decide() {
        assert_eq!(Kind::of(b"PK\x03\x04rest"), Kind::Zip);
        assert_eq!(Kind::of(b"#! /bin/sh\n"), Kind::Script);
        assert_eq!(Kind::of(b""), Kind::Empty);
        assert_eq!(Kind::of(b"hello"), Kind::Other);
    }
}
