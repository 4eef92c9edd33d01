//! The sections that say how the process runs: `[app] [engine] [http] [egress]`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::diag::Diag;
use super::reader::Section;

/// `[app]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// What the instance calls itself; default `thalweg`.
    pub name: String,
}

/// `[engine]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Worker threads; default 1.
    pub workers: usize,
    /// Where the store keeps its files; default `.thalweg` beside the configuration.
    pub data_dir: Option<PathBuf>,
    /// Take the file again whenever it changes; default: on SIGHUP and `thalweg reload` only.
    pub reload: bool,
}

/// `[http]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where `/health`, `/status` and `/metrics` are served; without, nothing listens.
    pub listen: Option<SocketAddr>,
}

/// `[egress]`: the private networks that webhooks may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressConfig {
    /// Networks in CIDR form, as written: `127.0.0.0/8`.
    pub allow: Vec<String>,
}

impl Default for App {
    fn default() -> Self {
        App { name: "thalweg".to_owned() }
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig { workers: 1, data_dir: None, reload: false }
    }
}

pub(super) fn app(mut section: Section<'_>) -> App {
    let name = section.text("name").map(|(name, _)| name);
    section.not_built(&["timezone", "include"]);
    section.finish();
    name.map_or_else(App::default, |name| App { name })
}

pub(super) fn engine(mut section: Section<'_>) -> EngineConfig {
    let workers = section.integer("workers", 1..=256).map_or(1, |n| n as usize);
    let data_dir = section.text("data_dir").map(|(dir, _)| PathBuf::from(dir));
    let reload = section.boolean("reload").unwrap_or(false);
    section.not_built(&["tick", "branch"]);
    section.finish();
    EngineConfig { workers, data_dir, reload }
}

pub(super) fn http(mut section: Section<'_>) -> HttpConfig {
    let listen = section.text("listen").and_then(|(text, origin)| match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Some(address),
        Ok(address) => {
            let diag = Diag::error(282, format!("`listen` may only be a loopback address, found {address}"));
            let help = format!("write \"127.0.0.1:{}\" and put a proxy that authenticates in front of it", address.port());
            section.out().report(diag.help(help), &origin, "reachable from outside without a token");
            None
        }
        Err(_) => {
            let diag = Diag::error(282, format!("`listen` of section `[http]` must be ADDRESS:PORT, found `{text}`"));
            section.out().report(diag.help("for example \"127.0.0.1:7777\""), &origin, "not an address with a port");
            None
        }
    });
    section.not_built(&["token"]);
    section.finish();
    HttpConfig { listen }
}

pub(super) fn egress(mut section: Section<'_>) -> EgressConfig {
    let mut allow = Vec::new();
    for (network, origin) in section.texts("allow").unwrap_or_default() {
        if is_network(&network) {
            allow.push(network);
        } else {
            let diag =
                Diag::error(282, format!("`{network}` is not a network")).help("for example \"127.0.0.0/8\" or \"fd00::/8\"");
            section.out().report(diag, &origin, "expected ADDRESS/BITS");
        }
    }
    section.finish();
    EgressConfig { allow }
}

/// `ADDRESS/BITS`, or a single address.
fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    match address.parse::<IpAddr>() {
        Ok(ip) => bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= if ip.is_ipv4() { 32 } else { 128 })),
        Err(_) => false,
    }
}
