//! Keeps private data out of reports, because people paste them into issues: names of hosts, virtual machines, servers and
//! people, and identifiers of devices and licences (serial numbers, UUIDs, tokens).

use std::net::IpAddr;

use super::observed::Observed;

/// What may be in a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// No names, addresses and identifiers.
    Hidden,
    All,
}

/// The text that replaces what was taken out.
const HIDDEN: &str = "[hidden]";

/// The names that are known to be private: this host, its virtual machines, its licence servers. The longest first.
pub fn secrets(seen: &Observed) -> Vec<String> {
    let mut names: Vec<String> = seen.machine.hostname.iter().cloned().collect();
    names.extend(seen.users.all().filter_map(|process| process.vm.clone()));
    let settings = seen.read("etc/nvidia/gridd.conf").unwrap_or_default();
    let servers = settings.lines().filter_map(|line| line.split_once('=')).filter(|(key, _)| key.contains("Address"));
    names.extend(servers.map(|(_, value)| value.trim().trim_matches('"').to_owned()));
    names.extend(super::checks::token_servers(seen));
    names.extend(people(&seen.read("etc/passwd").unwrap_or_default()));
    for entry in &seen.journal.entries {
        // `… license from SERVER (Info: …`, `(Info: SERVER, …` and `(Info: SERVER; …` of nvidia-gridd.
        for marker in ["license from ", "(Info: "] {
            let Some((_, rest)) = entry.message.split_once(marker) else { continue };
            let end = rest.find([' ', ',', ';', ')']).unwrap_or(rest.len());
            names.push(rest[..end].to_owned());
        }
    }
    names.retain(|name| name.len() > 2 && name != "localhost" && !name.starts_with("NVIDIA"));
    names.sort_by(|one, other| (other.len(), one).cmp(&(one.len(), other)));
    names.dedup();
    names
}

/// The users in a passwd file that are people. Users with a number below 1000, and nobody, belong to the system.
fn people(passwd: &str) -> impl Iterator<Item = String> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?.parse::<u32>().ok()?);
        ((1000..65534).contains(&number) && name != "nvidia").then(|| name.to_owned())
    })
}

/// The text without these names, and without IP addresses, hosts of URLs, and identifiers.
pub fn hide(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        text = hide_word(&text, secret);
    }
    hide_addresses(&hide_identifiers(&hide_hosts(&text)))
}

/// Takes out home directories, serial numbers and tokens. Of a UUID the beginning stays, so that readers can tell UUIDs
/// apart.
fn hide_identifiers(text: &str) -> String {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let mut hidden = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(inside) {
        let end = rest[start..].find(|c| !inside(c)).map_or(rest.len(), |length| start + length);
        let (before, word) = (&rest[..start], &rest[start..end]);
        let told = hidden.len() + before.len();
        hidden.push_str(before);
        if is_identifier(&hidden[..told], word) {
            hidden.push_str(HIDDEN);
        } else {
            hidden.push_str(&shorten_uuid(word));
        }
        rest = &rest[end..];
    }
    hidden + rest
}

fn is_identifier(before: &str, word: &str) -> bool {
    let label = before.trim_end_matches([' ', ':', '=', '#']).to_ascii_lowercase();
    let serial = label.ends_with("serial") || label.ends_with("serial number");
    // A token is JSON in Base64. This is the beginning of such JSON.
    let token = word.starts_with("eyJ") && word.len() > 16;
    before.ends_with("/home/") || token || (serial && word.bytes().any(|byte| byte.is_ascii_digit()))
}

/// `c73f1fa6-…` of a UUID, also in `GPU-c73f1fa6-489e-4834-9476-d70dabd98c40`.
fn shorten_uuid(word: &str) -> String {
    let (kind, rest) = word.strip_prefix("GPU-").map_or(("", word), |rest| ("GPU-", rest));
    match rest.get(..36) {
        Some(uuid) if uuid.as_bytes()[8] == b'-' && uuid.parse::<uuid::Uuid>().is_ok() => {
            format!("{kind}{}-…{}", &uuid[..8], &rest[36..])
        }
        _ => word.to_owned(),
    }
}

/// Replaces a name where it is a whole word: the host `a40` is not replaced in `NVIDIA-A40`.
fn hide_word(text: &str, word: &str) -> String {
    let part = |c: char| c.is_alphanumeric() || c == '-';
    let mut hidden = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, behind) = (&rest[..at], &rest[at + word.len()..]);
        let whole = !before.ends_with(part) && !behind.starts_with(part);
        hidden.push_str(before);
        hidden.push_str(if whole { HIDDEN } else { word });
        rest = behind;
    }
    hidden + rest
}

/// `https://HOST:443/path`, without the host.
fn hide_hosts(text: &str) -> String {
    let mut parts = text.split("://");
    let mut hidden = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_whitespace() || "/\"'),;>".contains(c)).unwrap_or(part.len());
        hidden.push_str("://");
        hidden.push_str(HIDDEN);
        hidden.push_str(&part[end..]);
    }
    hidden
}

/// IPv4 and IPv6. PCI addresses and versions are neither.
fn hide_addresses(text: &str) -> String {
    let inside = |c: char| c.is_ascii_hexdigit() || c == '.' || c == ':';
    let mut hidden = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(inside) {
        let end = rest[start..].find(|c| !inside(c)).map_or(rest.len(), |length| start + length);
        let word = &rest[start..end];
        // At the end of a sentence, or with a port after it.
        let bare = word.trim_end_matches(['.', ':']);
        let host = if bare.matches(':').count() == 1 { bare.split(':').next().unwrap_or(bare) } else { bare };
        hidden.push_str(&rest[..start]);
        if host.parse::<IpAddr>().is_ok_and(|address| !address.is_unspecified()) {
            hidden.push_str(HIDDEN);
            hidden.push_str(&word[host.len()..]);
        } else {
            hidden.push_str(word);
        }
        rest = &rest[end..];
    }
    hidden + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_go_and_the_rest_stays() {
        let secrets = ["dls.example.org".to_owned(), "rack".to_owned()];
        for (text, expected) in [
            ("from dls.example.org (Info: rack)", "from [hidden] (Info: [hidden])"),
            ("tracking rack-mount racks, crack", "tracking rack-mount racks, crack"),
            ("10.0.0.7: refused by 192.168.1.5:443.", "[hidden]: refused by [hidden]:443."),
            ("fe80::1 and 2001:db8::7.", "[hidden] and [hidden]."),
            ("GET https://server:8443/-/client-token, then", "GET https://[hidden]/-/client-token, then"),
            ("0000:41:00.0 550.163.02 12:03:04 0x56 6.12.8", "0000:41:00.0 550.163.02 12:03:04 0x56 6.12.8"),
            ("c73f1fa6-489e-4834-9476-d70dabd98c40: open", "c73f1fa6-…: open"),
            ("GPU-c73f1fa6-489e-4834-9476-d70dabd98c40.", "GPU-c73f1fa6-…."),
            ("Serial Number : 0321120012345, serial port 1", "Serial Number : [hidden], serial port 1"),
            ("/home/alice/win.qcow2: token eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "/home/[hidden]/win.qcow2: token [hidden]"),
        ] {
            assert_eq!(hide(text, &secrets), expected);
        }
    }
}
