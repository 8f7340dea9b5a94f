//! SHA-256 hashes in all forms that Nix uses. All are read; they are printed as SRI: `sha256-` and base64.
//!
//! Users see all four: `nix-hash --flat` prints hexadecimal, `nix-prefetch-url` nix-base32, error messages SRI.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Nix's digits for base 32: no e, o, u, t, so that no hash spells a word.
const NIX_BASE32: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// A SHA-256 hash. Prints and serialises as SRI; reads SRI, base64, hexadecimal and nix-base32, the latter three also
/// with Nix's prefix `sha256:`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sri([u8; 32]);

/// A text that is no SHA-256 hash.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SriError {
    #[error("`{0}` is not a SHA-256 hash")]
    #[diagnostic(help(
        "a hash is `sha256-` and 44 characters of base64, or 64 hexadecimal or 52 nix-base32 digits; \
         `nix-hash --flat --base32 --type sha256 FILE` prints one"
    ))]
    Malformed(String),
    #[error("`{0}` is a hash, but not a SHA-256")]
    #[diagnostic(help("compute it with `nix-hash --flat --base32 --type sha256 FILE`"))]
    OtherAlgorithm(String),
}

impl Sri {
    /// The hash whose bytes are `digest`.
    pub fn of_digest(digest: [u8; 32]) -> Sri {
        Sri(digest)
    }

    /// 64 hexadecimal digits, which the older commands of Nix want.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromStr for Sri {
    type Err = SriError;

    fn from_str(text: &str) -> Result<Sri, SriError> {
        let digits = match text.split_once(['-', ':']) {
            Some(("sha256", digits)) => digits,
            Some(("md5" | "sha1" | "sha512", _)) => return Err(SriError::OtherAlgorithm(text.to_owned())),
            Some(_) => return Err(SriError::Malformed(text.to_owned())),
            None => text,
        };
        let bytes = match digits.len() {
            64 => decode_hex(digits),
            52 => decode_nix_base32(digits),
            _ => STANDARD.decode(digits).ok(),
        };
        bytes
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .map(Sri)
            .ok_or_else(|| SriError::Malformed(text.to_owned()))
    }
}

fn decode_hex(digits: &str) -> Option<Vec<u8>> {
    let values: Option<Vec<u8>> = digits.chars().map(|c| c.to_digit(16).and_then(|v| u8::try_from(v).ok())).collect();
    Some(values?.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// Nix's base 32 is a little-endian number of 5-bit digits, the last character being the lowest.
fn decode_nix_base32(digits: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0u8; digits.len() * 5 / 8];
    for (place, digit) in digits.bytes().rev().enumerate() {
        let value = u16::try_from(NIX_BASE32.iter().position(|d| *d == digit)?).ok()?;
        let shifted = value << (place * 5 % 8);
        let byte = place * 5 / 8;
        let [low, high] = shifted.to_le_bytes();
        *bytes.get_mut(byte)? |= low;
        match bytes.get_mut(byte + 1) {
            Some(next) => *next |= high,
            None if high != 0 => return None, // more than 256 bits
            None => {}
        }
    }
    Some(bytes)
}

impl fmt::Display for Sri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256-{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Sri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl TryFrom<String> for Sri {
    type Error = SriError;

    fn try_from(text: String) -> Result<Sri, SriError> {
        text.parse()
    }
}

impl From<Sri> for String {
    fn from(sri: Sri) -> String {
        sri.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One hash as `nix-hash --to-base16`, `--to-base32` and `--to-sri` print it.
    const SRI: &str = "sha256-CFK1IPg9uAyEa5cA0vou47/SvobZ5DK5ap81j/AjCBQ=";
    const HEX: &str = "0852b520f83db80c846b9700d2fa2ee3bfd2be86d9e432b96a9f358ff0230814";
    const BASE32: &str = "05084gq8ydczdawk5r6rhszd5gz35vxd404pdf20rf1xz0hbalh8";

    #[test]
    fn reads_every_way_nix_writes_a_hash() {
        let base64 = SRI.trim_start_matches("sha256-");
        for text in
            [SRI, base64, HEX, &HEX.to_uppercase(), BASE32, &format!("sha256:{HEX}"), &format!("sha256:{BASE32}")]
        {
            assert_eq!(text.parse::<Sri>().unwrap().to_string(), SRI, "{text}");
            assert_eq!(text.parse::<Sri>().unwrap().hex(), HEX, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_sha256() {
        for text in [
            "",
            "sha256-",
            "sha256-CFK1",
            &SRI.replace('=', ""),
            &HEX.replace('0', "g"),
            &BASE32.replace('0', "e"),
            &format!("z{}", &BASE32[1..]), // 257 bits
            "sha512-CFK1IPg9uAyEa5cA0vou47/SvobZ5DK5ap81j/AjCBQ=",
            "crc-CFK1IPg9uAyEa5cA0vou47/SvobZ5DK5ap81j/AjCBQ=",
            "sha256-ü",
        ] {
            text.parse::<Sri>().expect_err(text);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_is_read_back(digest: [u8; 32]) {
            let sri = Sri::of_digest(digest);
            proptest::prop_assert_eq!(sri.to_string().parse::<Sri>().unwrap(), sri);
        }
    }
}
