//! Applies changes to a vgpuConfig.xml. Only what is not yet as wanted is written.

use std::collections::BTreeMap;

use roxmltree::Node;

use crate::changes::{Changes, Override, XmlValue};
use crate::document::{Edits, children, escape, text};
use crate::gpu_id::GpuId;
use crate::model::{Config, MAX_VGPUS, PhysicalGpu, attribute, number};
use crate::{Error, document};

/// A changed vgpuConfig.xml.
#[derive(Debug)]
pub struct Applied {
    /// The whole file.
    pub text: String,
    /// Notes for the user: what the changes replaced, and which changes had no effect.
    pub notes: Vec<String>,
}

/// Makes the changes in the text of a vgpuConfig.xml. All other bytes stay. The order of the changes does not matter, and
/// making them twice has the same result as once. Clones are made first, so that overrides change them, too.
pub fn apply(text: &str, changes: &Changes) -> Result<Applied, Error> {
    let config = Config::parse(text)?;
    let mut plan = Plan::new(&config, changes);
    plan.clones()?;
    let (mut notes, cloned) = (plan.notes, plan.edits.finish().ok_or(Error::Broken)?);

    let config = Config::parse(&cloned).map_err(|_| Error::Broken)?;
    let mut plan = Plan::new(&config, changes);
    plan.check_sizes()?;
    plan.overrides()?;
    notes.append(&mut plan.notes);
    let text = plan.edits.finish().ok_or(Error::Broken)?;

    // If this module has a mistake, it must not give out a file without the changes that were asked for.
    let config = Config::parse(&text).map_err(|_| Error::Broken)?;
    let mut again = Plan::new(&config, changes);
    again.clones().and_then(|()| again.overrides()).map_err(|_| Error::Broken)?;
    if !again.edits.is_empty() {
        return Err(Error::Broken);
    }
    Ok(Applied { text, notes })
}

struct Plan<'a, 't> {
    config: &'a Config<'t>,
    changes: &'a Changes,
    edits: Edits<'a, 't>,
    notes: Vec<String>,
}

impl<'a, 't> Plan<'a, 't> {
    fn new(config: &'a Config<'t>, changes: &'a Changes) -> Self {
        Plan { config, changes, edits: Edits::new(&config.document), notes: Vec::new() }
    }

    fn clones(&mut self) -> Result<(), Error> {
        // New GPUs come after the one that they are cloned from. Several of them are in the order of their ids.
        let mut new: BTreeMap<usize, String> = BTreeMap::new();
        for &target in self.changes.clones.keys() {
            let origin = self.changes.origin(target)?;
            let origins: Vec<_> = self.config.gpu(origin)?.into_iter().filter_map(|gpu| self.node(gpu)).collect();
            let copies = origins.iter().map(|&node| self.copy(node, target)).collect::<Result<Vec<_>, _>>()?;
            let Some(&last) = origins.last() else { continue };
            let indentation = self.config.document.indentation(last);

            if let Ok(listed) = self.config.gpu(target) {
                self.replace(listed, &copies, indentation, target, origin);
            } else {
                let place = new.entry(self.config.document.behind(last)).or_default();
                copies.iter().for_each(|copy| place.extend([indentation, copy]));
            }
        }
        new.into_iter().for_each(|(at, copies)| self.edits.insert(at, copies));
        Ok(())
    }

    /// A GPU that is already listed becomes a clone in its place.
    fn replace(
        &mut self,
        listed: Vec<&PhysicalGpu>,
        copies: &[String],
        indentation: &str,
        target: GpuId,
        origin: GpuId,
    ) {
        let nodes: Vec<_> = listed.into_iter().filter_map(|gpu| self.node(gpu)).collect();
        if nodes.iter().map(|&node| self.config.document.source(node)).eq(copies) {
            return;
        }
        if let Some((first, others)) = nodes.split_first() {
            self.edits.replace(first.range(), copies.join(indentation));
            others.iter().for_each(|&node| self.edits.remove(node));
            self.notes.push(format!("{target} was listed already; what it had is replaced by what {origin} has"));
        }
    }

    fn node(&self, gpu: &PhysicalGpu) -> Option<Node<'a, 't>> {
        self.config.document.node(gpu.node)
    }

    /// The element of a GPU as it is written, with another GPU's ids.
    fn copy(&self, gpu: Node<'a, 't>, target: GpuId) -> Result<String, Error> {
        let document = &self.config.document;
        let mut places = Vec::new();
        let mut listed = children(gpu, "devId");
        let first = listed.next().ok_or(Error::Broken)?;
        for (name, id) in [("deviceId", target.device), ("subsystemId", target.subsystem)] {
            places.push((document.attribute_place(first, name).ok_or(Error::Broken)?, format!("0x{id:04X}")));
        }
        // If an element has ids of more boards, these are not for the clone.
        places.extend(listed.map(|other| (other.range(), String::new())));
        // It goes from the end to the beginning, so that earlier places stay right.
        places.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
        let start = gpu.range().start;
        let mut copy = document.source(gpu).to_owned();
        for (place, text) in places {
            copy.replace_range(place.start - start..place.end - start, &text);
        }
        Ok(copy)
    }

    fn overrides(&mut self) -> Result<(), Error> {
        for (&id, wanted) in &self.changes.overrides {
            self.config.profile(id)?;
            let settings = self.settings(id, wanted);
            let same_id = self.config.profiles.iter().filter(|profile| profile.id == id);
            for node in same_id.filter_map(|profile| self.config.document.node(profile.node)) {
                self.set(node, &settings)?;
            }
            if let Some(count) = wanted.max_instances {
                self.set_count(id, count)?;
            }
        }
        Ok(())
    }

    /// The profile does not say how many vGPUs fit. Each board that offers the profile does.
    fn set_count(&mut self, profile: u32, count: u32) -> Result<(), Error> {
        let boards = self.config.gpus.iter().filter_map(|gpu| self.config.document.node(gpu.node));
        let offers = boards.flat_map(|board| children(board, "supportedVgpu"));
        let of_profile = |offer: &Node| attribute(*offer, "vgpuId").and_then(number) == Some(profile.into());
        let settings = BTreeMap::from([(MAX_VGPUS, Setting::text(Value::decimal(count.into())))]);
        for offer in offers.filter(of_profile).collect::<Vec<_>>() {
            self.set(offer, &settings)?;
        }
        Ok(())
    }

    /// Refuses more memory than a board has that offers the profile: for one vGPU, and for all vGPUs together.
    fn check_sizes(&mut self) -> Result<(), Error> {
        let (boards, sizes) = (self.config.board_sizes(), self.config.profile_sizes());
        for (&id, wanted) in &self.changes.overrides {
            let name = &self.config.profile(id)?.name;
            let offering = self.config.gpus.iter().filter(|gpu| gpu.offer(id).is_some());
            let largest = offering.map(|gpu| boards.get(&gpu.id).copied().unwrap_or_default()).max();
            match largest {
                Some(board) => check_size(id, name, wanted, sizes.get(&id).copied(), board)?,
                None => self
                    .notes
                    .push(format!("no physical GPU offers profile {id} ({name}); its override has no effect yet")),
            }
        }
        Ok(())
    }

    /// The new content of elements of a profile, by their names. It comes from the options. xmlConfig replaces it.
    fn settings(&mut self, profile: u32, wanted: &'a Override) -> BTreeMap<&'a str, Setting<'a>> {
        let mut settings = options(wanted);
        for (element, value) in &wanted.xml {
            let setting = settings.entry(element.as_str()).or_default();
            match value {
                XmlValue::Text(text) => {
                    self.note_precedence(profile, element, setting.text.replace(Value::text(text)), text);
                }
                XmlValue::Attributes(attributes) => {
                    for (name, text) in attributes {
                        let replaced = setting.attributes.insert(name, Value::text(text));
                        self.note_precedence(profile, &format!("{element}.{name}"), replaced, text);
                    }
                }
            }
        }
        settings
    }

    fn note_precedence(&mut self, profile: u32, name: &str, replaced: Option<Value>, text: &str) {
        if let Some(option) = replaced.filter(|option| !option.is(text)) {
            let option = option.text;
            self.notes.push(format!(
                "overrides.{profile}: xmlConfig.{name} = {text:?} wins over {option:?} from another option"
            ));
        }
    }

    /// Sets each element that differs. Missing elements are added.
    fn set(&mut self, parent: Node<'a, 't>, settings: &BTreeMap<&str, Setting>) -> Result<(), Error> {
        let mut made = Vec::new();
        for (&name, setting) in settings {
            let elements: Vec<_> = children(parent, name).collect();
            if elements.is_empty() && !setting.is_empty() {
                made.push(setting.element(name));
            }
            for element in elements {
                if let Some(value) = setting.text.as_ref().filter(|value| !value.is(&text(element))) {
                    if element.first_element_child().is_some() {
                        let line = self.config.document.line(element);
                        return Err(Error::NotALeaf { line, element: name.to_owned() });
                    }
                    self.edits.set_text(element, &value.text);
                }
                let holds = |name: &str, value: &Value| element.attribute(name).is_some_and(|old| value.is(old));
                let other = setting.attributes.iter().filter(|(name, value)| !holds(name, value));
                self.edits.set_attributes(element, other.map(|(&name, value)| (name, value.text.as_str())));
            }
        }
        if !made.is_empty() {
            self.edits.append(parent, &made);
        }
        Ok(())
    }
}

/// Whether a board has enough memory for the changed profile, which takes `size` so far. All but `wanted` are in bytes.
fn check_size(profile: u32, name: &str, wanted: &Override, size: Option<u64>, board: u64) -> Result<(), Error> {
    // If a board's profiles tell no size, any size is allowed. Users who write elements by hand (xmlConfig) know better.
    if board == 0 || wanted.xml.contains_key("profileSize") {
        return Ok(());
    }
    let name = || name.to_owned();
    let wanted_size = wanted.vram_mib.map(|mib| u64::from(mib) << 20);
    if let Some(mib) = wanted.vram_mib.filter(|_| wanted_size > Some(board)) {
        return Err(Error::TooLarge { profile, name: name(), mib, board: board >> 20 });
    }
    let room = wanted_size.or(size).and_then(|size| board.checked_div(size));
    match (wanted.max_instances, room) {
        (Some(count), Some(room)) if u64::from(count) > room => {
            Err(Error::TooMany { profile, name: name(), count, room, board: board >> 20 })
        }
        _ => Ok(()),
    }
}

/// The new content of an element.
#[derive(Default)]
struct Setting<'a> {
    text: Option<Value>,
    attributes: BTreeMap<&'a str, Value>,
}

impl Setting<'_> {
    fn text(value: Value) -> Self {
        Setting { text: Some(value), ..Setting::default() }
    }

    fn is_empty(&self) -> bool {
        self.text.is_none() && self.attributes.is_empty()
    }

    fn element(&self, name: &str) -> String {
        let attributes = self.attributes.iter().map(|(name, value)| format!(" {name}=\"{}\"", escape(&value.text)));
        let attributes: String = attributes.collect();
        match &self.text {
            Some(value) => format!("<{name}{attributes}>{}</{name}>", escape(&value.text)),
            None => format!("<{name}{attributes}/>"),
        }
    }
}

/// A text, and its number if only that matters. So a file that has 0x3C for 0x3c is not changed.
struct Value {
    text: String,
    number: Option<u64>,
}

impl Value {
    /// White space around a value means nothing, neither here nor in the file.
    fn text(text: &str) -> Self {
        Self { text: text.trim_matches(document::is_space).to_owned(), number: None }
    }

    fn decimal(value: u64) -> Self {
        Self { text: value.to_string(), number: Some(value) }
    }

    fn hexadecimal(value: u64) -> Self {
        Self { text: format!("{value:#X}").replacen('X', "x", 1), number: Some(value) }
    }

    fn is(&self, old: &str) -> bool {
        let old = old.trim_matches(document::is_space);
        self.number.map_or(self.text == old, |value| number(old) == Some(value))
    }
}

/// The options in the words of the file.
fn options(wanted: &Override) -> BTreeMap<&'static str, Setting<'static>> {
    let mut settings: BTreeMap<_, Setting> = BTreeMap::new();
    let mut set = |name, value| settings.entry(name).or_default().text = Some(value);
    if let Some(mib) = wanted.vram_mib {
        let size = u64::from(mib) << 20;
        let reserved = reservation(mib);
        set("profileSize", Value::hexadecimal(size));
        set("fbReservation", Value::hexadecimal(reserved));
        set("framebuffer", Value::hexadecimal(size.saturating_sub(reserved)));
    }
    if let Some(heads) = wanted.heads {
        set("numHeads", Value::decimal(heads.into()));
    }
    if let Some(cuda) = wanted.cuda {
        set("cudaEnabled", Value::decimal(cuda.into()));
    }
    if let Some(limit) = wanted.frame_rate_limit {
        set("frame_rate_limiter", Value::decimal((limit > 0).into()));
        if limit > 0 {
            set("frlConfig", Value { text: format!("{limit:#x}"), number: Some(limit.into()) });
        }
    }
    if let Some(display) = wanted.display {
        set("maxPixels", Value::decimal(display.width * display.height));
        let sides = [("width", display.width), ("height", display.height)];
        settings.entry("display").or_default().attributes =
            sides.map(|(name, side)| (name, Value::decimal(side))).into();
    }
    settings
}

/// The part of a vGPU's memory that the driver keeps for itself, in bytes: 64 MiB and a sixteenth. All profiles of NVIDIA's
/// have this.
fn reservation(mib: u32) -> u64 {
    (64 << 20) + (u64::from(mib) << 16)
}
