//! Certificates for servers that speak TLS: made anew by each test process, valid for 127.0.0.1 and `localhost`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Files in the folder of a server, all PEM.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority that signed the server's and the client's certificates.
    pub ca: PathBuf,
    /// An authority that signed neither: who trusts only this one must refuse the server.
    pub other_ca: PathBuf,
    pub server_cert: PathBuf,
    pub server_key: PathBuf,
    pub client_cert: PathBuf,
    pub client_key: PathBuf,
}

struct Made {
    ca: String,
    other_ca: String,
    server: (String, String),
    client: (String, String),
}

/// One set a process: members of a replicated group have to trust each other.
static MADE: LazyLock<Made> = LazyLock::new(|| {
    let ca = authority("Surety's tests");
    Made {
        ca: ca.pem(),
        other_ca: authority("Somebody else").pem(),
        server: signed(&ca, "server"),
        client: signed(&ca, "client"),
    }
});

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

/// A certificate and its key. Servers of one group are each other's clients, so there is no limit to what it is used for.
fn signed(ca: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (String, String) {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("names");
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    (params.signed_by(&key, ca).expect("a certificate").pem(), key.serialize_pem())
}

impl Certificates {
    pub(super) fn write(dir: &Path) -> Certificates {
        let file = |name: &str, text: &str| {
            let path = dir.join(name);
            std::fs::write(&path, text).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            path
        };
        Certificates {
            ca: file("ca.pem", &MADE.ca),
            other_ca: file("other-ca.pem", &MADE.other_ca),
            server_cert: file("server.pem", &MADE.server.0),
            server_key: file("server.key", &MADE.server.1),
            client_cert: file("client.pem", &MADE.client.0),
            client_key: file("client.key", &MADE.client.1),
        }
    }
}

/// How this module's own client connects: it trusts the authority above and shows its certificate when asked.
pub(super) fn client_config() -> Arc<ClientConfig> {
    let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(read(&MADE.ca)).expect("an authority");
    let key = PrivateKeyDer::from_pem_slice(MADE.client.1.as_bytes()).expect("a key");
    // The provider is named, since other crates may bring a second one, and then there is no default.
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![read(&MADE.client.0)], key)
        .expect("a certificate of the client");
    Arc::new(config)
}
