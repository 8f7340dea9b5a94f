//! Any text as JSON that names libraries: refused, or the same value with the libraries' paths, no longer than it came.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vgpu_driver::text::library_json;

fn path(name: &str) -> Option<String> {
    (name.len() < 20).then(|| format!("/nix/store/driver/lib/{name}"))
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut longer = 0;
    let written = library_json(text, &mut |name| {
        let path = path(name)?;
        longer += path.len() - name.len();
        Some(path)
    });
    let Ok(written) = written else { return };
    assert!(written.len() <= text.len() + 1 + longer, "{} bytes became {}", text.len(), written.len());
    let mut expected: Value = serde_json::from_str(text).expect("what was written was read");
    relocate(&mut expected);
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), expected);
});

fn relocate(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(relocate),
        Value::Object(members) => members.iter_mut().for_each(|(key, member)| match member {
            Value::String(name) if key == "library_path" => *name = path(name).unwrap_or_else(|| name.clone()),
            other => relocate(other),
        }),
        _ => {}
    }
}
