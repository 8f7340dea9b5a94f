//! Client configuration tokens. A licence server makes this file. It tells nvidia-gridd where to ask for licences.
//!
//! A token is a JSON Web Token (RFC 7519) in compact form: header, payload and signature in base64url, joined by dots,
//! on one line. It is read without a key: this explains a token, but does not prove who made it. The payload has NVIDIA's
//! names, as fastapi-dls writes them. Everything else in it is ignored.

use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use vgpu_base::bounded::{self, ReadError};
use x509_cert::der::DateTime;

use super::wrong_file::what_it_is;

/// The most bytes that are read. Tokens have some 4 KB.
const MAX_BYTES: u64 = 1024 * 1024;

/// All of NVIDIA's own licence servers are in this domain.
const CLOUD: &str = ".licensing.nvidia.com";

const NEW_TOKEN: &str = "get a new token from the licence server; save it as a file, without pasting it";

/// Why a token can't be read at all.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TokenError {
    #[error("it cannot be read")]
    #[diagnostic(help("name a file that exists and that you may read; only root can read tokens"))]
    Read(#[source] io::Error),

    #[error("it is empty")]
    #[diagnostic(help("{NEW_TOKEN}"))]
    Empty,

    #[error("it is larger than {} KiB, and tokens have some 4 KiB", MAX_BYTES / 1024)]
    #[diagnostic(help("look at what was saved there; {NEW_TOKEN}"))]
    TooLarge,

    #[error("it holds {0} in place of a token")]
    #[diagnostic(help("{NEW_TOKEN}"))]
    NoToken(&'static str),

    #[error("{part} of the token is damaged: {reason}")]
    #[diagnostic(help("the file may have been cut or changed by an editor; {NEW_TOKEN}"))]
    Damaged { part: &'static str, reason: String },

    #[error("it is a JSON Web Token of another kind: it names no licence server")]
    #[diagnostic(help("the file wanted is called client_configuration_token_….tok; {NEW_TOKEN}"))]
    OtherKind,
}

/// The owner of the licence server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// NVIDIA's own, in the cloud.
    Cls,
    /// One that the user runs.
    Dls,
}

/// Where licences are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// As in the token: a name or an address, seldom a URL.
    pub url: String,
    /// TCP ports, without repetition, in order.
    pub ports: Vec<u16>,
}

impl Server {
    /// Its address, escaped. A token can come from anywhere and must not control the terminal.
    pub fn visible(&self) -> String {
        self.url.escape_debug().to_string()
    }
}

/// What a token says, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Token {
    pub kind: Kind,
    pub servers: Vec<Server>,
    /// The time from which it is valid: RFC 3339 in UTC, as 2026-11-24T12:00:00Z.
    pub valid_from: Option<String>,
    /// The time until which it is valid, in the same form.
    pub valid_until: Option<String>,
    /// Why it will not work, and what to do, each in a sentence. Empty for a good token.
    pub problems: Vec<String>,
}

/// Reads a token. Of a larger file, only a part is read.
pub fn read(source: impl Read, now: SystemTime) -> Result<Token, TokenError> {
    match bounded::read(source, MAX_BYTES) {
        Ok(bytes) => parse(&bytes, now),
        Err(ReadError::TooLong) => Err(TokenError::TooLarge),
        Err(ReadError::Io(error)) => Err(TokenError::Read(error)),
    }
}

/// Explains the content of a token file. Its dates are compared with `now`.
pub fn parse(bytes: &[u8], now: SystemTime) -> Result<Token, TokenError> {
    if bytes.is_empty() {
        return Err(TokenError::Empty);
    }
    let line: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let mut parts = line.split(|byte| *byte == b'.');
    let [Some(header), Some(payload)] = [parts.next(), parts.next()] else {
        return Err(TokenError::NoToken(what_it_is(bytes)));
    };
    // Base64 of `{"`: every header begins like this.
    if !header.starts_with(b"eyJ") {
        return Err(TokenError::NoToken(what_it_is(bytes)));
    }
    let signature = parts.next();
    let header: Value = json("the header", header)?;
    let payload: Value = json("the payload", payload)?;
    let configuration = payload.get("service_instance_configuration").ok_or(TokenError::OtherKind)?;

    let servers = servers(configuration);
    let [from, until] = ["nbf", "exp"].map(|claim| payload.get(claim).and_then(seconds));
    let mut problems = Vec::new();
    if line.len() < bytes.trim_ascii().len() {
        problems.push("blanks or line breaks are inside: copy the file, don't paste its text".to_owned());
    }
    problems.extend(of_signature(&header, signature));
    if parts.next().is_some() {
        problems.push(format!("it has more than three parts: {NEW_TOKEN}"));
    }
    problems.extend(of_dates(from, until, now));
    problems.extend(of_servers(&servers));
    Ok(Token {
        kind: kind(configuration, &servers),
        servers,
        valid_from: from.and_then(date),
        valid_until: until.and_then(date),
        problems,
    })
}

/// Decodes a part of the token: JSON in base64url, with or without padding.
fn json<T: DeserializeOwned>(part: &'static str, text: &[u8]) -> Result<T, TokenError> {
    let damaged = |reason: String| TokenError::Damaged { part, reason };
    let bytes = decode(text).map_err(|error| damaged(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))
}

/// Why a part is not base64url.
#[derive(Debug, thiserror::Error)]
enum Base64Error {
    #[error("it is cut")]
    Cut,
    #[error(transparent)]
    Other(DecodeError),
}

fn decode(text: &[u8]) -> Result<Vec<u8>, Base64Error> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    URL_SAFE_NO_PAD.decode(&text[..text.len() - padding]).map_err(|error| match error {
        // Characters at the end are missing.
        DecodeError::InvalidLength(_) | DecodeError::InvalidLastSymbol { .. } => Base64Error::Cut,
        other => Base64Error::Other(other),
    })
}

/// Licence servers sign with RSA and SHA-256, and nvidia-gridd accepts nothing else.
fn of_signature(header: &Value, signature: Option<&[u8]>) -> Vec<String> {
    let mut problems = Vec::new();
    match header.get("alg").and_then(Value::as_str) {
        Some("RS256") => {}
        Some(other) => {
            let other: String = other.chars().take(20).collect();
            problems.push(format!("it is signed with {other:?}, and licence servers sign with RS256: {NEW_TOKEN}"));
        }
        None => problems.push(format!("it does not say how it is signed: {NEW_TOKEN}")),
    }
    match signature.map(decode) {
        // The keys that RSA is used with have 1024, 2048, 3072 or 4096 bits.
        Some(Ok(bytes)) if matches!(bytes.len(), 128 | 256 | 384 | 512) => {}
        Some(Ok(bytes)) if !bytes.is_empty() => {
            problems.push(format!("its signature is cut, {} bytes are left: {NEW_TOKEN}", bytes.len()));
        }
        Some(Err(error)) => problems.push(format!("its signature is damaged ({error}): {NEW_TOKEN}")),
        _ => problems.push(format!("its signature is missing: {NEW_TOKEN}")),
    }
    problems
}

fn of_dates(from: Option<i64>, until: Option<i64>, now: SystemTime) -> Vec<String> {
    let now =
        i64::try_from(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
    let written = |seconds: i64| date(seconds).unwrap_or_else(|| format!("second {seconds} of Unix time"));
    let mut problems = Vec::new();
    match until {
        Some(until) if until <= now => problems.push(format!("it expired at {}: {NEW_TOKEN}", written(until))),
        Some(_) => {}
        None => problems.push(format!("it does not say until when it is valid: {NEW_TOKEN}")),
    }
    if let Some(from) = from.filter(|from| *from > now) {
        let (from, now) = (written(from), written(now));
        problems.push(format!("it is valid from {from} on, and here it is {now}: set the clock of this machine"));
    }
    problems
}

fn of_servers(servers: &[Server]) -> Vec<String> {
    if servers.is_empty() {
        return vec![format!("it names no licence server: {NEW_TOKEN}")];
    }
    let of_one = |server: &Server| match host(&server.url) {
        "localhost" | "127.0.0.1" | "::1" => Some(format!(
            "its server is {}, the guest itself: give the server its address (DLS_URL of fastapi-dls), then {NEW_TOKEN}",
            server.visible()
        )),
        "" => Some(format!("a licence server in it has no name: {NEW_TOKEN}")),
        _ if server.ports.is_empty() => {
            Some(format!("it has no port for its server {}: {NEW_TOKEN}", server.visible()))
        }
        _ => None,
    };
    servers.iter().filter_map(of_one).collect()
}

/// The servers, each with the ports of the set that it refers to.
fn servers(configuration: &Value) -> Vec<Server> {
    let ports = |set: &Value| -> Vec<u16> {
        let services = list(set, "svc_port_map");
        services.filter_map(|service| u16::try_from(service.get("port")?.as_u64()?).ok()).collect()
    };
    let server = |node: &Value| {
        let sets = list(configuration, "svc_port_set_list");
        let mut ports: Vec<u16> =
            sets.filter(|set| set.get("idx") == node.get("svc_port_set_idx")).flat_map(ports).collect();
        ports.sort_unstable();
        ports.dedup();
        Some(Server { url: node.get("url")?.as_str()?.to_owned(), ports })
    };
    list(configuration, "node_url_list").filter_map(server).collect()
}

/// The name of the set of ports tells the kind of server. If it does not, the server's address does.
fn kind(configuration: &Value, servers: &[Server]) -> Kind {
    let named =
        |name: &str| list(configuration, "svc_port_set_list").any(|set| set.get("d_name") == Some(&name.into()));
    let cloud = servers.iter().any(|server| host(&server.url).ends_with(CLOUD));
    if named("CLS") || (!named("DLS") && cloud) { Kind::Cls } else { Kind::Dls }
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The host in what may be a host or a URL: `licences.example.org` of `https://licences.example.org:443/`.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((address, _)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match rest.split_once(':') {
        // More than one colon: an IPv6 address without brackets.
        Some((host, port)) if !port.contains(':') => host,
        _ => rest,
    }
}

/// Unix time. RFC 7519 allows a fraction.
fn seconds(claim: &Value) -> Option<i64> {
    claim.as_i64().or_else(|| claim.as_f64().map(|seconds| seconds as i64))
}

/// `None` before 1970 and after 9999.
fn date(seconds: i64) -> Option<String> {
    let seconds = Duration::from_secs(u64::try_from(seconds).ok()?);
    Some(DateTime::from_unix_duration(seconds).ok()?.to_string())
}
