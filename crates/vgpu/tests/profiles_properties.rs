//! These rules hold for changes to any vgpuConfig.xml: their order does not matter, making them twice has the same result
//! as once, and nothing else changes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use vgpu_profiles::changes::{Override, XmlValue};
use vgpu_profiles::gpu_id::GpuId;
use vgpu_profiles::model::Display;
use vgpu_profiles::{Changes, Config, Error, apply};

/// How a file is written.
#[derive(Clone, Debug)]
struct Style {
    line_end: &'static str,
    indentation: &'static str,
    mark: &'static str,
    doctype: &'static str,
    /// `<devId …></devId>` instead of `<devId …/>`.
    end_tags: bool,
    lower: bool,
    /// A comment and an unknown element in every place where they may be.
    strange: bool,
}

fn style() -> impl Strategy<Value = Style> {
    let line_end = prop_oneof![Just("\n"), Just("\r\n"), Just("")];
    let doctype = prop_oneof![Just(""), Just("<!DOCTYPE vgpuconfig [<!ELEMENT vgpuconfig ANY>]>")];
    let mark = prop_oneof![Just(""), Just("\u{feff}")];
    let indentation = prop_oneof![Just(""), Just("  "), Just("\t")];
    (line_end, indentation, mark, doctype, any::<[bool; 3]>()).prop_map(
        |(line_end, indentation, mark, doctype, [end_tags, lower, strange])| Style {
            line_end,
            indentation,
            mark,
            doctype,
            end_tags,
            lower,
            strange,
        },
    )
}

/// The elements of a profile in the file, by name, with their content.
#[derive(Clone, Debug)]
struct Profile {
    mib: u64,
    rest: BTreeMap<&'static str, u64>,
}

fn profile() -> impl Strategy<Value = Profile> {
    let names = prop::sample::select(vec![
        "numHeads",
        "maxPixels",
        "frlConfig",
        "cudaEnabled",
        "frame_rate_limiter",
        "eccSupported",
    ]);
    (1u64..64, prop::collection::btree_map(names, 0u64..100, 0..6))
        .prop_map(|(size, rest)| Profile { mib: size * 512, rest })
}

/// A file and what it lists.
#[derive(Clone, Debug)]
struct File {
    text: String,
    profiles: Vec<u32>,
    gpus: Vec<GpuId>,
}

fn gpu_id() -> impl Strategy<Value = GpuId> {
    (0u16..6, 0u16..3).prop_map(|(device, subsystem)| GpuId { device: 0x1e30 + device, subsystem })
}

fn file() -> impl Strategy<Value = File> {
    let profiles = prop::collection::btree_map(1u32..1000, profile(), 1..6);
    let gpus = prop::collection::btree_map(gpu_id(), prop::collection::vec(any::<Index>(), 1..4), 1..5);
    (style(), profiles, gpus).prop_map(|(style, profiles, gpus)| {
        let text = write(&style, &profiles, &gpus);
        File { text, profiles: profiles.into_keys().collect(), gpus: gpus.into_keys().collect() }
    })
}

fn write(style: &Style, profiles: &BTreeMap<u32, Profile>, gpus: &BTreeMap<GpuId, Vec<Index>>) -> String {
    let hex = |number: u64| if style.lower { format!("0x{number:x}") } else { format!("0x{number:X}") };
    let empty = |name: &str, attributes: String| {
        if style.end_tags { format!("<{name} {attributes}></{name}>") } else { format!("<{name} {attributes}/>") }
    };
    let id = |gpu: GpuId| {
        empty("devId", format!("deviceId='{}' subsystemId=\"{}\"", hex(gpu.device.into()), hex(gpu.subsystem.into())))
    };
    let mut lines =
        vec![(0, format!("{}<?xml version=\"1.0\"?>{}", style.mark, style.doctype)), (0, "<vgpuconfig>".to_owned())];
    let strange = |depth| {
        style.strange.then(|| {
            (depth, "<!-- \"a\" > 'b' --> <strange a = 'x>y'>&lt;<![CDATA[</pgpu>]]></strange> <!-- c -->".to_owned())
        })
    };
    for (number, profile) in profiles {
        lines.extend(strange(1));
        lines.push((1, format!("<vgpuType id=\"{number}\" name=\"Board-{number}Q\" class=\"Quadro\">")));
        lines.push((2, format!("<profileSize>{}</profileSize>", hex(profile.mib << 20))));
        lines.push((2, empty("display", "width=\"1280\" height = '1024'".to_owned())));
        lines.extend(profile.rest.iter().map(|(name, value)| (2, format!("<{name}>{value}</{name}>"))));
        lines.extend(strange(2));
        lines.push((1, "</vgpuType>".to_owned()));
    }
    let numbers: Vec<_> = profiles.keys().collect();
    for (gpu, offers) in gpus {
        lines.extend(strange(1));
        lines.push((1, "<pgpu hostVgpuMode=\"sriov\">".to_owned()));
        lines.push((2, id(*gpu)));
        for offer in offers {
            lines.push((
                2,
                format!("<supportedVgpu vgpuId=\"{}\"><maxVgpus>128</maxVgpus></supportedVgpu>", offer.get(&numbers)),
            ));
        }
        lines.push((1, "</pgpu>".to_owned()));
    }
    lines.push((0, "</vgpuconfig>".to_owned()));
    lines
        .into_iter()
        .map(|(depth, line)| format!("{}{line}{}", style.indentation.repeat(depth), style.line_end))
        .collect()
}

fn override_() -> impl Strategy<Value = Override> {
    let name = || prop::sample::select(vec!["numHeads", "display", "devId", "strange", "made", "license"]);
    let value = prop_oneof![
        "[ -~]{0,12}".prop_map(|text| XmlValue::Text(text.trim().to_owned())),
        prop::collection::btree_map(
            name().prop_map(str::to_owned),
            "[ -~]{0,8}".prop_map(|text| text.trim().to_owned()),
            0..3
        )
        .prop_map(XmlValue::Attributes),
    ];
    (
        prop::option::of(384u32..8192),
        prop::option::weighted(0.3, 1u32..200),
        prop::option::of(1u32..9),
        prop::option::of(any::<bool>()),
        prop::option::of((1u64..9000, 1u64..9000).prop_map(|(width, height)| Display { width, height })),
        prop::option::of(0u32..200),
        prop::collection::btree_map(name().prop_map(str::to_owned), value, 0..3),
    )
        .prop_map(|(vram_mib, max_instances, heads, cuda, display, frame_rate_limit, xml)| Override {
            vram_mib,
            max_instances,
            heads,
            cuda,
            display,
            frame_rate_limit,
            xml,
        })
}

/// A file, and changes to things that it lists. There may be clones of clones, and circles of them.
fn changed_file() -> impl Strategy<Value = (File, Changes)> {
    let clones = prop::collection::vec((gpu_id(), any::<Index>(), prop::option::weighted(0.3, gpu_id())), 0..4);
    let overrides = prop::collection::vec((any::<Index>(), override_()), 0..3);
    (file(), clones, overrides).prop_map(|(file, clones, overrides)| {
        let source =
            |(target, listed, other): (GpuId, Index, Option<GpuId>)| (target, other.unwrap_or(*listed.get(&file.gpus)));
        let clones = clones.into_iter().map(source).collect();
        let overrides = overrides.into_iter().map(|(profile, wanted)| (*profile.get(&file.profiles), wanted)).collect();
        (file, Changes { clones, overrides })
    })
}

/// The text of the elements in the outermost one, without those that the changes name.
fn not_named(text: &str, changes: &Changes) -> Vec<String> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let tree = roxmltree::Document::parse_with_options(text, options).unwrap();
    let number = |text: &str| u16::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let is_named = |node: &roxmltree::Node| match node.tag_name().name() {
        "vgpuType" => changes.overrides.contains_key(&node.attribute("id").unwrap().parse().unwrap()),
        "pgpu" => {
            let id = node.children().find(|child| child.has_tag_name("devId")).unwrap();
            let id = |name| number(id.attribute(name).unwrap());
            let offers = node.children().filter_map(|child| child.attribute("vgpuId")?.parse().ok());
            let counted = |id: u32| changes.overrides.get(&id).is_some_and(|wanted| wanted.max_instances.is_some());
            let clone = GpuId { device: id("deviceId"), subsystem: id("subsystemId") };
            changes.clones.contains_key(&clone) || offers.into_iter().any(counted)
        }
        _ => false,
    };
    let nodes = tree.root_element().children().filter(|node| !node.is_text() && !is_named(node));
    nodes.map(|node| text[node.range()].to_owned()).collect()
}

/// What a file offers, independent of its order.
fn offers(text: &str) -> BTreeMap<GpuId, Vec<u32>> {
    let config = Config::parse(text).unwrap();
    config.gpus.iter().map(|gpu| (gpu.id, gpu.supported.iter().map(|supported| supported.profile).collect())).collect()
}

/// How many vGPUs of a profile fit on each board that offers it, in the order of the file.
fn counts(text: &str, profile: u32) -> Vec<Option<u64>> {
    let config = Config::parse(text).unwrap();
    let offers = config.gpus.iter().flat_map(|gpu| &gpu.supported);
    offers.filter(|offer| offer.profile == profile).map(|offer| offer.max_instances).collect()
}

/// The changed text, or nothing if the changes are refused. The reason is never a defect of our own.
fn changed(text: &str, changes: &Changes) -> Option<String> {
    match apply(text, changes) {
        Ok(applied) => Some(applied.text),
        Err(Error::Broken) => panic!("broken by {changes:?}: {text}"),
        Err(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_changes_leave_every_byte(file in file()) {
        prop_assert_eq!(apply(&file.text, &Changes::default()).unwrap().text, file.text);
    }

    #[test]
    fn twice_is_the_same_as_once((file, changes) in changed_file()) {
        let Some(once) = changed(&file.text, &changes) else { return Ok(()) };
        let twice = changed(&once, &changes);
        prop_assert_eq!(twice, Some(once));
    }

    #[test]
    fn the_order_of_clones_and_overrides_does_not_matter((file, changes) in changed_file()) {
        let clones = Changes { clones: changes.clones.clone(), ..Changes::default() };
        let overrides = Changes { overrides: changes.overrides.clone(), ..Changes::default() };
        let in_turn = |first, second| changed(&changed(&file.text, first)?, second);
        let both = changed(&file.text, &changes);
        // A clone may replace the board that had enough memory for an override.
        if let (Some(a), Some(b)) = (in_turn(&clones, &overrides), in_turn(&overrides, &clones)) {
            prop_assert_eq!(Some(a), both.clone());
            prop_assert_eq!(Some(b), both);
        }
    }

    #[test]
    fn only_named_elements_change((file, changes) in changed_file()) {
        let Some(changed) = changed(&file.text, &changes) else { return Ok(()) };
        prop_assert_eq!(not_named(&changed, &changes), not_named(&file.text, &changes));
        // Also before the first and after the last element.
        let around = |text: &str| (text.split_once("<vgpuconfig>").unwrap().0.to_owned(), text.rsplit_once('<').unwrap().1.to_owned());
        prop_assert_eq!(around(&changed), around(&file.text));
    }

    #[test]
    fn an_override_touches_nothing_outside_its_profile(file in file(), profile: Index, mut wanted in override_()) {
        let id = *profile.get(&file.profiles);
        wanted.max_instances = None;
        let changes = Changes { overrides: [(id, wanted)].into(), ..Changes::default() };
        let Some(changed) = changed(&file.text, &changes) else { return Ok(()) };
        let start = format!("<vgpuType id=\"{id}\"");
        let (before, rest) = file.text.split_once(&start).unwrap();
        let (_, after) = rest.split_once("</vgpuType>").unwrap();
        prop_assert!(changed.starts_with(before));
        prop_assert!(changed.ends_with(after));
    }

    #[test]
    fn a_number_of_vgpus_changes_nothing_but_that_number(file in file(), profile: Index, count in 1u32..300) {
        let id = *profile.get(&file.profiles);
        let wanted = Override { max_instances: Some(count), ..Override::default() };
        let changes = Changes { overrides: [(id, wanted)].into(), ..Changes::default() };
        let Some(changed) = changed(&file.text, &changes) else { return Ok(()) };
        for &other in file.profiles.iter().filter(|&&other| other != id) {
            prop_assert_eq!(counts(&changed, other), counts(&file.text, other));
        }
        prop_assert!(counts(&changed, id).iter().all(|&fits| fits == Some(count.into())));
        let without = |text: &str, count: &str| text.replace(&format!("<maxVgpus>{count}</maxVgpus>"), "");
        prop_assert_eq!(without(&without(&changed, "128"), &count.to_string()), without(&file.text, "128"));
    }

    #[test]
    fn what_was_asked_for_is_there((file, changes) in changed_file()) {
        let Some(changed) = changed(&file.text, &changes) else { return Ok(()) };
        let config = Config::parse(&changed).unwrap();
        for (id, wanted) in &changes.overrides {
            let profile = config.profile(*id).unwrap();
            if let Some(mib) = wanted.vram_mib {
                prop_assert_eq!(profile.profile_size, Some(u64::from(mib) << 20));
            }
            if let Some(count) = wanted.max_instances {
                prop_assert!(counts(&changed, *id).iter().all(|&fits| fits == Some(count.into())));
            }
            if let Some(cuda) = wanted.cuda {
                prop_assert_eq!(profile.cuda, Some(cuda));
            }
            if let (Some(display), false) = (wanted.display, wanted.xml.contains_key("display")) {
                prop_assert_eq!(profile.display, Some(display));
            }
            if let Some(limit) = wanted.frame_rate_limit {
                prop_assert_eq!(profile.frame_rate_limit, Some(limit.into()));
            }
            if let (Some(heads), false) = (wanted.heads, wanted.xml.contains_key("numHeads")) {
                prop_assert_eq!(profile.heads, Some(heads.into()));
            }
        }
        let (before, after) = (offers(&file.text), offers(&changed));
        for target in changes.clones.keys() {
            prop_assert_eq!(&after[target], &before[&changes.origin(*target).unwrap()]);
        }
    }

    #[test]
    fn any_text_is_answered(text in ".{0,200}", json in ".{0,200}") {
        let _ = Config::parse(&text);
        let _ = Changes::parse(json.as_bytes());
    }
}
