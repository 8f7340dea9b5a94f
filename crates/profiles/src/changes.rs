//! The changes that a user wants: clones of physical GPUs and overrides of profiles. They are JSON with the shape of the Nix
//! options `copyVGPUProfiles` and `profileOverrides`, so that Nix passes these on with `builtins.toJSON`.
//!
//! ```json
//! {
//!   "clones": { "AAAA:BBBB": "CCCC:DDDD" },
//!   "overrides": {
//!     "333": { "vramAllocation": 3584, "maxInstances": 6, "heads": 1, "enableCuda": true, "framerateLimit": 144,
//!              "display": { "width": 1920, "height": 1080 },
//!              "xmlConfig": { "eccSupported": "1", "devId": { "subsystemId": "0x1234" } } }
//!   }
//! }
//! ```
//!
//! `null` always means "not set". All checks that do not need the file are made here. So a [`Changes`] has no mistake that
//! can be found without the file.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::Error;
use crate::document::{is_attribute_name, is_element_name, unwritable};
use crate::gpu_id::GpuId;
use crate::limits::MIN_VRAM_MIB;
use crate::model::Display;

/// Changes to a vgpuConfig.xml.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The key gets the profiles of the value. Values may be keys themselves, but not in a circle.
    pub clones: BTreeMap<GpuId, GpuId>,
    /// By the number of the profile.
    pub overrides: BTreeMap<u32, Override>,
}

/// What to change about a profile. `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Memory of the board for one vGPU, in MiB; at least [`MIN_VRAM_MIB`].
    pub vram_mib: Option<u32>,
    /// How many such vGPUs a board may have, on every board that offers the profile; at least one.
    pub max_instances: Option<u32>,
    /// Virtual monitors, at least one.
    pub heads: Option<u32>,
    pub cuda: Option<bool>,
    /// The largest monitor; neither side is 0.
    pub display: Option<Display>,
    /// Frames a second; 0 for no limit.
    pub frame_rate_limit: Option<u32>,
    /// Anything else, by the name of the element. It replaces what the options above set.
    pub xml: BTreeMap<String, XmlValue>,
}

/// What `xmlConfig` gives an element. Names are XML names; values have only characters that XML can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XmlValue {
    Text(String),
    /// Attributes by name. All others stay.
    Attributes(BTreeMap<String, String>),
}

impl Changes {
    /// Reads changes from JSON. Unknown and repeated keys are errors, since both are typing mistakes.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let Object(raw): Object<Raw> = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            // `.` is the document itself, and `?` a place that is not known, as when the text ends too early.
            let path = error.path().to_string();
            mistake(if [".", "?"].contains(&path.as_str()) { "" } else { &path }, error.inner())
        })?;
        deserializer.end().map_err(|error| mistake("", error))?;

        let mut changes = Self::default();
        for (target, source) in raw.clones.unwrap_or_default().0 {
            let (id, Some(source)) = (target.parse()?, source) else { continue };
            if changes.clones.insert(id, source.parse()?).is_some() {
                return Err(mistake(&format!("clones.{target}"), format!("{id} is named twice")));
            }
        }
        for target in changes.clones.keys() {
            changes.origin(*target)?;
        }
        for (profile, raw) in raw.overrides.unwrap_or_default().0 {
            let digits = profile.bytes().all(|byte| byte.is_ascii_digit());
            let id = profile.parse().ok().filter(|_| digits);
            let id = id.ok_or_else(|| Error::NotAProfile { text: profile.clone() })?;
            let checked = raw.map(|Object(raw)| raw).unwrap_or_default().check(id)?;
            if changes.overrides.insert(id, checked).is_some() {
                return Err(mistake(&format!("overrides.{profile}"), format!("profile {id} is named twice")));
            }
        }
        Ok(changes)
    }

    /// The GPU whose profiles a clone really gets: a clone of a clone is a clone of the first. So the order of clones does
    /// not matter, and applying them twice has the same result as once.
    pub fn origin(&self, target: GpuId) -> Result<GpuId, Error> {
        let mut way = vec![target];
        let mut origin = target;
        while let Some(&source) = self.clones.get(&origin) {
            way.push(source);
            if way.iter().filter(|&&id| id == source).count() > 1 {
                return Err(Error::Circle { circle: way });
            }
            origin = source;
        }
        Ok(origin)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    clones: Option<Map<Option<String>>>,
    overrides: Option<Map<Option<Object<RawOverride>>>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawOverride {
    vram_allocation: Option<WholeNumber>,
    max_instances: Option<WholeNumber>,
    heads: Option<WholeNumber>,
    enable_cuda: Option<bool>,
    display: Option<Object<RawDisplay>>,
    framerate_limit: Option<WholeNumber>,
    xml_config: Option<Map<Option<RawXml>>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDisplay {
    width: Option<WholeNumber>,
    height: Option<WholeNumber>,
}

impl RawOverride {
    fn check(self, profile: u32) -> Result<Override, Error> {
        let place = |option: &str| format!("overrides.{profile}.{option}");
        let vram_mib = self.vram_allocation.map(|WholeNumber(mib)| mib);
        if let Some(mib) = vram_mib.filter(|&mib| mib < MIN_VRAM_MIB) {
            return Err(Error::TooSmall { profile, mib });
        }
        if let Some(WholeNumber(0)) = self.max_instances {
            return Err(mistake(
                &place("maxInstances"),
                "a board that offers a profile has room for one at least, not 0",
            ));
        }
        if let Some(WholeNumber(0)) = self.heads {
            return Err(mistake(&place("heads"), "a vGPU has one virtual monitor at least, not 0"));
        }
        let mut xml = BTreeMap::new();
        for (element, value) in self.xml_config.unwrap_or_default().0 {
            let place = place(&format!("xmlConfig.{element}"));
            if !is_element_name(&element) {
                return Err(mistake(&place, format!("{element:?} cannot be the name of an XML element")));
            }
            if let Some(value) = value {
                xml.insert(element, value.check(&place)?);
            }
        }
        Ok(Override {
            vram_mib,
            max_instances: self.max_instances.map(|WholeNumber(count)| count),
            heads: self.heads.map(|WholeNumber(heads)| heads),
            cuda: self.enable_cuda,
            display: self.display.map_or(Ok(None), |Object(display)| display.check(&place("display")))?,
            frame_rate_limit: self.framerate_limit.map(|WholeNumber(limit)| limit),
            xml,
        })
    }
}

impl RawDisplay {
    fn check(self, place: &str) -> Result<Option<Display>, Error> {
        match (self.width, self.height) {
            (None, None) => Ok(None),
            (Some(WholeNumber(width)), Some(WholeNumber(height))) if width > 0 && height > 0 => {
                Ok(Some(Display { width: width.into(), height: height.into() }))
            }
            (Some(WholeNumber(width)), Some(WholeNumber(height))) => {
                Err(mistake(place, format!("width is {width} and height is {height}; both must be above 0")))
            }
            (Some(_), None) => Err(mistake(place, "width is set, but not height; set both or none")),
            (None, Some(_)) => Err(mistake(place, "height is set, but not width; set both or none")),
        }
    }
}

/// A value in xmlConfig, of any depth.
enum RawXml {
    Text(String),
    Attributes(Map<Option<RawXml>>),
}

impl RawXml {
    fn check(self, place: &str) -> Result<XmlValue, Error> {
        let attributes = match self {
            RawXml::Text(value) => return Ok(XmlValue::Text(writable(value, place)?)),
            RawXml::Attributes(attributes) => attributes,
        };
        let mut checked = BTreeMap::new();
        for (name, value) in attributes.0 {
            let place = format!("{place}.{name}");
            if !is_attribute_name(&name) {
                return Err(mistake(&place, format!("{name:?} cannot be the name of an XML attribute")));
            }
            match value {
                Some(RawXml::Text(value)) => _ = checked.insert(name, writable(value, &place)?),
                Some(RawXml::Attributes(_)) => {
                    return Err(mistake(&place, "the value of an attribute is a text, not an object"));
                }
                None => {}
            }
        }
        Ok(XmlValue::Attributes(checked))
    }
}

fn writable(value: String, place: &str) -> Result<String, Error> {
    match unwritable(&value) {
        Some(character) => Err(mistake(place, format!("XML cannot hold the character {character:?}"))),
        None => Ok(value),
    }
}

fn mistake(place: &str, problem: impl fmt::Display) -> Error {
    let colon = if place.is_empty() { "" } else { ": " };
    Error::Changes { mistake: format!("{place}{colon}{problem}") }
}

/// A whole number, 0 or more.
struct WholeNumber(u32);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = WholeNumber;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<WholeNumber, E> {
                number.try_into().map(WholeNumber).map_err(|_| E::custom(format_args!("{number} is too large")))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<WholeNumber, E> {
                Err(E::custom(format_args!("{number} is negative")))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl<'de> Deserialize<'de> for RawXml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;
        impl<'de> Visitor<'de> for Value {
            type Value = RawXml;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text, a whole number, a truth value or an object of attributes")
            }

            fn visit_str<E>(self, text: &str) -> Result<RawXml, E> {
                Ok(RawXml::Text(text.to_owned()))
            }

            /// NVIDIA writes 1 and 0.
            fn visit_bool<E>(self, value: bool) -> Result<RawXml, E> {
                Ok(RawXml::Text(u8::from(value).to_string()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<RawXml, E> {
                Ok(RawXml::Text(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<RawXml, E> {
                Ok(RawXml::Text(number.to_string()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawXml, A::Error> {
                Map::deserialize(MapAccessDeserializer::new(map)).map(RawXml::Attributes)
            }
        }
        deserializer.deserialize_any(Value)
    }
}

/// An object and nothing else. For a struct, serde would accept an array, too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// An object whose keys must differ. serde would use the last of several.
struct Map<V>(BTreeMap<String, V>);

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Map<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Keys<V> {
            type Value = Map<V>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Map<V>, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((key, value)) = entries.next_entry::<String, V>()? {
                    if map.contains_key(&key) {
                        return Err(de::Error::custom(format_args!("the key {key:?} stands there twice")));
                    }
                    map.insert(key, value);
                }
                Ok(Map(map))
            }
        }
        deserializer.deserialize_map(Keys(PhantomData))
    }
}
