//! What Nix tells a builder: the attributes of the derivation, as the JSON document that `__structuredAttrs` makes.
//!
//! nix/packages/driver.nix writes them. Nix and stdenv add many others, which are ignored.

use std::fs;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde::Deserialize;
use thiserror::Error;

use crate::words::options::Options;
use crate::words::output;
use crate::words::role::Role;

/// The attributes of a driver derivation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attributes {
    outputs: Outputs,
    /// NVIDIA's .zip or .run, or a directory with an unpacked driver.
    pub src: PathBuf,
    role: Role,
    #[serde(default)]
    lib_path: Vec<PathBuf>,
    #[serde(default)]
    lib_path_32: Vec<PathBuf>,
    interpreter: Option<PathBuf>,
    shell: Option<PathBuf>,
    #[serde(default)]
    tools: Vec<PathBuf>,
    #[serde(default = "yes")]
    egl_platforms: bool,
}

fn yes() -> bool {
    true
}

/// The store paths to write.
#[derive(Debug, Deserialize)]
struct Outputs {
    out: PathBuf,
    bin: PathBuf,
    lib32: Option<PathBuf>,
    firmware: PathBuf,
    modsrc: PathBuf,
}

/// Why the attributes can't be used.
#[derive(Debug, Error, Diagnostic)]
pub enum Error {
    #[error("cannot read the attributes of the derivation from {}", path.display())]
    #[diagnostic(help("Nix writes this file for derivations with __structuredAttrs = true"))]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the attributes of the derivation in {} are not what a driver needs", path.display())]
    #[diagnostic(help(
        "a driver derivation has outputs {{out, bin, firmware, modsrc}}, src and role; see nix/packages/driver.nix"
    ))]
    Parse {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

impl Attributes {
    /// Reads the file that `$NIX_ATTRS_JSON_FILE` names.
    ///
    /// # Errors
    /// When there is no such file, when an attribute is missing, or when one has the wrong type.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        serde_json::from_slice(&text).map_err(|source| Error::Parse { path: path.to_owned(), source })
    }

    /// Makes the installer's options from the attributes.
    pub fn options(self) -> Options {
        let outputs = output::Outputs {
            out: self.outputs.out,
            bin: self.outputs.bin,
            lib32: self.outputs.lib32,
            firmware: self.outputs.firmware,
            modsrc: self.outputs.modsrc,
        };
        Options {
            role: self.role,
            destination: outputs.clone(),
            outputs,
            lib_path: self.lib_path,
            lib_path_32: self.lib_path_32,
            interpreter: self.interpreter,
            vgpu_config: None,
            shell: self.shell,
            tools: self.tools,
            egl_platforms: self.egl_platforms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Attributes, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".attrs.json");
        fs::write(&path, text).unwrap();
        Attributes::read(&path)
    }

    /// What Nix writes for a guest, with some of what stdenv adds.
    const GUEST: &str = r#"{
        "buildInputs": [], "builder": "/nix/store/x-vgpu/bin/vgpu", "name": "nvidia-vgpu-guest-550.163.01",
        "outputs": {"out": "/o", "bin": "/b", "lib32": "/l", "firmware": "/f", "modsrc": "/m"},
        "src": "/nix/store/y-driver.run", "role": "guest", "libPath": ["/1/lib", "/2/lib"], "libPath32": ["/3/lib"],
        "interpreter": "/ld.so", "shell": "/bin/sh", "tools": ["/4/bin"], "eglPlatforms": false
    }"#;

    #[test]
    fn everything_reaches_the_installer() {
        let attributes = parse(GUEST).unwrap();
        assert_eq!(attributes.src, Path::new("/nix/store/y-driver.run"));
        let options = attributes.options();
        assert!(!options.egl_platforms);
        assert_eq!(options.role, Role::Guest);
        assert_eq!(options.outputs.out, Path::new("/o"));
        assert_eq!(options.outputs.bin, Path::new("/b"));
        assert_eq!(options.outputs.lib32.as_deref(), Some(Path::new("/l")));
        assert_eq!(options.outputs.firmware, Path::new("/f"));
        assert_eq!(options.outputs.modsrc, Path::new("/m"));
        assert_eq!(options.lib_path, [Path::new("/1/lib"), Path::new("/2/lib")]);
        assert_eq!(options.lib_path_32, [Path::new("/3/lib")]);
        assert_eq!(options.interpreter.as_deref(), Some(Path::new("/ld.so")));
        assert_eq!(options.shell.as_deref(), Some(Path::new("/bin/sh")));
        assert_eq!(options.tools, [Path::new("/4/bin")]);
        assert_eq!(options.vgpu_config, None);
    }

    #[test]
    fn a_host_needs_little() {
        let attributes = parse(
            r#"{"outputs": {"out": "/o", "bin": "/b", "firmware": "/f", "modsrc": "/m"}, "src": "/s", "role": "host",
                "interpreter": null}"#,
        )
        .unwrap();
        let options = attributes.options();
        assert!(options.egl_platforms);
        assert_eq!((options.outputs.lib32, options.interpreter, options.shell), (None, None, None));
        assert!(options.lib_path.is_empty() && options.tools.is_empty());
    }

    #[test]
    fn an_error_names_what_is_wrong() {
        let cause = |text: &str| match parse(text) {
            Err(Error::Parse { source, .. }) => source.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(cause(&GUEST.replace("\"role\"", "\"rôle\"")), "missing field `role` at line 6 column 5");
        assert_eq!(
            cause(&GUEST.replace("\"guest\"", "\"visitor\"")),
            "unknown variant `visitor`, expected `host` or `guest` at line 4 column 59"
        );
        assert_eq!(cause(&GUEST.replace("\"bin\"", "\"dev\"")), "missing field `bin` at line 3 column 94");
        assert_eq!(cause("not JSON"), "expected ident at line 1 column 2");
    }
}
