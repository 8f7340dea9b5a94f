//! Tells what a wrong file is, for helpful messages.

use x509_cert::Certificate;
use x509_cert::der::Decode;

/// Says what these bytes are, by their start. For messages: "FILE holds … in place of a token".
pub fn what_it_is(bytes: &[u8]) -> &'static str {
    let start: Vec<u8> = bytes.trim_ascii_start().iter().take(16).map(u8::to_ascii_lowercase).collect();
    if start.is_empty() {
        "nothing but blanks"
    } else if start.starts_with(b"<!doctype html") || start.starts_with(b"<html") {
        "a web page"
    } else if start.starts_with(b"{") || start.starts_with(b"[") {
        "a JSON document"
    } else if start.starts_with(b"-----begin ") {
        "a PEM file (a certificate or a key)"
    } else if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        "UTF-16 text"
    } else if Certificate::from_der(bytes).is_ok() {
        "a certificate in DER form"
    } else if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) {
        "other text"
    } else {
        "binary data"
    }
}
