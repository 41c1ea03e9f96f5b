//! TLS for every connection that we make: verified against the system's roots and an extra authority.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;
use thiserror::Error;

/// Why TLS can't be set up.
#[derive(Debug, Error)]
pub enum Error {
    /// The extra authority's file can't be read, or holds no certificate.
    #[error("read the certificate authority {}: {why}; expected a PEM file with at least one certificate", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// rustls refused.
    #[error("set up TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// The TLS settings of a run; `alpn` lists what is offered, best first.
///
/// # Errors
/// The extra authority can't be read, or the system has no roots.
pub fn config(cacert: Option<&Path>, alpn: &[&[u8]]) -> Result<ClientConfig, Error> {
    let extra = cacert.map(authorities).transpose()?.unwrap_or_default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = verifier(extra, Arc::clone(&provider))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous() // The name of the door to any verifier of one's own; this one is the platform's.
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn verifier(extra: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Result<Verifier, rustls::Error> {
    if extra.is_empty() { Verifier::new(provider) } else { Verifier::new_with_extra_roots(extra, provider) }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let refuse = |why: String| Error::Authority { path: path.to_owned(), why };
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| refuse(error.to_string()))?;
    if found.is_empty() { Err(refuse("no certificate in it".to_owned())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let error = config(Some(file.path()), &[]).expect_err("nothing in it").to_string();
        let told = error.replace(&file.path().display().to_string(), "FILE");
        insta::assert_snapshot!(told, @"read the certificate authority FILE: no certificate in it; expected a PEM file with at least one certificate");
    }
}
