//! /etc/nvidia/gridd.conf: where nvidia-gridd looks for its token, and settings with unknown names.
//!
//! Lines are `Key=value`; `#` begins a comment. The driver's gridd.conf.template has the settings it knows, most of them
//! as comments.

use std::collections::BTreeMap;

/// Settings in NVIDIA's guides that the template of some drivers does not have.
const DOCUMENTED: [&str; 4] = ["ClientConfigTokenPath", "FeatureType", "ProxyServerAddress", "ProxyServerPort"];

/// The settings of a gridd.conf. The last one with a name counts. Quotes around a value are not part of it.
pub fn settings(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
        .collect()
}

/// The settings in `conf` that are not in the driver's template and not in NVIDIA's guides. Most are misspelt.
pub fn unknown<'a>(conf: &'a str, template: &str) -> Vec<&'a str> {
    // Comments count, too: `# ServerPort=7070`.
    let known: Vec<&str> = template
        .lines()
        .filter_map(|line| Some(line.trim_start_matches(['#', ' ', '\t']).split_once('=')?.0.trim()))
        .collect();
    settings(conf).into_keys().filter(|key| !known.contains(key) && !DOCUMENTED.contains(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_misspelt_ones_found() {
        let template = "# Description: Set License Server port number\n#ServerPort=7070\nFeatureType=0\n# EnableUI=\n";
        let conf =
            "# ServerAddress=a\nClientConfigTokenPath=\"/run/token\"\n EnableUI = TRUE\nFeaturetype=1\nno setting\n";
        assert_eq!(settings(conf)["ClientConfigTokenPath"], "/run/token");
        assert_eq!(settings(conf)["EnableUI"], "TRUE");
        assert_eq!(unknown(conf, template), ["Featuretype"]);
        assert_eq!(unknown("ServerPort=1\nProxyServerPort=3\n", template), [""; 0]);
    }
}
