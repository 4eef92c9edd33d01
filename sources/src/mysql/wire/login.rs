//! From a TCP connection to one that takes commands: greeting, TLS if it is wanted, name and password.

use mysql_async::{DriverError, Error, Opts};
use mysql_common::constants::CapabilityFlags;
use mysql_common::crypto;
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse, SslRequest};
use tokio::net::{TcpStream, UnixStream};

use super::packets::{Packets, Stream, server_error};
use super::{bytes_of, tls, unexpected};
use crate::mysql::connect::PACKET_MAX;

/// What this connection can do: commands and their answers in today's form, logging in by any plugin.
const CAPABILITIES: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_PROTOCOL_41)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA);

/// `utf8mb4_general_ci`.
const COLLATION: u8 = 45;
/// Bytes of what a password is mixed with.
const NONCE: usize = 20;

/// A login under way.
struct Login<'a> {
    opts: &'a Opts,
    packets: Packets,
    plugin: AuthPlugin<'static>,
    nonce: Vec<u8>,
    /// Nobody on the way can read what is sent.
    is_private: bool,
    has_switched: bool,
}

/// Connects and logs in.
pub(super) async fn login(opts: &Opts) -> Result<Packets, Error> {
    let (stream, is_local): (Box<dyn Stream>, bool) = match opts.socket() {
        Some(path) => (Box::new(UnixStream::connect(path).await?), true),
        None => {
            let stream = TcpStream::connect((opts.ip_or_hostname(), opts.tcp_port())).await?;
            stream.set_nodelay(opts.tcp_nodelay())?;
            (Box::new(stream), false)
        }
    };
    let mut packets = Packets::over(stream, 0);
    let greeting = packets.next().await?;
    if greeting.first() == Some(&0xff) {
        return Err(server_error(&greeting));
    }
    let greeting: HandshakePacket<'_> = ParseBuf(&greeting).parse(())?;
    let mut capabilities = CAPABILITIES & greeting.capabilities();
    let ssl = opts.ssl_opts().filter(|_| !is_local);
    if let Some(ssl) = ssl {
        if !greeting.capabilities().contains(CapabilityFlags::CLIENT_SSL) {
            return Err(Error::Driver(DriverError::NoClientSslFlagFromServer));
        }
        capabilities |= CapabilityFlags::CLIENT_SSL;
        packets.send(&bytes_of(&SslRequest::new(capabilities, PACKET_MAX as u32, COLLATION))).await?;
        let (stream, number) = packets.into_stream();
        packets = Packets::over(tls::secured(stream, opts.ip_or_hostname(), ssl).await?, number);
    }
    let mut nonce = [greeting.scramble_1_ref(), greeting.scramble_2_ref().unwrap_or_default()].concat();
    nonce.resize(NONCE, 0);
    let plugin = match greeting.auth_plugin() {
        Some(AuthPlugin::CachingSha2Password) => AuthPlugin::CachingSha2Password,
        _ => AuthPlugin::MysqlNativePassword,
    };
    let mut login = Login { opts, packets, plugin, nonce, is_private: is_local || ssl.is_some(), has_switched: false };
    login.introduce(capabilities).await?;
    login.answer().await?;
    Ok(login.packets)
}

impl Login<'_> {
    /// The name, and what proves the password.
    async fn introduce(&mut self, capabilities: CapabilityFlags) -> Result<(), Error> {
        let proof = self.plugin.gen_data(self.opts.pass(), &self.nonce);
        let response = HandshakeResponse::new(
            proof.as_deref(),
            (8, 0, 0), // The collation's name depends on it.
            self.opts.user().map(str::as_bytes),
            None::<&[u8]>,
            Some(self.plugin.clone()),
            capabilities,
            None,
            PACKET_MAX as u32,
        );
        self.packets.send(&bytes_of(&response)).await
    }

    /// Answers until the server is content.
    async fn answer(&mut self) -> Result<(), Error> {
        loop {
            let packet = self.packets.next().await?;
            match (packet.first(), &self.plugin) {
                (Some(0x00), _) => return Ok(()),
                (Some(0xff), _) => return Err(server_error(&packet)),
                (Some(0xfe), _) if !self.has_switched && packet.len() > 1 => self.switch(&packet).await?,
                (Some(0x01), AuthPlugin::CachingSha2Password) => match packet.get(1) {
                    Some(3) => {} // It knows this password; the yes follows.
                    Some(4) => self.whole_password().await?,
                    _ => return Err(unexpected(packet)),
                },
                _ => return Err(unexpected(packet)),
            }
        }
    }

    /// The server wants another proof than the one that its greeting names.
    async fn switch(&mut self, packet: &[u8]) -> Result<(), Error> {
        self.has_switched = true;
        let request: AuthSwitchRequest<'_> = ParseBuf(packet).parse(())?;
        self.nonce = request.plugin_data().to_vec();
        self.plugin = match request.auth_plugin() {
            AuthPlugin::CachingSha2Password => AuthPlugin::CachingSha2Password,
            AuthPlugin::MysqlNativePassword => AuthPlugin::MysqlNativePassword,
            AuthPlugin::MysqlClearPassword if self.opts.enable_cleartext_plugin() => AuthPlugin::MysqlClearPassword,
            AuthPlugin::MysqlClearPassword => return Err(Error::Driver(DriverError::CleartextPluginDisabled)),
            AuthPlugin::MysqlOldPassword => return Err(Error::Driver(DriverError::MysqlOldPasswordDisabled)),
            other => {
                let name = String::from_utf8_lossy(other.as_bytes()).into_owned();
                return Err(Error::Driver(DriverError::UnknownAuthPlugin { name }));
            }
        };
        let proof = self.plugin.gen_data(self.opts.pass(), &self.nonce).map(|data| bytes_of(&data));
        self.packets.send(&proof.unwrap_or_default()).await
    }

    /// The server has not seen this password since its start: it gets it, encrypted by its own key where others could read it.
    async fn whole_password(&mut self) -> Result<(), Error> {
        let mut password = self.opts.pass().unwrap_or_default().as_bytes().to_vec();
        password.push(0);
        if self.is_private {
            return self.packets.send(&password).await;
        }
        self.packets.send(&[2]).await?;
        let key = self.packets.next().await?;
        if key.first() != Some(&0x01) || self.nonce.is_empty() {
            return Err(unexpected(key));
        }
        for (byte, mix) in password.iter_mut().zip(self.nonce.iter().cycle()) {
            *byte ^= mix;
        }
        self.packets.send(&crypto::encrypt(&password, &key[1..])).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mysql_async::{OptsBuilder, SslOpts};
    use thalweg_testkit::{MySql, require_mysql};

    use super::*;

    /// Logs in and asks for something; what came of it.
    fn tried(opts: impl Into<Opts>) -> String {
        let opts = opts.into();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let trying = async {
            let mut packets = login(&opts).await?;
            packets.command(b"\x03DO 0").await?;
            packets.accepted().await
        };
        let tried = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), trying).await });
        match tried.expect("it answers") {
            Ok(()) => "in".to_owned(),
            Err(why) => why.to_string(),
        }
    }

    #[test]
    fn mysql9_src_23_every_way_to_prove_a_password() {
        if !require_mysql() {
            return;
        }
        let server = MySql::start();
        let long = "päss'w0rd ".repeat(12);
        server.exec(&format!(
            "CREATE USER ada@'%' IDENTIFIED BY 'sesame'; CREATE USER eve@'%' IDENTIFIED BY '{}'; CREATE USER bob@'%' IDENTIFIED BY '';
             CREATE USER old@'%' IDENTIFIED WITH sha256_password BY 'x'; CREATE USER safe@'%' IDENTIFIED BY 's' REQUIRE SSL",
            long.replace('\'', "''")
        ));
        let of = |user: &str, pass: &str| {
            let opts = Opts::from_url(&server.url()).unwrap();
            OptsBuilder::from_opts(opts).user(Some(user)).pass(Some(pass)).prefer_socket(false)
        };
        let tls = || SslOpts::default().with_danger_accept_invalid_certs(true);
        // The first time the whole password is wanted, by the server's key or by TLS; then it is known until privileges are flushed.
        for secure in [false, true, false] {
            for (user, pass) in [("ada", "sesame"), ("ada", "sesame"), ("eve", &long), ("eve", &long), ("bob", ""), ("root", "")]
            {
                let opts = of(user, pass).ssl_opts(secure.then(tls));
                assert_eq!(tried(opts), "in", "{user}, TLS: {secure}");
            }
            server.exec("FLUSH PRIVILEGES");
        }
        let socket = server.data().with_file_name("s");
        assert_eq!(tried(of("ada", "sesame").socket(socket.to_str())), "in");
        for (user, pass) in [("ada", "mellon"), ("ada", ""), ("bob", "x")] {
            let told = tried(of(user, pass));
            assert!(told.contains("Access denied for user '"), "{user}: {told}");
            assert!(!told.contains("mellon") && !told.contains("sesame"), "{told}");
        }
        assert_eq!(tried(of("safe", "s").ssl_opts(tls())), "in");
        assert!(tried(of("safe", "s")).contains("Access denied"));
        let unknown = tried(of("old", "x").ssl_opts(tls()));
        assert!(unknown.contains("sha256_password"), "{unknown}");
        let untrusted = tried(of("ada", "sesame").ssl_opts(SslOpts::default()));
        assert!(untrusted.contains("invalid peer certificate"), "{untrusted}");
    }
}
