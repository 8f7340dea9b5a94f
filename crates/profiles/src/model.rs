//! The content of a vgpuConfig.xml: the profiles, and which of them each physical GPU offers.

use std::collections::BTreeMap;

use roxmltree::{Node, NodeId};

use crate::Error;
use crate::document::{Document, children, text};
use crate::gpu_id::{GpuId, GpuQuery, plain_name};
use crate::likeness::likeness;

/// The name of a profile or board without NVIDIA's prefix: `A40-8Q` of `NVIDIA A40-8Q`.
pub fn bare_name(name: &str) -> &str {
    let prefix = ["NVIDIA ", "GRID "]
        .into_iter()
        .find(|prefix| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)));
    prefix.map_or(name, |prefix| &name[prefix.len()..]).trim()
}

/// The element of a `<supportedVgpu>` that says how many such vGPUs fit.
pub(super) const MAX_VGPUS: &str = "maxVgpus";

/// The content of a vgpuConfig.xml.
pub struct Config<'t> {
    pub(super) document: Document<'t>,
    /// The profiles, in the order of the file.
    pub profiles: Vec<Profile>,
    /// The physical GPUs, in the order of the file.
    pub gpus: Vec<PhysicalGpu>,
}

/// A `<vgpuType>`: what a virtual machine gets. A value is `None` if the file does not have it, or if it is no number.
#[derive(Debug)]
pub struct Profile {
    pub(super) node: NodeId,
    /// 333 in nvidia-333.
    pub id: u32,
    /// As in "GRID M10-4Q".
    pub name: String,
    /// As in "Quadro", "NVS" or "Compute".
    pub class: String,
    /// Memory of the board that one vGPU takes, in bytes: `<profileSize>`. What the guest sees is a little less.
    pub profile_size: Option<u64>,
    /// Virtual monitors.
    pub heads: Option<u64>,
    /// The largest monitor.
    pub display: Option<Display>,
    /// Frames a second; 0 is no limit.
    pub frame_rate_limit: Option<u64>,
    pub cuda: Option<bool>,
}

/// What a profile is made for, by the letter that its name ends in (NVIDIA's user guide, "Virtual GPU Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Series {
    /// Published applications.
    A,
    /// Virtual desktops.
    B,
    /// Computing.
    C,
    /// Workstations.
    Q,
}

impl Series {
    /// What it is made for, and the licence that NVIDIA wants for it.
    pub fn meaning(self) -> &'static str {
        match self {
            Series::A => "published applications (licence: vApps)",
            Series::B => "virtual desktops (licence: vPC or RTX vWS)",
            Series::C => "computing (licence: AI Enterprise)",
            Series::Q => "workstations: graphics and computing (licence: RTX vWS)",
        }
    }
}

impl Profile {
    /// The series, from the name: `GRID T4-2Q`, `GRID T4-2B4`, `NVIDIA A100-1-5CME`.
    pub fn series(&self) -> Option<Series> {
        let size = self.name.rsplit('-').next()?;
        match size.trim_start_matches(|c: char| c.is_ascii_digit()).chars().next()? {
            'A' => Some(Series::A),
            'B' => Some(Series::B),
            'C' => Some(Series::C),
            'Q' => Some(Series::Q),
            _ => None,
        }
    }
}

/// The size of a monitor, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Display {
    pub width: u64,
    pub height: u64,
}

/// A `<pgpu>`: a board, and what it may be cut into.
#[derive(Debug)]
pub struct PhysicalGpu {
    pub(super) node: NodeId,
    pub id: GpuId,
    /// As in "sriov".
    pub mode: Option<String>,
    pub supported: Vec<Supported>,
}

impl PhysicalGpu {
    /// What the board says of a profile. `None` if it does not offer the profile.
    pub fn offer(&self, profile: u32) -> Option<&Supported> {
        self.supported.iter().find(|supported| supported.profile == profile)
    }

    /// Whether its vGPUs are made on virtual functions.
    pub fn is_sriov(&self) -> bool {
        self.mode.as_deref() == Some("sriov")
    }
}

/// A profile that a physical GPU offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supported {
    pub profile: u32,
    /// How many such vGPUs fit on the board.
    pub max_instances: Option<u64>,
}

/// A number as the file writes them: decimal, or hexadecimal with 0x.
pub fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
        None if !text.starts_with('+') => text.parse().ok(),
        _ => None,
    }
}

impl<'t> Config<'t> {
    /// Reads the text of a vgpuConfig.xml. Elements it doesn't know are left alone.
    pub fn parse(text: &'t str) -> Result<Self, Error> {
        let document = Document::parse(text)?;
        let root = document.root();
        if root.tag_name().name() != "vgpuconfig" {
            return Err(Error::NotVgpuConfig { root: root.tag_name().name().to_owned() });
        }
        let profiles = children(root, "vgpuType").map(|node| profile(&document, node)).collect::<Result<_, _>>()?;
        let gpus = children(root, "pgpu").map(|node| physical_gpu(&document, node)).collect::<Result<_, _>>()?;
        Ok(Self { document, profiles, gpus })
    }

    /// A profile by its number.
    pub fn profile(&self, id: u32) -> Result<&Profile, Error> {
        self.profiles.iter().find(|profile| profile.id == id).ok_or_else(|| {
            let mut near: Vec<_> = self.profiles.iter().collect();
            near.sort_by_key(|profile| profile.id.abs_diff(id));
            self.unknown_profile(id.to_string(), &near)
        })
    }

    /// A profile by its number (`333` or `nvidia-333`) or its name, in either case, with or without NVIDIA's prefix.
    pub fn find_profile(&self, text: &str) -> Result<&Profile, Error> {
        if let Ok(id) = text.strip_prefix("nvidia-").unwrap_or(text).parse() {
            return self.profile(id);
        }
        let lower = text.to_lowercase();
        let whole = self.profiles.iter().find(|profile| profile.name.to_lowercase() == lower);
        let bare = || self.profiles.iter().find(|profile| bare_name(&profile.name).to_lowercase() == lower);
        whole.or_else(bare).ok_or_else(|| {
            let mut near: Vec<_> = self.profiles.iter().collect();
            near.sort_by_cached_key(|profile| std::cmp::Reverse(likeness(&profile.name.to_lowercase(), &lower)));
            self.unknown_profile(format!("{text:?}"), &near)
        })
    }

    fn unknown_profile(&self, profile: String, nearest: &[&Profile]) -> Error {
        let nearest = nearest.iter().map(|profile| format!("{} ({})", profile.id, profile.name));
        Error::UnknownProfile { profile, nearest: list_nearest(nearest) }
    }

    /// The elements of a board. There is one, in files of NVIDIA's.
    pub fn gpu(&self, id: GpuId) -> Result<Vec<&PhysicalGpu>, Error> {
        self.gpus_where(id.to_string(), id, |gpu| gpu == id)
    }

    /// The boards that match a query. If the file does not have this subsystem, the board that stands for every subsystem
    /// matches.
    pub fn find_gpus(&self, query: GpuQuery) -> Result<Vec<&PhysicalGpu>, Error> {
        let GpuQuery { device, subsystem } = query;
        let Some(subsystem) = subsystem else {
            let near = GpuId { device, subsystem: 0 };
            return self.gpus_where(format!("{device:04X}"), near, |gpu| gpu.device == device);
        };
        let id = GpuId { device, subsystem };
        self.gpu(id).or_else(|error| self.gpu(GpuId { subsystem: 0, ..id }).map_err(|_| error))
    }

    /// The boards with this name, as people write it: see [`plain_name`].
    pub fn gpus_named(&self, name: &str) -> Vec<&PhysicalGpu> {
        let wanted = plain_name(name);
        self.gpus.iter().filter(|gpu| self.board_name(gpu).is_some_and(|name| plain_name(name) == wanted)).collect()
    }

    fn gpus_where(
        &self,
        name: String,
        near: GpuId,
        wanted: impl Fn(GpuId) -> bool,
    ) -> Result<Vec<&PhysicalGpu>, Error> {
        let found: Vec<_> = self.gpus.iter().filter(|gpu| wanted(gpu.id)).collect();
        if found.is_empty() {
            let mut ids: Vec<_> = self.gpus.iter().map(|gpu| gpu.id).collect();
            ids.sort_by_key(|id| (id.device.abs_diff(near.device), id.subsystem.abs_diff(near.subsystem)));
            return Err(Error::UnknownGpu { gpu: name, nearest: list_nearest(ids.iter().map(GpuId::to_string)) });
        }
        Ok(found)
    }

    /// Memory of one vGPU of each profile, in bytes.
    pub(super) fn profile_sizes(&self) -> BTreeMap<u32, u64> {
        self.profiles.iter().filter_map(|profile| Some((profile.id, profile.profile_size?))).collect()
    }

    /// Memory of each board, in bytes, as far as its profiles tell: the memory of all vGPUs that fit on it.
    pub fn board_sizes(&self) -> BTreeMap<GpuId, u64> {
        let sizes = self.profile_sizes();
        let mut boards = BTreeMap::new();
        for gpu in &self.gpus {
            let filled = gpu.supported.iter().filter_map(|supported| {
                sizes.get(&supported.profile)?.checked_mul(supported.max_instances.unwrap_or(1).max(1))
            });
            let board: &mut u64 = boards.entry(gpu.id).or_default();
            *board = filled.max().unwrap_or(0).max(*board);
        }
        boards
    }

    /// A profile as NVIDIA wrote it, comments and unknown elements included, and the line it starts on.
    pub fn source(&self, profile: &Profile) -> (usize, &'t str) {
        self.document.node(profile.node).map_or((0, ""), |node| (self.document.line(node), self.document.source(node)))
    }

    /// The name of a kind of board: the common beginning of the names of its profiles.
    pub fn board_name(&self, gpu: &PhysicalGpu) -> Option<&str> {
        let names = self.profiles.iter().filter(|profile| gpu.supported.iter().any(|s| s.profile == profile.id));
        let shared = names.map(|profile| profile.name.as_str()).reduce(|shared, name| {
            let length = shared.char_indices().zip(name.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
            shared.get(..length.unwrap_or(shared.len().min(name.len()))).unwrap_or_default()
        })?;
        shared.rsplit_once('-').map(|(board, _)| board)
    }
}

/// "the nearest are a, b, c; ", or nothing when there is nothing to choose from.
fn list_nearest(nearest: impl Iterator<Item = String>) -> String {
    let nearest: Vec<_> = nearest.take(3).collect();
    if nearest.is_empty() { String::new() } else { format!("the nearest are {}; ", nearest.join(", ")) }
}

fn profile(document: &Document, node: Node) -> Result<Profile, Error> {
    let value = |name| children(node, name).next().and_then(|child| number(&text(child)));
    let id = attribute(node, "id").and_then(number).and_then(|id| id.try_into().ok());
    let display = children(node, "display").next().and_then(|display| {
        let side = |name| attribute(display, name).and_then(number);
        Some(Display { width: side("width")?, height: side("height")? })
    });
    Ok(Profile {
        node: node.id(),
        id: id.ok_or_else(|| malformed(document, node, "vgpuType", "id that is a number"))?,
        name: attribute(node, "name").unwrap_or_default().to_owned(),
        class: attribute(node, "class").unwrap_or_default().to_owned(),
        profile_size: value("profileSize"),
        heads: value("numHeads"),
        display,
        frame_rate_limit: if value("frame_rate_limiter") == Some(0) { Some(0) } else { value("frlConfig") },
        cuda: value("cudaEnabled").map(|enabled| enabled != 0),
    })
}

fn physical_gpu(document: &Document, node: Node) -> Result<PhysicalGpu, Error> {
    let id = |name| attribute(children(node, "devId").next()?, name).and_then(number)?.try_into().ok();
    Ok(PhysicalGpu {
        node: node.id(),
        id: GpuId {
            device: id("deviceId").ok_or_else(|| malformed(document, node, "pgpu", "devId with a deviceId"))?,
            subsystem: id("subsystemId")
                .ok_or_else(|| malformed(document, node, "pgpu", "devId with a subsystemId"))?,
        },
        mode: attribute(node, "hostVgpuMode").map(str::to_owned),
        supported: children(node, "supportedVgpu").map(|node| supported(document, node)).collect::<Result<_, _>>()?,
    })
}

fn supported(document: &Document, node: Node) -> Result<Supported, Error> {
    let profile = attribute(node, "vgpuId").and_then(number).and_then(|id| id.try_into().ok());
    Ok(Supported {
        profile: profile.ok_or_else(|| malformed(document, node, "supportedVgpu", "vgpuId that is a number"))?,
        max_instances: children(node, MAX_VGPUS).next().and_then(|max| number(&text(max))),
    })
}

pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attribute(name).map(|value| value.trim_matches(crate::document::is_space))
}

fn malformed(document: &Document, node: Node, element: &'static str, missing: &'static str) -> Error {
    Error::Malformed { line: document.line(node), element, missing }
}
