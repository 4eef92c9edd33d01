//! The egress guard: which addresses a webhook may reach.
//!
//! A row in a database must not be able to make this process talk to the inside of its network. Everything that is not a global unicast
//! address is refused unless `[egress] allow` names it: private, loopback, link-local (and with it the metadata address
//! 169.254.169.254), carrier-grade NAT, multicast, unspecified, documentation, IPv4 inside IPv6 in all its forms.
//!
//! - INV-EGRESS: the address that is judged is the address that is dialled. Names are resolved by `Guard`, which hands on only
//!   permitted addresses, at every connect; a literal address in a URL does not pass a resolver and is judged by [`EgressPolicy::check_url`].
//!   The client follows no redirects and uses no proxy.
//!
//! Source: the IANA special-purpose address registries (RFC 6890 and its updates).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thalweg_formulas::Problem;

/// A block of addresses in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    mask: u128,
    v4: bool,
}

impl Cidr {
    /// Reads `127.0.0.0/8`, `fd00::/8`, or one address.
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(width);
        if length > width {
            return None;
        }
        let ones = u128::MAX.checked_shl(width - length).unwrap_or(0);
        let mask = if address.is_ipv4() { ones & u128::from(u32::MAX) } else { ones };
        Some(Cidr { network: bits(address) & mask, mask, v4: address.is_ipv4() })
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.v4 == address.is_ipv4() && bits(address) & self.mask == self.network
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// Which addresses may be reached beside the public ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    allow: Vec<Cidr>,
}

impl EgressPolicy {
    /// Reads `[egress] allow`.
    ///
    /// # Errors
    /// E0504 for each entry that is no address block, with its position.
    pub fn parse<S: AsRef<str>>(allow: &[S]) -> Result<Self, Vec<(usize, Problem)>> {
        let mut policy = Self::default();
        let mut problems = Vec::new();
        for (index, text) in allow.iter().map(AsRef::as_ref).enumerate() {
            match Cidr::parse(text) {
                Some(block) => policy.allow.push(block),
                None => problems.push((
                    index,
                    Problem::new(504, format!("`{text}` is not an address block"))
                        .help("write a block like \"127.0.0.0/8\" or \"fd00::/8\""),
                )),
            }
        }
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }

    /// Judges one address.
    ///
    /// # Errors
    /// What kind of address it is, if it may not be reached.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let canonical = address.to_canonical();
        if self.allow.iter().any(|block| block.holds(address) || block.holds(canonical)) {
            return Ok(());
        }
        let kind = match address {
            IpAddr::V4(v4) => special_v4(v4),
            IpAddr::V6(v6) => special_v6(v6),
        };
        match kind {
            Some(kind) => Err(Refused { host: address.to_string(), address, kind }),
            None => Ok(()),
        }
    }

    /// Judges what can be told from a URL alone: its scheme, user information, and a literal or well-known local host.
    ///
    /// # Errors
    /// Why it may not be used, without the parts of the URL that may be secret.
    pub fn check_url(&self, url: &Url) -> Result<(), UrlError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::UserInformation);
        }
        let host = url.host_str().ok_or(UrlError::NoHost)?;
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = literal.parse::<IpAddr>() {
            return Ok(self.check(address)?);
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        if (name == "localhost" || name.ends_with(".localhost")) && loopback.iter().all(|address| self.check(*address).is_err()) {
            return Err(Refused { host: host.to_owned(), address: loopback[0], kind: "loopback" }.into());
        }
        Ok(())
    }
}

/// Why a URL may not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `http` nor `https`.
    #[error("its scheme is not http or https")]
    Scheme,
    /// `user:password@`: it hides hosts, and it ends in logs.
    #[error("a url must not carry a user or password; use headers = {{ Authorization = \"…\" }}")]
    UserInformation,
    /// Nothing to connect to.
    #[error("it has no host")]
    NoHost,
    /// Its host is an address that is not let through.
    #[error(transparent)]
    Address(#[from] Refused),
}

impl UrlError {
    /// What to write in the configuration, where that is the cure.
    pub(crate) fn cure(&self) -> Option<String> {
        let UrlError::Address(Refused { address, .. }) = self else { return None };
        let block = match address {
            IpAddr::V4(v4) if v4.is_loopback() => "127.0.0.0/8".to_owned(),
            other => other.to_string(),
        };
        Some(format!("if it is meant, write [egress] allow = [\"{block}\"]"))
    }
}

/// An address that the guard does not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    host: String,
    address: IpAddr,
    kind: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { host, address, kind } = self;
        if *host == address.to_string() {
            write!(f, "{address} is a {kind} address")?;
        } else {
            write!(f, "{host} is {address}, a {kind} address")?;
        }
        f.write_str(", and [egress] allow does not name it")
    }
}

impl std::error::Error for Refused {}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    Some(match (a, b, c) {
        (0, ..) => "unspecified",
        (127, ..) => "loopback",
        (10, ..) | (192, 168, _) => "private",
        (172, 16..=31, _) => "private",
        (169, 254, _) => "link-local",
        (100, 64..=127, _) => "carrier-grade NAT",
        (192, 0, 0) => "reserved",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "documentation",
        (192, 88, 99) => "6to4 relay",
        (198, 18..=19, _) => "benchmarking",
        (224..=239, ..) => "multicast",
        (240.., ..) => "reserved",
        _ => return None,
    })
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let s = address.segments();
    Some(match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0, 0, 0, 0, 0, 0xffff, ..] => "IPv4-mapped",
        [0, 0, 0, 0, 0xffff, 0, ..] => "IPv4-translated",
        [0, 0, 0, 0, 0, 0, ..] => "IPv4-compatible",
        [0x64, 0xff9b, ..] => "NAT64",
        [0xfc00..=0xfdff, ..] => "private",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "site-local",
        [0xff00..=0xffff, ..] => "multicast",
        [0x2001, 0..=0x1ff, ..] => "protocol assignment (Teredo and others)",
        [0x2001, 0xdb8, ..] => "documentation",
        [0x3fff, 0..=0xfff, ..] => "documentation",
        [0x2002, ..] => "6to4",
        [0x2000..=0x3fff, ..] => return None,
        _ => "reserved",
    })
}

/// The resolver of the HTTP client: names in, permitted addresses out.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) policy: Arc<EgressPolicy>,
}

impl Guard {
    /// The permitted ones of a name's addresses; the last refusal if none is.
    fn permitted(
        &self,
        name: &str,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let mut permitted = Vec::new();
        let mut last = None;
        for address in found {
            match self.policy.check(address.ip()) {
                Ok(()) => permitted.push(address),
                Err(refused) => last = Some(Refused { host: name.to_owned(), ..refused }),
            }
        }
        match last {
            _ if !permitted.is_empty() => Ok(permitted),
            Some(refused) => Err(Box::new(refused)),
            None => Err(format!("{name} has no address").into()),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted = guard.permitted(name.as_str(), found)?;
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(policy: &EgressPolicy, url: &str) -> String {
        match Url::parse(url) {
            Err(why) => format!("not a url: {why}"),
            Ok(url) => policy.check_url(&url).map_or_else(|why| why.to_string(), |()| "permitted".to_owned()),
        }
    }

    /// The corpus: ways to write an inside address, and ways to hide one.
    #[test]
    fn sec_01_no_spelling_of_an_inside_address_passes() {
        let inside = [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://127.0.0.1./",
            "http://127.0.0.01/",
            "http://１２７.0.0.1/",
            "http://127。0。0。1/",
            "http://%31%32%37.0.0.1/",
            "http://0/",
            "http://0.0.0.0:8080/",
            "http://10.0.0.1/",
            "http://10.255.255.255/",
            "http://172.16.0.1/",
            "http://172.31.255.255/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://0251.0376.0251.0376/",
            "http://100.64.0.1/",
            "http://100.127.255.255/",
            "http://100.100.100.200/",
            "http://192.0.0.192/",
            "http://192.0.2.1/",
            "http://198.18.0.1/",
            "http://198.51.100.7/",
            "http://203.0.113.9/",
            "http://224.0.0.1/",
            "http://239.255.255.250/",
            "http://240.0.0.1/",
            "http://255.255.255.255/",
            "http://192.88.99.1/",
            "http://[::]/",
            "http://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::ffff:8.8.8.8]/",
            "http://[::ffff:0:127.0.0.1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[64:ff9b:1::10.0.0.1]/",
            "http://[fe80::1]/",
            "http://[fec0::1]/",
            "http://[fc00::1]/",
            "http://[fd00:ec2::254]/",
            "http://[ff02::1]/",
            "http://[2001:db8::1]/",
            "http://[2001::1]/",
            "http://[2001:0:7f00:1::]/",
            "http://[2002:7f00:1::]/",
            "http://[3fff::1]/",
            "http://[100::1]/",
            "http://[5f00::1]/",
            "http://localhost/",
            "http://LOCALHOST/",
            "http://localhost./",
            "http://a.localhost/",
            "https://localhost:8443/",
            "http://ⓛocalhost/",
        ];
        for url in inside {
            let verdict = verdict(&EgressPolicy::default(), url);
            assert!(verdict.contains("address, and [egress] allow does not name it"), "{url}: {verdict}");
        }
    }

    #[test]
    fn tricks_that_are_no_addresses_are_refused_too() {
        for (url, expected) in [
            ("http://[fe80::1%25eth0]/", "not a url: invalid IPv6 address"),
            ("http://1.2.3.4.5/", "not a url: invalid IPv4 address"),
            ("http://256.1.1.1/", "not a url: invalid IPv4 address"),
            ("http://", "not a url: empty host"),
            ("ftp://example.org/", "its scheme is not http or https"),
            ("file:///etc/passwd", "its scheme is not http or https"),
            ("gopher://example.org/", "its scheme is not http or https"),
            ("unix:/run/docker.sock", "its scheme is not http or https"),
            (
                "http://hooks.example.org@127.0.0.1/",
                "a url must not carry a user or password; use headers = { Authorization = \"…\" }",
            ),
            ("http://u:canary@example.org/", "a url must not carry a user or password; use headers = { Authorization = \"…\" }"),
        ] {
            assert_eq!(verdict(&EgressPolicy::default(), url), expected, "{url}");
        }
    }

    #[test]
    fn public_addresses_and_names_pass() {
        for url in [
            "https://hooks.example.com/urgent",
            "http://8.8.8.8/",
            "http://1.1.1.1:8080/x",
            "http://172.15.0.1/",
            "http://172.32.0.1/",
            "http://100.63.0.1/",
            "http://100.128.0.1/",
            "http://192.0.1.1/",
            "http://[2606:4700::1111]/",
            "http://[2001:4860:4860::8888]/",
        ] {
            assert_eq!(verdict(&EgressPolicy::default(), url), "permitted", "{url}");
        }
    }

    #[test]
    fn an_allowed_block_opens_itself_and_nothing_else() {
        let policy = EgressPolicy::parse(&["127.0.0.0/8", "fd00::/8", "10.1.2.3"]).unwrap();
        for url in
            ["http://127.9.9.9/", "http://localhost/", "http://[::ffff:127.0.0.1]/", "http://[fd12::1]/", "http://10.1.2.3/"]
        {
            assert_eq!(verdict(&policy, url), "permitted", "{url}");
        }
        for url in ["http://10.1.2.4/", "http://[::1]/", "http://169.254.169.254/", "http://[fc00::1]/", "http://0.0.0.0/"] {
            assert_ne!(verdict(&policy, url), "permitted", "{url}");
        }
        let everything = EgressPolicy::parse(&["0.0.0.0/0", "::/0"]).unwrap();
        assert_eq!(verdict(&everything, "http://10.0.0.1/"), "permitted");
        let problems = EgressPolicy::parse(&["127.0.0.0/8", "127.0.0.0/33", "localhost", "::/129"]).unwrap_err();
        let shown: Vec<_> = problems.iter().map(|(index, problem)| format!("{index}: {problem}")).collect();
        assert_eq!(
            shown,
            [
                "1: E0504: `127.0.0.0/33` is not an address block",
                "2: E0504: `localhost` is not an address block",
                "3: E0504: `::/129` is not an address block",
            ]
        );
    }

    #[tokio::test]
    async fn sec_01_a_name_is_judged_by_what_it_resolves_to() {
        let resolved = |allow: &'static str| async move {
            let guard = Guard { policy: Arc::new(EgressPolicy::parse(&[allow]).unwrap()) };
            let found = guard.resolve("localhost".parse().unwrap()).await;
            found.map(|found| found.map(|address| address.ip()).collect::<Vec<_>>()).map_err(|why| why.to_string())
        };
        assert_eq!(resolved("127.0.0.0/8").await.unwrap(), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        assert!(resolved("10.0.0.0/8").await.unwrap_err().contains("a loopback address"));
    }

    #[test]
    fn a_name_gives_only_its_permitted_addresses() {
        let guard = Guard { policy: Arc::new(EgressPolicy::default()) };
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let mixed = [at("127.0.0.1"), at("8.8.8.8"), at("::1")];
        assert_eq!(guard.permitted("x.example", mixed.into_iter()).unwrap(), [at("8.8.8.8")]);
        let rebound = guard.permitted("x.example", [at("169.254.169.254")].into_iter()).unwrap_err();
        let expected = "x.example is 169.254.169.254, a link-local address, and [egress] allow does not name it";
        assert_eq!(rebound.to_string(), expected);
        assert_eq!(guard.permitted("x.example", [].into_iter()).unwrap_err().to_string(), "x.example has no address");
    }
}
