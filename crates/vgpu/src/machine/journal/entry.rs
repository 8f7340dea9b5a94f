//! A line of the journal, from JSON or from the text that `journalctl` and `dmesg` print.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use x509_cert::der::DateTime;

/// Who wrote a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Kernel,
    /// A service, without `.service`; or, in text, the program's name.
    Unit(String),
    /// systemd, about a service.
    Systemd(String),
}

impl Source {
    /// Whether it is a service, or systemd about it.
    pub fn is_of(&self, service: &str) -> bool {
        matches!(self, Source::Unit(name) | Source::Systemd(name) if name == service)
    }
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The time as it is shown: `2026-11-24 12:03:04 UTC`, or as it is in the text. Empty if there is none.
    pub time: String,
    pub source: Source,
    pub pid: Option<u32>,
    pub message: String,
}

/// Reads a line in either form. `None` if it is no line of a journal.
pub fn read(line: &str) -> Option<Entry> {
    if line.starts_with('{') { of_json(line) } else { of_text(line.trim_end()) }
}

/// Fields of a journal entry (systemd.journal-fields(7)). If the bytes of a field are no text, it is an array of numbers. If
/// a field is there several times, it is an array. A long field may be null (systemd's Journal JSON format).
#[derive(Deserialize)]
struct Fields {
    #[serde(rename = "MESSAGE", default)]
    message: Value,
    #[serde(rename = "_TRANSPORT", default)]
    transport: Value,
    #[serde(rename = "_SYSTEMD_UNIT", default)]
    unit: Value,
    #[serde(rename = "UNIT", default)]
    about: Value,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    identifier: Value,
    #[serde(rename = "_PID", default)]
    pid: Value,
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    microseconds: Value,
}

/// Reads a line of JSON (`journalctl --output json`).
fn of_json(line: &str) -> Option<Entry> {
    let fields: Fields = serde_json::from_str(line).ok()?;
    let service = |value: &Value| value.as_str().map(|unit| unit.trim_end_matches(".service").to_owned());
    let source = if fields.transport == "kernel" {
        Source::Kernel
    } else if let Some(unit) = service(&fields.about) {
        Source::Systemd(unit)
    } else {
        Source::Unit(service(&fields.unit).or_else(|| service(&fields.identifier))?)
    };
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    Some(Entry {
        time: number(&fields.microseconds).and_then(time).unwrap_or_default(),
        source,
        pid: number(&fields.pid).and_then(|pid| pid.try_into().ok()),
        message: text(&fields.message)?,
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(bytes) if bytes.iter().all(Value::is_u64) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|byte| byte.as_u64()?.try_into().ok()).collect();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        Value::Array(values) => Some(values.iter().filter_map(text).collect::<Vec<_>>().join("\n")),
        _ => None,
    }
}

/// Microseconds since 1970 as `2026-11-24 12:03:04 UTC`.
fn time(microseconds: u64) -> Option<String> {
    let time = DateTime::from_unix_duration(Duration::from_secs(microseconds / 1_000_000)).ok()?;
    Some(time.to_string().replace('T', " ").replace('Z', " UTC"))
}

/// `Nov 24 12:03:04 host kernel: NVRM: …` and its kin, with any kind of time; or `[   12.345678] NVRM: …` of dmesg.
fn of_text(line: &str) -> Option<Entry> {
    if let Some((time, message)) = line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        let time = format!("{} s after the start", time.trim());
        return Some(Entry { time, source: Source::Kernel, pid: None, message: message.to_owned() });
    }
    let (head, message) = line.split_once(": ")?;
    let mut words: Vec<&str> = head.split_whitespace().collect();
    let program = words.pop()?;
    words.pop()?; // The host's name is private.
    let (name, pid) = match program.strip_suffix(']').and_then(|program| program.split_once('[')) {
        Some((name, pid)) => (name, pid.parse().ok()),
        None => (program, None),
    };
    let source = match name {
        "kernel" => Source::Kernel,
        "systemd" => Source::Systemd(message.split_once(".service: ")?.0.to_owned()),
        name => Source::Unit(name.to_owned()),
    };
    Some(Entry { time: words.join(" "), source, pid, message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_text_are_read_alike() {
        let json = r#"{"__REALTIME_TIMESTAMP":"1763985784000000","_TRANSPORT":"kernel","MESSAGE":"NVRM: loading"}
{"__REALTIME_TIMESTAMP":"1763985785000000","_SYSTEMD_UNIT":"nvidia-vgpud.service","_PID":"7","MESSAGE":"a: b"}
{"_PID":"1","UNIT":"nvidia-vgpud.service","_SYSTEMD_UNIT":"init.scope","MESSAGE":"Started x."}
{"_TRANSPORT":"kernel","MESSAGE":[78,86,82,77,58,32,255]}
{"_TRANSPORT":"kernel","MESSAGE":null}
{"_TRANSPORT":"kernel","MESSAGE":["NVRM: c",[78,255],null]}
not a journal
{ broken"#;
        let entries: Vec<Entry> = json.lines().filter_map(read).collect();
        let entry = |time: &str, source, pid, message: &str| Entry {
            time: time.to_owned(),
            source,
            pid,
            message: message.to_owned(),
        };
        let vgpud = || "nvidia-vgpud".to_owned();
        assert_eq!(
            entries,
            [
                entry("2025-11-24 12:03:04 UTC", Source::Kernel, None, "NVRM: loading"),
                entry("2025-11-24 12:03:05 UTC", Source::Unit(vgpud()), Some(7), "a: b"),
                entry("", Source::Systemd(vgpud()), Some(1), "Started x."),
                entry("", Source::Kernel, None, "NVRM: \u{fffd}"),
                entry("", Source::Kernel, None, "NVRM: c\nN\u{fffd}"),
            ]
        );
        let text = "Nov 24 12:03:04 rack kernel: NVRM: loading
2025-11-24T12:03:05+0000 rack nvidia-vgpud[7]: a: b
Nov 24 12:03:06 rack systemd[1]: nvidia-vgpud.service: Failed with result 'exit-code'.
[   12.5] vfio-pci 0000:41:00.0: x
-- Boot 1 --
";
        assert_eq!(
            text.lines().filter_map(read).collect::<Vec<_>>(),
            [
                entry("Nov 24 12:03:04", Source::Kernel, None, "NVRM: loading"),
                entry("2025-11-24T12:03:05+0000", Source::Unit(vgpud()), Some(7), "a: b"),
                entry(
                    "Nov 24 12:03:06",
                    Source::Systemd(vgpud()),
                    Some(1),
                    "nvidia-vgpud.service: Failed with result 'exit-code'."
                ),
                entry("12.5 s after the start", Source::Kernel, None, "vfio-pci 0000:41:00.0: x"),
            ]
        );
    }
}
