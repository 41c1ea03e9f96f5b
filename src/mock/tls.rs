//! The mock's own certificate, made at its start and signed by an authority made for it: nothing secret is on disk.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// What HTTP/2 is called when TLS agrees on it (RFC 7301; RFC 9113 §3.2).
pub(super) const HTTP_2: &[u8] = b"h2";

/// Who the mock is, over TLS.
pub(super) struct Identity {
    pub(super) acceptor: TlsAcceptor,
    pub(super) authority_pem: String,
}

/// Makes an identity for a mock at this address, which is `localhost` too.
pub(super) fn identity(address: IpAddr) -> Result<Identity, String> {
    let authority_key = KeyPair::generate().map_err(told)?;
    let mut authority = CertificateParams::new(Vec::new()).map_err(told)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "plimsoll mock authority");
    let authority_pem = authority.self_signed(&authority_key).map_err(told)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().map_err(told)?;
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.is_loopback() && !address.is_unspecified() {
        names.push(address.to_string());
    }
    let mut own = CertificateParams::new(names).map_err(told)?;
    own.distinguished_name.push(DnType::CommonName, "plimsoll mock");
    let certificate = own.signed_by(&key, &issuer).map_err(told)?;

    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(told)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .map_err(told)?;
    config.alpn_protocols = vec![HTTP_2.to_vec(), b"http/1.1".to_vec()];
    Ok(Identity { acceptor: TlsAcceptor::from(Arc::new(config)), authority_pem })
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
