//! Checks the root certificate of a licence server: the file must have exactly one PEM certificate, and no secret.
//!
//! gridd-unlock-patcher writes the file unchanged into nvidia-gridd, over the certificates there. It only looks for the
//! words BEGIN CERTIFICATE. So without this check, nobody notices a wrong file until a virtual machine gets no licence.
//! Usual mistakes are the web page of a failed download, a DER file, the whole chain, and the key.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use vgpu_base::bounded::{self, ReadError};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::wrong_file::what_it_is;

/// The most bytes that are read. nvidia-gridd has room for a certificate of some 4 KB.
const MAX_BYTES: u64 = 1024 * 1024;

/// The licence server's address for its root certificate, as in fastapi-dls. Before the certificate is known, nothing
/// proves that the server is the right one, so users compare the fingerprint.
const FETCH: &str = "fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; \
                     then compare what this prints here and on the server: \
                     openssl x509 -noout -fingerprint -sha256 -in root.pem";

/// What is wrong with a certificate file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CertificateError {
    #[error("cannot read {}", path.display())]
    #[diagnostic(help("the root certificate has to be a file that exists when the system is built"))]
    Read { path: PathBuf, source: io::Error },

    #[error("{} is empty, no certificate", path.display())]
    #[diagnostic(help("{FETCH}"))]
    Empty { path: PathBuf },

    #[error("{} is larger than {} KiB, no certificate", path.display(), MAX_BYTES / 1024)]
    #[diagnostic(help("{FETCH}"))]
    TooLarge { path: PathBuf },

    #[error("{} holds {what} in place of a PEM certificate", path.display())]
    #[diagnostic(help("{FETCH}"))]
    NoPem { path: PathBuf, what: &'static str },

    #[error("{} is a certificate in DER form, but PEM is needed", path.display())]
    #[diagnostic(help("convert it: openssl x509 -inform der -in {} -out certificate.pem", path.display()))]
    Der { path: PathBuf },

    #[error("{} holds a key ({label})", path.display())]
    #[diagnostic(help(
        "give only the certificate; every user can read the Nix store, so make a new key if this file was in it"
    ))]
    Key { path: PathBuf, label: String },

    #[error("{} holds a PEM block {label} in place of CERTIFICATE", path.display())]
    #[diagnostic(help("{FETCH}"))]
    OtherPem { path: PathBuf, label: String },

    #[error("{} holds {count} PEM blocks, but one certificate is needed", path.display())]
    #[diagnostic(help(
        "keep the root certificate of the licence server, the one that issued itself, and remove the others"
    ))]
    Several { path: PathBuf, count: usize },

    #[error("{}: line {line} belongs to no certificate", path.display())]
    #[diagnostic(help(
        "keep the lines from BEGIN CERTIFICATE to END CERTIFICATE, blank lines and comments that begin with #. Every user can \
         read the Nix store: if that line was part of a key, make a new key"
    ))]
    Foreign { path: PathBuf, line: usize },

    #[error("{} holds a damaged certificate: {reason}", path.display())]
    #[diagnostic(help("the file may have been cut or changed by an editor; {FETCH}"))]
    Damaged { path: PathBuf, reason: String },
}

/// A valid certificate. Its dates may be wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct CheckedCertificate {
    /// The subject's name, as RFC 4514 writes it.
    pub subject: String,
    /// Set when this machine's clock is outside the certificate's dates. That is no error: the clock of a build may be wrong.
    pub warning: Option<String>,
}

/// Reads `path` and tells whether it is exactly one PEM certificate. `now` is compared with its dates.
pub fn check(path: &Path, now: SystemTime) -> Result<CheckedCertificate, CertificateError> {
    let text = read(path)?;
    let path = || path.to_owned();
    let labels = labels(&text);
    if let Some(label) = labels.iter().find(|label| label.ends_with("PRIVATE KEY")) {
        return Err(CertificateError::Key { path: path(), label: label.clone() });
    }
    match labels.as_slice() {
        [] => return Err(no_pem(path(), &text)),
        [label] if label == "CERTIFICATE" => {}
        [label] => return Err(CertificateError::OtherPem { path: path(), label: label.clone() }),
        several => return Err(CertificateError::Several { path: path(), count: several.len() }),
    }
    let damaged = |reason: String| CertificateError::Damaged { path: path(), reason };
    let block = pem::parse(&text).map_err(|error| match error {
        // The parser returns this for a block without its last line.
        pem::PemError::MalformedFraming => damaged("the line END CERTIFICATE is missing".into()),
        other => damaged(other.to_string()),
    })?;
    let certificate = Certificate::from_der(block.contents()).map_err(|error| damaged(error.to_string()))?;
    if let Some(line) = foreign_line(&text) {
        return Err(CertificateError::Foreign { path: path(), line });
    }
    // A key in comments is in the store, too. The Nix side looks for the same words.
    if text.windows(11).any(|words| words == b"PRIVATE KEY") {
        return Err(CertificateError::Key { path: path(), label: "PRIVATE KEY".to_owned() });
    }
    Ok(CheckedCertificate {
        subject: certificate.tbs_certificate().subject().to_string(),
        warning: outside(&certificate, now),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let path = path.to_owned();
    match bounded::read_file(&path, MAX_BYTES) {
        Ok(text) if text.is_empty() => Err(CertificateError::Empty { path }),
        Ok(text) => Ok(text),
        Err(ReadError::TooLong) => Err(CertificateError::TooLarge { path }),
        Err(ReadError::Io(source)) => Err(CertificateError::Read { path, source }),
    }
}

/// The label of every PEM block that begins in the text, whether it ends or not.
fn labels(text: &[u8]) -> Vec<String> {
    text.split(|&byte| byte == b'\n' || byte == b'\r')
        .filter_map(|line| line.trim_ascii().strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----"))
        .map(|label| String::from_utf8_lossy(label).into_owned())
        .collect()
}

/// The number of the first line, from 1 on, that is not part of the block, not blank and no comment. A key can be hidden
/// in many forms; all of them need such a line.
fn foreign_line(text: &[u8]) -> Option<usize> {
    let mut inside = false;
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        let allowed = match line {
            b"-----BEGIN CERTIFICATE-----" => !std::mem::replace(&mut inside, true),
            b"-----END CERTIFICATE-----" => std::mem::replace(&mut inside, false),
            _ if inside => line.iter().all(base64),
            // Other line ends than these would begin a line that is no comment.
            _ => line.is_empty() || line.starts_with(b"#") && !line.iter().any(control),
        };
        if !allowed {
            return Some(number + 1);
        }
    }
    None
}

/// Says what a file without a PEM block is.
fn no_pem(path: PathBuf, text: &[u8]) -> CertificateError {
    if Certificate::from_der(text).is_ok() {
        return CertificateError::Der { path };
    }
    CertificateError::NoPem { path, what: what_it_is(text) }
}

fn outside(certificate: &Certificate, now: SystemTime) -> Option<String> {
    let validity = certificate.tbs_certificate().validity();
    if now > validity.not_after.to_system_time() {
        Some(format!("the certificate expired on {}", validity.not_after.to_date_time()))
    } else if now < validity.not_before.to_system_time() {
        Some(format!("the certificate is valid from {} on", validity.not_before.to_date_time()))
    } else {
        None
    }
}
