//! Changes the content of a file: bytes in, bytes out. Nothing here knows where the result is written.

use std::io::{self, Write};

use crate::elf::{self, Changes, Form, Machine};
use crate::memory::Refused;
use crate::text::{self, JsonError};
use crate::words::options::Options;
use crate::words::output::{Output, Place, Treatment};

/// The longest script, in bytes: nvidia-bug-report.sh has 60 KB.
const LONGEST_SCRIPT: usize = 2 << 20;
/// Changing a script takes at most this many times its size of memory, since paths get longer.
const SCRIPT_MEMORY: usize = 16;

/// What is wrong with a file of the driver. The text continues a sentence that begins with its name.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("should be a library, but is not an ELF file")]
    NotElf,
    #[error("does not name the vgpuConfig.xml that it reads")]
    NoConfig,
    #[error("cannot be given a run path: {0}")]
    Elf(elf::Error),
    #[error("is a script that is not UTF-8")]
    ScriptNotUtf8,
    #[error("is a script of absurd length")]
    ScriptTooLong,
    #[error("is not UTF-8 text")]
    NotUtf8,
    #[error("is too large for a list of libraries")]
    ListTooLong,
    #[error("{0}")]
    Json(#[from] JsonError),
    #[error("is not in this driver, so it cannot be replaced: only host drivers have one")]
    Absent,
    #[error("is too large: {0}")]
    Memory(#[from] Refused),
}

/// Why a file could not be treated.
#[derive(Debug)]
pub enum Failed {
    /// Something is wrong with the file.
    File(Problem),
    /// The result could not be written.
    Write(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Write(error)
    }
}

/// What is done to this file. Its content decides: a program can be a script, or neither program nor script.
pub fn of_content(treatment: Treatment, content: &[u8]) -> Treatment {
    match treatment {
        Treatment::Program if content.starts_with(b"#!") => Treatment::Script,
        Treatment::Program if !elf::is_elf(content) => Treatment::Copy,
        treatment => treatment,
    }
}

/// How much memory a treatment takes besides the content, in bytes.
pub fn memory(treatment: Treatment, content: &[u8]) -> usize {
    match treatment {
        Treatment::Library | Treatment::Program => elf::memory(content),
        Treatment::Script => content.len().min(LONGEST_SCRIPT) * SCRIPT_MEMORY,
        Treatment::Copy | Treatment::LibraryJson | Treatment::OpenclIcd => 0,
    }
}

/// Writes the content of a file, changed as its place wants it. Returns the SONAME of a library that has one.
pub fn treat(
    treatment: Treatment,
    place: &Place,
    content: &mut [u8],
    options: &Options,
    out: &mut dyn Write,
) -> Result<Option<String>, Failed> {
    match treatment {
        Treatment::Library => library(place, content, options, out),
        Treatment::Program => {
            if place.path.as_str() == "bin/nvidia-vgpud" && text::redirect_config(content) == 0 {
                return Err(Failed::File(Problem::NoConfig));
            }
            rewrite(Form::Program, place, content, options, out)
        }
        Treatment::Script => {
            if content.len() > LONGEST_SCRIPT {
                return Err(Failed::File(Problem::ScriptTooLong));
            }
            let script = std::str::from_utf8(content).map_err(|_| Failed::File(Problem::ScriptNotUtf8))?;
            let script = text::script(script, options).ok_or(Failed::File(Problem::ScriptTooLong))?;
            out.write_all(script.as_bytes())?;
            Ok(None)
        }
        Treatment::Copy | Treatment::LibraryJson | Treatment::OpenclIcd => {
            out.write_all(content)?;
            Ok(None)
        }
    }
}

/// Writes a library, changed as its place wants it. Returns its SONAME, if it has one.
pub fn library(
    place: &Place,
    content: &[u8],
    options: &Options,
    out: &mut dyn Write,
) -> Result<Option<String>, Failed> {
    rewrite(Form::Library, place, content, options, out)
}

fn rewrite(
    form: Form,
    place: &Place,
    content: &[u8],
    options: &Options,
    out: &mut dyn Write,
) -> Result<Option<String>, Failed> {
    if !elf::is_elf(content) {
        return Err(Failed::File(Problem::NotElf));
    }
    elf::rewrite(content, form, &elf_changes(place.output, options), out).map_err(|error| match error {
        elf::Error::Write(source) => Failed::Write(source),
        error => Failed::File(Problem::Elf(error)),
    })
}

fn elf_changes(output: Output, options: &Options) -> Changes {
    let (own, system, machine) = match (output, &options.outputs.lib32) {
        (Output::Lib32, Some(lib32)) => (lib32, &options.lib_path_32, Machine::I386),
        _ => (&options.outputs.out, &options.lib_path, Machine::X86_64),
    };
    let mut run_path = own.join("lib").display().to_string();
    for dir in system {
        run_path.push(':');
        run_path.push_str(&dir.display().to_string());
    }
    Changes { run_path, interpreter: options.interpreter.as_ref().map(|path| path.display().to_string()), machine }
}
