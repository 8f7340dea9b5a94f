//! `vgpu license token` with tokens as licence servers make them, and with damaged ones.
//!
//! The tests make the tokens, in the form that fastapi-dls writes. Nobody checks signatures. So any bytes with the length
//! of an RSA signature will do.

use std::path::Path;
use std::time::{Duration, SystemTime};

use assert_cmd::Command;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};
use vgpu::license::{failures, token};

/// 2020-01-01 and 2100-01-01, in Unix time.
const FROM: i64 = 1_577_836_800;
const UNTIL: i64 = 4_102_444_800;

/// The payload of a good token for `url`.
fn payload(url: &str, kind: &str, ports: &[(&str, u16)]) -> Value {
    let ports: Vec<Value> = ports.iter().map(|(service, port)| json!({"service": service, "port": port})).collect();
    json!({
        "jti": "11111111-2222-3333-4444-555555555555",
        "iss": "NLS Service Instance",
        "aud": "NLS Licensed Client",
        "iat": FROM,
        "nbf": FROM,
        "exp": UNTIL,
        "protocol_version": "2.0",
        "update_mode": "ABSOLUTE",
        "scope_ref_list": ["20000000-0000-0000-0000-000000000001"],
        "fulfillment_class_ref_list": [],
        "service_instance_configuration": {
            "nls_service_instance_ref": "10000000-0000-0000-0000-000000000001",
            "svc_port_set_list": [{"idx": 0, "d_name": kind, "svc_port_map": ports}],
            "node_url_list": [{"idx": 0, "url": url, "url_qr": url, "svc_port_set_idx": 0}]
        },
        "service_instance_public_key_configuration": {
            "service_instance_public_key_me": {"mod": "c3", "exp": 65537},
            "service_instance_public_key_pem": "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
            "key_retention_mode": "LATEST_ONLY"
        }
    })
}

fn dls() -> Value {
    payload("licences.example.org", "DLS", &[("auth", 443), ("lease", 8443)])
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signed(algorithm: &str, payload: &Value) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT"}).to_string();
    format!("{}.{}.{}", encode(header), encode(payload.to_string()), encode([0xa5; 256]))
}

fn good() -> String {
    signed("RS256", &dls())
}

fn command(dir: &Path, content: impl AsRef<[u8]>) -> Command {
    std::fs::write(dir.join("client.tok"), content).unwrap();
    let mut command = Command::cargo_bin("vgpu").unwrap();
    command.current_dir(dir).args(["license", "token"]);
    command
}

/// The output for a token that can be explained.
fn explained(content: impl AsRef<[u8]>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = command(dir.path(), content).arg("client.tok").assert().success().get_output().clone();
    assert!(output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

fn problems(content: impl AsRef<[u8]>) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let output = command(dir.path(), content).args(["client.tok", "--json"]).assert().success().get_output().clone();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    value["problems"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The cause of an error about a file that is no token, and that there is advice.
fn refused(content: impl AsRef<[u8]>) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = command(dir.path(), content).arg("client.tok").assert().code(1).get_output().clone();
    assert!(output.stdout.is_empty(), "a refused file yields no result");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [error, cause, help] = lines[..] else { panic!("{text}") };
    assert_eq!(error, "error: cannot explain the token client.tok");
    assert!(help.starts_with("help: "), "{text}");
    cause.strip_prefix("cause: ").unwrap().to_owned()
}

#[test]
fn a_token_of_ones_own_server_is_explained() {
    assert_snapshot!(explained(good()), @r"
    client.tok
      kind        DLS: a licence server of your own
      server      licences.example.org, ports: 443, 8443
      valid from  2020-01-01T00:00:00Z
      valid until 2100-01-01T00:00:00Z
    ");
}

#[test]
fn json_has_the_same_in_the_agreed_form() {
    let dir = tempfile::tempdir().unwrap();
    let output = command(dir.path(), "").args(["-", "--json"]).write_stdin(good() + "\n").assert().success();
    let value: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let want = json!({
        "kind": "dls",
        "servers": [{"url": "licences.example.org", "ports": [443, 8443]}],
        "valid_from": "2020-01-01T00:00:00Z",
        "valid_until": "2100-01-01T00:00:00Z",
        "problems": []
    });
    assert_eq!(value, want);
}

#[test]
fn nvidias_own_server_is_told_by_name_or_address() {
    let cls = |url, kind| explained(signed("RS256", &payload(url, kind, &[("auth", 443), ("lease", 443)])));
    let by_address = cls("api.cls.licensing.nvidia.com", "");
    assert!(by_address.contains("CLS: NVIDIA's"), "{by_address}");
    assert!(by_address.contains("api.cls.licensing.nvidia.com, ports: 443\n"), "{by_address}");
    assert!(cls("licences.example.org", "CLS").contains("CLS: NVIDIA's"));
    assert!(cls("api.cls.licensing.nvidia.com.example.org", "").contains("DLS: "));
}

#[test]
fn dates_are_compared_with_the_clock() {
    let with = |claim: &str, value: i64| {
        let mut payload = dls();
        payload[claim] = value.into();
        problems(signed("RS256", &payload))
    };
    let [expired] = &with("exp", FROM + 60)[..] else { panic!() };
    assert!(expired.starts_with("it expired at 2020-01-01T00:01:00Z: get a new token"), "{expired}");
    let [early] = &with("nbf", UNTIL - 60)[..] else { panic!() };
    assert!(early.starts_with("it is valid from 2099-12-31T23:59:00Z on, and here it is 20"), "{early}");
    // This is no date in any calendar. It must not cause a panic.
    assert_eq!(with("exp", i64::MAX), Vec::<String>::new());
    assert!(with("exp", i64::MIN)[0].starts_with("it expired at second -9"));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(FROM.unsigned_abs());
    assert_eq!(
        token::parse(good().as_bytes(), now).unwrap().problems,
        Vec::<String>::new(),
        "valid from this second on"
    );
}

#[test]
fn other_algorithms_and_missing_signatures_are_problems() {
    let only = |content: String| match &problems(content)[..] {
        [one] => one.clone(),
        other => panic!("{other:?}"),
    };
    for algorithm in ["none", "HS256", "ES256", "\u{1b}[2J"] {
        let problem = only(signed(algorithm, &dls()));
        assert!(problem.starts_with(&format!("it is signed with {algorithm:?}, and licence servers")), "{problem}");
    }
    let good = good();
    assert!(only(good[..good.len() - 98].to_owned()).starts_with("its signature is cut, 183 bytes are left"));
    assert!(only(good.rsplit_once('.').unwrap().0.to_owned()).starts_with("its signature is missing"));
    assert!(only(good.rsplit_once('.').unwrap().0.to_owned() + ".").starts_with("its signature is missing"));
    assert!(only(good[..good.len() - 97].to_owned()).starts_with("its signature is damaged (it is cut)"));
    assert!(only(good.clone() + "!").starts_with("its signature is damaged"));
    assert!(only(good + ".AAAA").starts_with("it has more than three parts"));
}

#[test]
fn pasted_tokens_are_told_from_files() {
    let good = good();
    assert_eq!(problems(format!("\u{20}{good}\r\n")), Vec::<String>::new(), "blanks around it are no harm");
    let (one, two) = good.split_at(80);
    assert_eq!(
        problems(format!("{one}\n{two}\n")),
        ["blanks or line breaks are inside: copy the file, don't paste its text"]
    );
}

#[test]
fn servers_that_no_guest_can_reach_are_problems() {
    let problem = |url: &str, ports: &[(&str, u16)]| match &problems(signed("RS256", &payload(url, "DLS", ports)))[..] {
        [one] => one.clone(),
        other => panic!("{other:?}"),
    };
    for url in ["localhost", "127.0.0.1", "https://localhost:443/", "::1", "[::1]:443"] {
        let problem = problem(url, &[("auth", 443)]);
        assert!(problem.starts_with(&format!("its server is {url}, the guest itself")), "{problem}");
    }
    assert!(problem("licences.example.org", &[]).starts_with("it has no port for its server"));
    let mut none = dls();
    none["service_instance_configuration"]["node_url_list"] = json!([]);
    assert!(problems(signed("RS256", &none))[0].starts_with("it names no licence server"));
}

#[test]
fn nothing_of_a_token_reaches_the_terminal_as_a_control_sequence() {
    // If standard output is no terminal, it drops some of them. So the text is checked before that.
    for url in ["localhost/\u{1b}]0;title\u{7}\nb", "localhost\u{1b}[31m"] {
        let token = signed("\u{1b}[31m", &payload(url, "DLS", &[]));
        let token = token::parse(token.as_bytes(), SystemTime::now()).unwrap();
        let shown: Vec<String> = token.servers.iter().map(token::Server::visible).chain(token.problems).collect();
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert!(shown.iter().all(|text| !text.chars().any(char::is_control)), "{shown:?}");
    }
}

#[test]
fn what_is_no_token_is_named() {
    assert_snapshot!(refused(""), @"it is empty");
    assert_snapshot!(refused(" \n"), @"it holds nothing but blanks in place of a token");
    assert_snapshot!(refused("<!DOCTYPE html><title>Log in</title>"), @"it holds a web page in place of a token");
    assert_snapshot!(refused("{\"detail\": \"Not Found\"}"), @"it holds a JSON document in place of a token");
    assert_snapshot!(refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), @"it holds a PEM file (a certificate or a key) in place of a token");
    let utf16: Vec<u8> = [0xfeff].into_iter().chain(good().encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_snapshot!(refused(utf16), @"it holds UTF-16 text in place of a token");
    assert_snapshot!(refused([0, 1, 2, 0xff]), @"it holds binary data in place of a token");
    assert_snapshot!(refused("a.b.c"), @"it holds other text in place of a token");
    let lease = json!({"sub": "lease", "exp": UNTIL});
    assert_snapshot!(refused(signed("RS256", &lease)), @"it is a JSON Web Token of another kind: it names no licence server");
}

#[test]
fn damage_is_located() {
    let good = good();
    let dot = good.find('.').unwrap();
    assert_snapshot!(refused(&good[..dot - 4]), @"it holds other text in place of a token");
    assert_snapshot!(refused(&good[..dot + 401]), @"the payload of the token is damaged: EOF while parsing a string at line 1 column 300");
    assert_snapshot!(refused(&good[..dot + 402]), @"the payload of the token is damaged: it is cut");
    assert_snapshot!(refused(good.replacen("eyJ", "eyJ*", 1)), @"the header of the token is damaged: Invalid symbol 42, offset 3.");
}

#[test]
fn ten_megabytes_are_refused_unread() {
    let padding = "A".repeat(10 << 20);
    assert_snapshot!(refused(good() + &padding), @"it is larger than 1024 KiB, and tokens have some 4 KiB");
    let dir = tempfile::tempdir().unwrap();
    let mut nothing = Command::cargo_bin("vgpu").unwrap();
    nothing.args(["license", "token", "/dev/zero"]).timeout(Duration::from_secs(20)).assert().code(1);
    let missing = command(dir.path(), "").arg("missing.tok").assert().code(1).get_output().clone();
    assert!(String::from_utf8(missing.stderr).unwrap().contains("cause: No such file or directory"));
}

proptest! {
    /// A token that was changed or cut anywhere is explained or refused.
    #[test]
    fn damaged_tokens_never_panic(at in 0..1500_usize, byte in any::<u8>(), keep in 0..1500_usize) {
        let mut bytes = good().into_bytes();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(keep.max(1));
        let _ = token::parse(&bytes, SystemTime::now());
    }

    /// With any JSON in it.
    #[test]
    fn any_payload_is_read(nodes in "[\\[{\"a-z0-9:,}\\]]{0,60}", claim in any::<f64>()) {
        let inner: Value = serde_json::from_str(&nodes).unwrap_or(Value::Null);
        let payload = json!({"exp": claim, "nbf": nodes, "service_instance_configuration": {
            "node_url_list": inner, "svc_port_set_list": [inner]}});
        let token = token::parse(signed("RS256", &payload).as_bytes(), SystemTime::now()).unwrap();
        prop_assert!(!token.problems.is_empty());
    }
}

/// Lines of nvidia-gridd from a journal, and the failure that each must be recognised as.
#[test]
fn every_failure_line_has_a_way_out() {
    let lines = [
        ("no-token", "Unable to fetch the client configuration token file. Please make sure that it exists"),
        ("token-refused", "Failed to decode signature from token received"),
        ("token-refused", "Failed to read configurations from client configuration token (Error: invalid)"),
        ("token-refused", "Failed to setup cloud License Manager: 3"),
        (
            "clock",
            "Failed to acquire license from licences.example.org (Info: NVIDIA RTX Virtual Workstation - Error: The allowed time to process response has expired)",
        ),
        (
            "network",
            "Failed to acquire license from licences.example.org (Info: NVIDIA RTX Virtual Workstation - Error: Generic network communication failure)",
        ),
        (
            "no-such-licence",
            "Failed to acquire license from licences.example.org (Info: NVIDIA RTX Virtual Workstation - Error: No pool features found for : NVIDIA RTX Virtual Workstation)",
        ),
        (
            "certificate",
            "Failed to acquire license from licences.example.org (Info: NVIDIA Virtual PC - Error: certificate verify failed)",
        ),
        (
            "refused",
            "Failed to acquire license from licences.example.org (Info: NVIDIA Virtual PC - Error: something new)",
        ),
        ("trusted-store", "Failed to update local trusted store - Maximum buffer size exceeded"),
        ("trusted-store", "Failed to register client (2)"),
        (
            "unlicensed",
            "Valid GRID license not found. GPU features and performance will be restricted. To enable full functionality please configure licensing details.",
        ),
        ("clock-set-back", "Clock windback has been detected"),
        ("feature-type", "Invalid feature type requested"),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for (id, line) in lines {
        let failure = failures::explain(line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(failure.id, id, "{line}");
        assert!(failures::is_failure(line));
        seen.insert(id);
    }
    assert_eq!(seen.len(), failures::FAILURES.len(), "every failure is tried");
    for harmless in [
        "Failed to open file /etc/nvidia/gridd.conf (No such file or directory)",
        "Configuration parameter ( ServerAddress  FeatureType) not set",
        "Unable to open directory /etc/nvidia/license (No such file or directory)",
        "License acquired successfully. (Info: licences.example.org, NVIDIA RTX Virtual Workstation; Expiry: 2027-1-4 8:1:9 GMT)",
        "Acquiring license. (Info: licences.example.org; NVIDIA RTX Virtual Workstation)",
    ] {
        assert!(!failures::is_failure(harmless), "{harmless}");
    }
    assert!(failures::is_failure("Failed to do a thing nobody has seen"));
}
