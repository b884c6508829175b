//! TLS: certificate and key from PEM files, exchanged while the server runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// A file larger than this is no certificate chain and no key.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A certificate chain and its key; all clones change together.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    loaded: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    /// As the files were, to see whether they changed.
    pem: (Vec<u8>, Vec<u8>),
    config: Arc<ServerConfig>,
}

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} holds no {what} in PEM format")]
    Pem {
        /// Which.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// They do not belong together, or are of a kind that is not known.
    #[error("the certificate {certificate} and the key {key} cannot be used: {cause}")]
    Unusable {
        /// The one.
        certificate: PathBuf,
        /// The other.
        key: PathBuf,
        /// What rustls said.
        cause: rustls::Error,
    },
}

impl Tls {
    /// Reads both files: the chain, the server's own certificate first, and its private key.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Tls, TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        let loaded = load(&certificate, &key)?;
        Ok(Tls(Arc::new(Inner { certificate, key, loaded: ArcSwap::from_pointee(loaded) })))
    }

    /// Reads the files again; `true`: they changed, and new connections get what they hold now.
    ///
    /// # Errors
    /// See [`TlsError`]; what was loaded before stays in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let Inner { certificate, key, loaded } = &*self.0;
        if loaded.load().pem == read(certificate, key)? {
            return Ok(false);
        }
        loaded.store(Arc::new(load(certificate, key)?));
        Ok(true)
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.0.loaded.load().config.clone()
    }
}

fn load(certificate: &Path, key: &Path) -> Result<Loaded, TlsError> {
    let pem = read(certificate, key)?;
    let no = |path: &Path, what| TlsError::Pem { path: path.to_path_buf(), what };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem.0)
        .collect::<Result<_, _>>()
        .map_err(|_| no(certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(no(certificate, "certificate"));
    }
    let private = PrivateKeyDer::from_pem_slice(&pem.1).map_err(|_| no(key, "private key"))?;
    let unusable = |cause| TlsError::Unusable { certificate: certificate.into(), key: key.into(), cause };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { pem, config: Arc::new(config) })
}

fn read(certificate: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let read = |path: &Path| {
        let bytes = std::fs::metadata(path).and_then(|file| match file.len() {
            0..=FILE_BYTES_MAX => std::fs::read(path),
            _ => Err(io::Error::other("it is too large")),
        });
        bytes.map_err(|cause| TlsError::Read { path: path.to_path_buf(), cause })
    };
    Ok((read(certificate)?, read(key)?))
}
