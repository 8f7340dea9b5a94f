//! The vGPUs that a host should have: /etc/nvidia/vgpu/instances.json. The NixOS module writes it, or people do.
//!
//! ```json
//! {
//!   "instances": {
//!     "office": { "profile": "A40-8Q", "gpu": "0000:41:00.0", "parameters": { "frame_rate_limiter": false } }
//!   },
//!   "gpus": { "0000:41:00.0": { "mixed_sizes": false } }
//! }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::unique;
use crate::machine::pci::Address;
use crate::machine::vgpu::Sizes;

/// Where the declaration lies on every host.
pub const PATH: &str = "/etc/nvidia/vgpu/instances.json";

/// Where the declaration of the machine with this root directory is.
pub fn path(root: &Path) -> PathBuf {
    root.join(PATH.trim_start_matches('/'))
}

/// The vGPUs and the modes of GPUs that are wanted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    #[serde(default, deserialize_with = "unique::map")]
    pub instances: BTreeMap<Name, Instance>,
    #[serde(default, deserialize_with = "unique::map")]
    pub gpus: BTreeMap<Address, Gpu>,
}

/// One vGPU.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// NVIDIA's name of the profile, with or without "NVIDIA " or "GRID ", or its number.
    pub profile: ProfileName,
    /// The physical GPU. Without it, any that has room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Address>,
    /// UUID of the mediated device. Without it, one made from the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
    /// The virtual function. Without it, a free one, which stays the same from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_function: Option<Address>,
    /// The parameters for `vgpu_params`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "unique::map")]
    pub parameters: BTreeMap<String, Parameter>,
    /// Where in the GPU's memory: `vgpu-placement-id` of NVIDIA's user guide, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<u32>,
    /// The owner of /dev/vfio/N. Without it, root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The group that may open /dev/vfio/N.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// Settings of a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Whether vGPUs of several sizes may be on it. If it is not set, the mode stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixed_sizes: Option<bool>,
}

impl Gpu {
    /// The sizes of vGPU that the GPU should take at once, if that is declared.
    pub fn sizes(self) -> Option<Sizes> {
        self.mixed_sizes.map(|mixed| if mixed { Sizes::Mixed } else { Sizes::Equal })
    }
}

/// Name of an instance: letters, digits, `.`, `_`, `-`; it becomes a file name in /run/vgpu.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text that cannot name an instance.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{0:?} cannot name an instance")]
#[diagnostic(help("use 1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first"))]
pub struct NotAName(String);

impl TryFrom<String> for Name {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Name, NotAName> {
        let mut bytes = text.bytes();
        let good = bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && text.len() <= 64;
        if good { Ok(Name(text)) } else { Err(NotAName(text)) }
    }
}

impl std::str::FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Name, NotAName> {
        text.to_owned().try_into()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Name {
    /// UUID of the mediated device of this name: always the same, on every machine.
    pub fn uuid(&self) -> Uuid {
        self.uuid_below("instances")
    }

    /// UUID for a virtual machine that uses this instance. QEMU needs it as an argument.
    pub fn vm_uuid(&self) -> Uuid {
        self.uuid_below("virtual-machines")
    }

    fn uuid_below(&self, kind: &str) -> Uuid {
        let url = format!("https://github.com/mrzenc/vgpu4nixos/{kind}/{}", self.0);
        Uuid::new_v5(&Uuid::NAMESPACE_URL, url.as_bytes())
    }
}

/// A profile as people name it: a number, or a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum ProfileName {
    Number(u32),
    Text(String),
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProfileName::Number(number) => write!(f, "nvidia-{number}"),
            ProfileName::Text(text) => f.write_str(text),
        }
    }
}

/// The value of a parameter. True and false are written 1 and 0.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Parameter {
    Flag(bool),
    Number(i64),
    Text(String),
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Parameter::Flag(flag) => write!(f, "{}", u8::from(*flag)),
            Parameter::Number(number) => write!(f, "{number}"),
            Parameter::Text(text) => f.write_str(text),
        }
    }
}

impl Instance {
    /// An instance of a profile, without other settings.
    pub fn of(profile: ProfileName) -> Instance {
        Instance {
            profile,
            gpu: None,
            uuid: None,
            virtual_function: None,
            parameters: BTreeMap::new(),
            placement: None,
            user: None,
            group: None,
        }
    }

    /// The text for `vgpu_params`: `key=value,key=value`, empty for none.
    pub fn parameter_text(&self) -> String {
        let placement = self.placement.map(|placement| format!("vgpu-placement-id={placement}"));
        let parameters = self.parameters.iter().map(|(key, value)| format!("{key}={value}"));
        parameters.chain(placement).collect::<Vec<_>>().join(",")
    }
}

/// The longest `vgpu_params` that the kernel module takes, in bytes.
pub const MAX_PARAMETERS: usize = 1024;

/// Why a declaration could not be read.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    #[diagnostic(help("`vgpu instances --help` says what the file looks like; --declaration names another"))]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is no declaration of vGPUs", path.display())]
    #[diagnostic(help("`vgpu instances --help` says what the file looks like"))]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("instance {name}: {mistake}")]
    #[diagnostic(help("{help}"))]
    Instance { name: Name, mistake: String, help: &'static str },
}

/// Reads a declaration. A file that is missing declares nothing.
///
/// # Errors
/// When it can't be read, when it is not valid, or when two instances ask for the same thing.
pub fn read(path: &Path) -> Result<Declaration, Error> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Declaration::default()),
        Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
    };
    let declaration: Declaration =
        serde_json::from_slice(&text).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    declaration.check()?;
    Ok(declaration)
}

impl Declaration {
    /// Finds mistakes that need no machine and no driver.
    pub fn check(&self) -> Result<(), Error> {
        let mut uuids = BTreeMap::new();
        let mut functions = BTreeMap::new();
        let mut placements = BTreeMap::new();
        for (name, instance) in &self.instances {
            let mistake = |mistake, help| Err(Error::Instance { name: name.clone(), mistake, help });
            if let Some(other) = uuids.insert(instance.uuid.unwrap_or(name.uuid()), name) {
                return mistake(format!("its uuid is that of {other} as well"), "give each its own, or leave uuid out");
            }
            if let Some(other) = instance.virtual_function.and_then(|function| functions.insert(function, name)) {
                return mistake(
                    format!("its virtual function is that of {other} as well"),
                    "a virtual function has one vGPU: give each its own, or leave virtual_function out",
                );
            }
            if instance.gpu.is_some() && instance.gpu == instance.virtual_function {
                return mistake(
                    "its virtual function is the GPU itself".to_owned(),
                    "name a virtual function, 0000:41:00.4 for instance, or leave virtual_function out",
                );
            }
            let place = instance.gpu.zip(instance.placement);
            if let Some(other) = place.and_then(|place| placements.insert(place, name)) {
                return mistake(format!("its placement is that of {other} as well"), "give each its own");
            }
            instance.check_parameters().or_else(|(wrong, help)| mistake(wrong, help))?;
        }
        Ok(())
    }
}

impl Instance {
    fn check_parameters(&self) -> Result<(), (String, &'static str)> {
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"=,".contains(&b));
        if let Some((key, _)) = self.parameters.iter().find(|(key, value)| !plain(key) || !plain(&value.to_string())) {
            return Err((
                format!("parameter {key:?} cannot be written as key=value"),
                "keys and values are words without space, comma and equals sign, as in frame_rate_limiter = false",
            ));
        }
        if self.placement.is_some() && self.parameters.contains_key("vgpu-placement-id") {
            return Err(("placement and vgpu-placement-id say the same".to_owned(), "leave one of them out"));
        }
        if self.parameter_text().len() > MAX_PARAMETERS {
            return Err((
                "its parameters are longer than 1024 bytes".to_owned(),
                "the driver takes no more: shorten them",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Declaration, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), json).unwrap();
        read(file.path())
    }

    fn in_words(error: &Error) -> String {
        let cause = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{cause}")
    }

    #[test]
    fn parameters_are_written_as_the_driver_reads_them() {
        let declaration = parse(
            r#"{"instances": {"a": {"profile": 558, "placement": 6,
                "parameters": {"frame_rate_limiter": false, "enable_uvm": 1, "x": "y"}}}}"#,
        )
        .unwrap();
        let [instance] = &declaration.instances.values().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!(instance.parameter_text(), "enable_uvm=1,frame_rate_limiter=0,x=y,vgpu-placement-id=6");
        assert_eq!(instance.profile.to_string(), "nvidia-558");
    }

    #[test]
    fn names_have_uuids_of_their_own() {
        let name: Name = "office".parse().unwrap();
        // As Python has it: uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/mrzenc/vgpu4nixos/instances/office").
        assert_eq!(name.uuid().to_string(), "4e943605-56b1-5648-9dec-f53acea157e0");
        assert_ne!(name.uuid(), name.vm_uuid());
    }

    #[test]
    fn mistakes_are_named() {
        for (json, wanted) in [
            ("{", "EOF while parsing"),
            (r#"{"instance": {}}"#, "unknown field `instance`"),
            (r#"{"instances": {"a": {}}}"#, "missing field `profile`"),
            (r#"{"instances": {"a": {"profile": "A40-8Q", "colour": 1}}}"#, "unknown field `colour`"),
            (r#"{"instances": {"a": {"profile": "A40-8Q", "gpu": "41"}}}"#, "\"41\" is not a PCI address"),
            (r#"{"instances": {"../a": {"profile": "A40-8Q"}}}"#, "\"../a\" cannot name an instance"),
            (r#"{"gpus": {"0000:41:00.0": {"mixed": true}}}"#, "unknown field `mixed`"),
            (
                r#"{"instances": {
                    "a": {"profile": 1, "uuid": "c73f1fa6-489e-4834-9476-d70dabd98c40"},
                    "b": {"profile": 1, "uuid": "C73F1FA6-489e-4834-9476-d70dabd98c40"}}}"#,
                "instance b: its uuid is that of a as well",
            ),
            (
                r#"{"instances": {"a": {"profile": 1, "virtual_function": "0000:41:00.4"},
                    "b": {"profile": 1, "virtual_function": "41:00.4"}}}"#,
                "instance b: its virtual function is that of a as well",
            ),
            (
                r#"{"instances": {"a": {"profile": 1}, "b": {"profile": 1}, "a": {"profile": 2}}}"#,
                "\"a\" stands there twice",
            ),
            (r#"{"instances": {}, "instances": {}}"#, "duplicate field `instances`"),
            (r#"{"instances": {"a": {"profile": 1, "profile": 2}}}"#, "duplicate field `profile`"),
            (
                r#"{"instances": {"a": {"profile": 1, "parameters": {"enable_uvm": 1, "enable_uvm": 0}}}}"#,
                "\"enable_uvm\" stands there twice",
            ),
            // However it is written.
            (r#"{"gpus": {"0000:41:00.0": {}, "41:00.0": {}}}"#, "\"0000:41:00.0\" stands there twice"),
            (r#"{"instances": {"a": {"profile": 1, "parameters": {"x": "1,y=2"}}}}"#, "cannot be written as key=value"),
            (r#"{"instances": {"a": {"profile": 1, "parameters": {"x": "1\n"}}}}"#, "cannot be written as key=value"),
        ] {
            let error = in_words(&parse(json).unwrap_err());
            assert!(error.contains(wanted), "{json}: {error}");
        }
        assert_eq!(read(Path::new("/nonexistent/instances.json")).unwrap(), Declaration::default());
    }
}
