//! The pages of the manual and what is in them.

#![allow(dead_code)] // Each test uses a part of it.

use std::fs;
use std::path::{Path, PathBuf};

pub fn docs() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("docs")
}

pub fn page(name: &str) -> String {
    fs::read_to_string(docs().join(name)).unwrap_or_else(|error| panic!("docs/{name}: {error}"))
}

/// Every page, by file name.
pub fn pages() -> Vec<String> {
    let entries = fs::read_dir(docs()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> = entries.filter(|name| name.ends_with(".md")).collect();
    pages.sort();
    pages
}

pub fn readme() -> String {
    fs::read_to_string(docs().join("../README.md")).unwrap()
}

/// A fenced block of a page, without the fences.
pub struct Block {
    /// The line that it begins in, counted from 1.
    pub line: usize,
    /// The heading above it.
    pub heading: String,
    pub text: String,
}

/// The fenced blocks of a page in one language.
pub fn blocks_of(text: &str, language: &str) -> Vec<Block> {
    let fence = format!("```{language}");
    let mut heading = String::new();
    let mut blocks = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        if line.starts_with('#') {
            heading = line.trim_start_matches('#').trim().to_owned();
        } else if line.trim_start().starts_with("```") {
            let inside = lines.by_ref().map(|(line, _)| line).take_while(|line| line.trim() != "```");
            let text = inside.map(|line| format!("{line}\n")).collect();
            if line.trim() == fence {
                blocks.push(Block { line: number, heading: heading.clone(), text });
            }
        }
    }
    blocks
}

/// The texts of these blocks.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    blocks_of(text, language).into_iter().map(|block| block.text).collect()
}
