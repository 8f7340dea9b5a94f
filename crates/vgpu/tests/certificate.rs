//! `vgpu check-certificate` with good files, expired ones, and other files that people have.

#[path = "nix_store/mod.rs"]
mod nix_store;

use std::path::Path;

use assert_cmd::Command;
use insta::assert_snapshot;
use nix_store::{NixStore, nixpkgs_lib};

/// Self-signed, 2024 to the end of 9999.
const GOOD: &str = include_str!("certificates/good.pem");

/// Self-signed, expired on 2021-01-01.
const EXPIRED: &str = include_str!("certificates/expired.pem");

/// A PEM block of another kind. Its content does not matter.
fn block(label: &str) -> String {
    format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")
}

fn command(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("vgpu").unwrap();
    command.current_dir(dir).arg("check-certificate").arg("root.pem");
    command
}

/// What the command says of a file it accepts: standard output, then standard error.
fn accepted(content: impl AsRef<[u8]>) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("root.pem"), content).unwrap();
    let output = command(dir.path()).assert().success().get_output().clone();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What the command says of a file it refuses, without the first line, which is always the same.
fn refused(content: impl AsRef<[u8]>) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("root.pem"), content).unwrap();
    let output = command(dir.path()).assert().failure().code(1).get_output().clone();
    assert!(output.stdout.is_empty(), "a refused file yields no result");
    let text = String::from_utf8(output.stderr).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    assert_eq!(first, "error: cannot use this file as the licence server's root certificate");
    rest.into()
}

#[test]
fn one_certificate_is_accepted() {
    assert_snapshot!(accepted(GOOD), @"CN=Licence server for tests");
}

#[test]
fn comments_around_it_and_windows_line_ends_are_no_harm() {
    assert_snapshot!(accepted(format!("# subject=CN = Licence server\r\n{}\r\n", GOOD.replace('\n', "\r\n"))), @"CN=Licence server for tests");
}

#[test]
fn an_expired_certificate_is_a_warning() {
    assert_snapshot!(accepted(EXPIRED), @r"
        CN=Expired
        note: root.pem: the certificate expired on 2021-01-01T00:00:00Z by this machine's clock
        ");
}

#[test]
fn a_missing_file_or_a_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let stderr =
        |dir: &Path| String::from_utf8(command(dir).assert().failure().code(1).get_output().stderr.clone()).unwrap();
    assert_snapshot!(stderr(dir.path()), @r"
        error: cannot use this file as the licence server's root certificate
        cause: cannot read root.pem
        cause: No such file or directory (os error 2)
        help: the root certificate has to be a file that exists when the system is built
        ");
    std::fs::create_dir(dir.path().join("root.pem")).unwrap();
    assert_snapshot!(stderr(dir.path()), @r"
        error: cannot use this file as the licence server's root certificate
        cause: cannot read root.pem
        cause: Is a directory (os error 21)
        help: the root certificate has to be a file that exists when the system is built
        ");
}

#[test]
fn keys_are_refused_wherever_they_stand() {
    assert_snapshot!(refused(block("PRIVATE KEY")), @r"
        cause: root.pem holds a key (PRIVATE KEY)
        help: give only the certificate; every user can read the Nix store, so make a new key if this file was in it
        ");
    assert_snapshot!(refused(format!("{GOOD}{}", block("RSA PRIVATE KEY"))), @r"
        cause: root.pem holds a key (RSA PRIVATE KEY)
        help: give only the certificate; every user can read the Nix store, so make a new key if this file was in it
        ");
    assert_snapshot!(refused(format!("{}{GOOD}", block("ENCRYPTED PRIVATE KEY"))), @r"
        cause: root.pem holds a key (ENCRYPTED PRIVATE KEY)
        help: give only the certificate; every user can read the Nix store, so make a new key if this file was in it
        ");
}

#[test]
fn other_pem_blocks_are_named() {
    assert_snapshot!(refused(block("CERTIFICATE REQUEST")), @r"
        cause: root.pem holds a PEM block CERTIFICATE REQUEST in place of CERTIFICATE
        help: fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
    assert_snapshot!(refused(block("PUBLIC KEY")), @r"
        cause: root.pem holds a PEM block PUBLIC KEY in place of CERTIFICATE
        help: fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
}

#[test]
fn several_certificates_are_counted() {
    assert_snapshot!(refused(format!("{GOOD}{EXPIRED}")), @r"
        cause: root.pem holds 2 PEM blocks, but one certificate is needed
        help: keep the root certificate of the licence server, the one that issued itself, and remove the others
        ");
}

#[test]
fn a_der_certificate_is_told_from_other_binary_data() {
    assert_snapshot!(refused(pem::parse(GOOD).unwrap().contents()), @r"
        cause: root.pem is a certificate in DER form, but PEM is needed
        help: convert it: openssl x509 -inform der -in root.pem -out certificate.pem
        ");
    assert_snapshot!(refused([0x30, 0x82, 0, 0xff]), @r"
        cause: root.pem holds binary data in place of a PEM certificate
        help: fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
}

#[test]
fn what_failed_downloads_leave_is_named() {
    assert_snapshot!(refused(""), @r"
        cause: root.pem is empty, no certificate
        help: fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
    assert_snapshot!(refused("  \n\n"), @r"
        cause: root.pem holds nothing but blanks in place of a PEM certificate
        help: fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
    assert_snapshot!(refused("\n<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"), @r"
        cause: root.pem holds a web page in place of a PEM certificate
        help: fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
    assert_snapshot!(refused(r#"{"detail":"Not Found"}"#), @r"
        cause: root.pem holds a JSON document in place of a PEM certificate
        help: fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
    assert_snapshot!(refused("Not Found"), @r"
        cause: root.pem holds other text in place of a PEM certificate
        help: fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
    assert_snapshot!(refused(vec![b'x'; 1024 * 1024 + 1]), @r"
        cause: root.pem is larger than 1024 KiB, no certificate
        help: fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
}

#[test]
fn damaged_certificates_are_refused() {
    let lines: Vec<&str> = GOOD.lines().collect();
    assert_snapshot!(refused(lines[..5].join("\n")), @r"
        cause: root.pem holds a damaged certificate: the line END CERTIFICATE is missing
        help: the file may have been cut or changed by an editor; fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
    assert_snapshot!(refused([&lines[..3], &lines[5..]].concat().join("\n")), @r"
        cause: root.pem holds a damaged certificate: ASN.1 DER message is incomplete: expected 270, actual 269 at DER byte 269
        help: the file may have been cut or changed by an editor; fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
    assert_snapshot!(refused(GOOD.replace("MIIB", "MI*B")), @r"
        cause: root.pem holds a damaged certificate: invalid data: Invalid symbol 42, offset 2.
        help: the file may have been cut or changed by an editor; fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
    assert_snapshot!(refused(block("CERTIFICATE")), @r"
        cause: root.pem holds a damaged certificate: unknown/unsupported ASN.1 DER tag: 0x00 at DER byte 1
        help: the file may have been cut or changed by an editor; fetch it from the licence server: curl -kfo root.pem https://SERVER/-/config/root-certificate; then compare what this prints here and on the server: openssl x509 -noout -fingerprint -sha256 -in root.pem
        ");
}

/// A key in forms that no PEM parser recognises as one.
fn disguises() -> [String; 7] {
    let key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n";
    [
        key.to_owned(),
        format!("-----BEGIN PRIVATE KEY----\n{key}-----END PRIVATE KEY----\n"),
        format!("----BEGIN PRIVATE KEY----\n{key}"),
        format!("-----begin private key-----\n{key}-----end private key-----\n"),
        format!("> -----BEGIN RSA PRIVATE KEY-----\n> {key}"),
        format!("PRIVATE KEY: {key}"),
        "\u{0}\u{1}\u{2}\n".to_owned(),
    ]
}

#[test]
fn anything_else_in_the_file_is_refused() {
    for more in disguises() {
        let lines = GOOD.lines().count();
        assert!(refused(format!("{GOOD}{more}")).contains(&format!("line {} belongs to no", lines + 1)), "{more:?}");
        assert!(!refused(format!("{more}{GOOD}")).is_empty(), "{more:?}");
    }
    // A comment ends at a line end of any kind.
    for end in ["\r", "\u{b}", "\u{c}"] {
        let hidden = refused(format!("# a comment{end}{key}{GOOD}", key = disguises()[0]));
        assert!(hidden.contains("line 1 belongs to no"), "{end:?}: {hidden}");
    }
    assert!(refused(format!("{GOOD}-----END CERTIFICATE-----\n")).contains("belongs to no"));
    let comments = block("PRIVATE KEY").replace("\n", "\n# ");
    assert!(refused(format!("{GOOD}# {comments}\n")).contains("holds a key"));
    // In the block, only the certificate is base64.
    let headers = GOOD.replacen("-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1);
    assert!(!refused(headers).is_empty());
    // Nor is there more in it.
    let key = &disguises()[0];
    let inside = GOOD.replace("-----END", &format!("{key}-----END"));
    assert!(refused(inside).contains("damaged certificate"));
}

/// What the modules say of a file before it is in the store, where every user can read it.
#[test]
fn nix_refuses_what_could_be_a_key() {
    let (Some(store), Some(lib)) = (NixStore::new(), nixpkgs_lib()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let problem = |content: &str| {
        let file = dir.path().join("root.pem");
        std::fs::write(&file, content).unwrap();
        let (problem, lib) =
            (concat!(env!("CARGO_MANIFEST_DIR"), "/../../nix/lib/certificate-problem.nix"), lib.display());
        let said = [file.display().to_string(), format!("\"{}\"", file.display())].map(|file| {
            let said = store.evaluate(&format!("import {problem} {{ lib = import {lib}; }} {file}"));
            said.as_str().map(ToOwned::to_owned)
        });
        assert_eq!(said[0], said[1], "a path, and a string that is one");
        said[0].clone()
    };
    for good in [GOOD.to_owned(), EXPIRED.to_owned(), format!("# subject=CN\r\n{}\r\n", GOOD.replace('\n', "\r\n"))] {
        assert_eq!(problem(&good), None, "{good}");
    }
    // Nix has no strings with a NUL.
    for more in disguises().iter().filter(|more| !more.contains('\0')) {
        for content in [format!("{GOOD}{more}"), format!("{more}{GOOD}")] {
            assert!(problem(&content).is_some(), "{content}");
        }
    }
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"] {
        let said = problem(&format!("{GOOD}{}", block(label)));
        assert_eq!(
            said.unwrap(),
            "has a private key in it: make a new one if this file was ever in a store or repository"
        );
    }
    // Base64 as a certificate has it, in the block and behind it; a second block; a key under the name of a certificate.
    let key = &disguises()[0];
    let in_block = |content: &str| format!("-----BEGIN CERTIFICATE-----\n{content}-----END CERTIFICATE-----\n");
    let inside = GOOD.lines().filter(|line| !line.starts_with('-')).map(|line| format!("{line}\n")).collect::<String>();
    assert_eq!(problem(&in_block(&inside)), None);
    for content in [
        GOOD.replace("-----END", &format!("{key}-----END")),
        GOOD.replacen("-----\n", &format!("-----\n{key}"), 1),
        format!("{GOOD}{key}"),
        format!("{GOOD}{GOOD}"),
        format!("{GOOD}{}", in_block(key)),
        in_block(key),
        in_block("MHcCAQEEIBDANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA\n"),
        in_block(&inside.replace('=', "")),
        in_block(&inside.replacen('\n', "=\n", 1)),
        in_block(&inside[..inside.len() / 2]),
        in_block("AAAA\n"),
        in_block("=\n"),
    ] {
        let said = problem(&content);
        assert_eq!(said.as_deref(), Some("has lines that belong to no certificate, and could be a key"), "{content}");
    }
    assert!(problem("").is_some());
    assert!(problem(&"A".repeat(20_000)).is_some());
    assert_eq!(store.names(), [""; 0], "something is in the store");
}
