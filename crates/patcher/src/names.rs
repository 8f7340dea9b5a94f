//! The names of the files that patch.sh takes and leaves.

use std::fs;
use std::path::Path;

/// The file in which patch.sh keeps the certificate that it signs Windows drivers with.
pub const CERTIFICATE: &str = "wtestsign";

/// The names in `directory` that end in `suffix`, sorted.
pub fn names(directory: &Path, suffix: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(suffix))
        .collect();
    names.sort();
    names
}
