//! Any bytes as vgpuConfig.xml, and behind a NUL as changes to it: never a panic, nothing broken, twice the same as once.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vgpu_profiles::changes::{Override, XmlValue};
use vgpu_profiles::limits::MIN_VRAM_MIB;
use vgpu_profiles::gpu_id::GpuId;
use vgpu_profiles::model::Display;
use vgpu_profiles::{Changes, Config, Error, apply};

fuzz_target!(|data: &[u8]| {
    let (text, json) = data.split_at(data.iter().position(|&byte| byte == 0).unwrap_or(data.len()));
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Ok(changes) = Changes::parse(json.get(1..).unwrap_or_default()) {
        check(text, &changes);
    }
    if let Ok(config) = Config::parse(text) {
        assert_eq!(apply(text, &Changes::default()).unwrap().text, text);
        check(text, &everything(&config));
    }
});

fn check(text: &str, changes: &Changes) {
    match apply(text, changes) {
        Ok(once) => assert_eq!(apply(&once.text, changes).unwrap().text, once.text),
        Err(error) => assert!(!matches!(error, Error::Broken), "{changes:?}"),
    }
}

/// The first GPU cloned, the last replaced by it, and every profile changed in every way.
fn everything(config: &Config) -> Changes {
    let mut changes = Changes::default();
    if let (Some(first), Some(last)) = (config.gpus.first(), config.gpus.last()) {
        let new = GpuId { device: 0xffff, subsystem: 1 };
        changes.clones.extend([(new, first.id), (last.id, first.id)]);
        changes.clones.retain(|target, source| target != source && *source != new);
    }
    let xml = [
        ("display", XmlValue::Attributes([("a".to_owned(), "<'\"&>\n".to_owned())].into())),
        ("devId", XmlValue::Text("x".to_owned())),
    ];
    let wanted = Override {
        vram_mib: Some(MIN_VRAM_MIB),
        max_instances: Some(1),
        heads: Some(1),
        cuda: Some(true),
        display: Some(Display { width: 1920, height: 1080 }),
        frame_rate_limit: Some(60),
        xml: xml.map(|(name, value)| (name.to_owned(), value)).into(),
    };
    changes.overrides.extend(config.profiles.iter().map(|profile| (profile.id, wanted.clone())));
    changes
}
