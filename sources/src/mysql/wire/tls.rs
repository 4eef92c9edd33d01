//! TLS over a connection of our own, by the settings of the protocol library: whom to trust, which name, how much to verify.

use std::io;
use std::sync::Arc;

use mysql_async::{Error, SslOpts};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;

use super::packets::Stream;

/// The stream with TLS over it; `host` is what the server's certificate must name.
pub(super) async fn secured(stream: Box<dyn Stream>, host: &str, ssl: &SslOpts) -> Result<Box<dyn Stream>, Error> {
    let verifier = WebPkiServerVerifier::builder(Arc::new(roots(ssl).await?)).build().map_err(invalid)?;
    let verifier = Verifier { verifier, any: ssl.accept_invalid_certs(), any_name: ssl.skip_domain_validation() };
    let config = ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    let name = ServerName::try_from(ssl.tls_hostname_override().unwrap_or(host).to_owned()).map_err(invalid)?;
    Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

/// Who is trusted: the authorities of the web, unless they are not wanted, and those that are named.
async fn roots(ssl: &SslOpts) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    if !ssl.disable_built_in_roots() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    for file in ssl.root_certs() {
        let bytes = file.read().await?;
        let named: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(invalid)?;
        let named = if named.is_empty() { vec![CertificateDer::from(bytes.into_owned())] } else { named };
        for certificate in named {
            roots.add(certificate).map_err(invalid)?;
        }
    }
    Ok(roots)
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Verifies what is to be verified.
#[derive(Debug)]
struct Verifier {
    verifier: Arc<WebPkiServerVerifier>,
    /// Any certificate will do.
    any: bool,
    /// Any name will do.
    any_name: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        if self.any {
            return Ok(ServerCertVerified::assertion());
        }
        match self.verifier.verify_server_cert(certificate, chain, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) if self.any_name => {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
