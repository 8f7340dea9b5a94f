//! A driver on a server that wants a password. Nix downloads it with the password in its netrc file, which is never
//! copied to the store.

mod nix_store;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix_store::{NixStore, nixpkgs_lib};
use sha2::{Digest, Sha256};
use vgpu::nix::sri::Sri;

const CONTENT: &[u8] = b"a driver";
const PASSWORD: &str = "open-sesame";

/// Serves [`CONTENT`] to clients that know the password. Returns its address.
fn server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let wanted = format!("authorization: basic {}", STANDARD.encode(format!("me:{PASSWORD}"))).to_ascii_lowercase();
    // This thread ends with the test.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head: Vec<String> =
                BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            let allowed = head.iter().any(|line| line.to_ascii_lowercase() == wanted);
            let (status, body) = if allowed { ("200 OK", CONTENT) } else { ("401 Unauthorized", &b"no"[..]) };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nWWW-Authenticate: Basic\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), body].concat());
        }
    });
    address
}

/// Builds the driver of `driverSource`, with this netrc file for Nix.
fn download(store: &NixStore, lib: &str, netrc: Option<&str>) -> Output {
    let file = store.path().parent().unwrap().join("conf/netrc");
    match netrc {
        Some(text) => fs::write(&file, text).unwrap(),
        None => drop(fs::remove_file(&file)),
    }
    let expression = format!(
        r#"import {root}/nix/lib/driver-source.nix {{
            lib = import {lib};
            fetchurl = throw "curl would be used";
            requireFile = throw "it is not downloaded";
            runCommand = throw "its hash is not known";
        }} {{
            role = "host";
            release = {{ version = "550.163.02"; gridVersion = "17.6"; }};
            driverSource = {{
                name = "driver.run";
                url = "http://{address}/@release@/driver.run";
                sha256 = "{hash}";
                curlOptsList = [ ];
                netrc = true;
            }};
        }}"#,
        root = concat!(env!("CARGO_MANIFEST_DIR"), "/../.."),
        address = server(),
        hash = Sri::of_digest(Sha256::digest(CONTENT).into()),
    );
    let mut command = Command::new("nix-build");
    store.prepare(command.args(["--no-out-link", "-E", &expression])).output().unwrap()
}

#[test]
fn the_password_is_nixs_and_stays_out_of_the_store() {
    let (Some(store), Some(lib)) = (NixStore::new(), nixpkgs_lib()) else { return };
    let lib = lib.display().to_string();
    let refused = download(&store, &lib, None);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("401"), "{refused:?}");

    let netrc = format!("machine 127.0.0.1 login me password {PASSWORD}\n");
    let built = download(&store, &lib, Some(&netrc));
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let path = String::from_utf8(built.stdout).unwrap();
    assert_eq!(fs::read(path.trim()).unwrap(), CONTENT);

    let names = store.names();
    assert!(names.iter().any(|name| name == "driver.run.drv"), "{names:?}");
    for entry in fs::read_dir(store.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let content = fs::read(&path).unwrap();
            assert!(!content.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()), "{}", path.display());
        }
    }
}
