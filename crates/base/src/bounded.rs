//! Reads files and streams from outside completely, but only up to a limit. A wrong file may have any size.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why something was not read completely.
#[derive(Debug)]
pub enum ReadError {
    Io(io::Error),
    /// There are more bytes than the limit.
    TooLong,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

/// Reads all of `source`, which may have at most `most` bytes. If it is longer, one byte more is read to find that out.
///
/// # Errors
/// When it cannot be read, and when it is longer.
pub fn read(source: impl Read, most: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    source.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(ReadError::TooLong) } else { Ok(bytes) }
}

/// Reads all of a file, as [`read`] does.
///
/// # Errors
/// When it cannot be opened or read, and when it is longer.
pub fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    read(File::open(path)?, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_the_limit_is_refused() {
        assert_eq!(read(&b"1234"[..], 4).unwrap(), b"1234");
        assert!(matches!(read(&b"12345"[..], 4), Err(ReadError::TooLong)));
        assert!(matches!(read(io::repeat(0), 1 << 20), Err(ReadError::TooLong)));
        assert!(matches!(read_file(Path::new("/nonexistent"), 4), Err(ReadError::Io(_))));
    }
}
