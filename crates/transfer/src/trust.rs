//! Which servers are believed: whom the authorities vouch for, of the machine or of a file (`ssl-cert-file`).
//!
//! As OpenSSL does, a server is believed too that shows one of those certificates itself: what `openssl req -x509` makes for
//! a host is marked as an authority, and rustls by itself lets no authority be a server. The name must be right in any case.
//!
//! Also says in words what is wrong with a certificate. Absent: certificates of ours.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::TransferError;
use crate::options::TransferOptions;

/// TLS as the options want it.
pub(crate) fn config(options: &TransferOptions) -> Result<ClientConfig, TransferError> {
    let fail = |reason: String| TransferError::Start { reason };
    let known = match &options.ca_file {
        Some(file) => {
            let found = rustls_native_certs::load_certs_from_paths(Some(file), None);
            if found.certs.is_empty() {
                let why = found.errors.first().map(ToString::to_string).unwrap_or_else(|| "it holds none".into());
                return Err(fail(format!("no certificate authority in '{}': {why}", file.display())));
            }
            found.certs
        }
        // A machine without any can still fetch by http.
        None => rustls_native_certs::load_native_certs().certs,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(known.iter().cloned());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(error.to_string()))?;
    if usable == 0 {
        return Ok(config.with_root_certificates(roots).with_no_client_auth());
    }
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let authorities = authorities.map_err(|error| fail(error.to_string()))?;
    let verifier = Arc::new(Verifier { authorities, known: known.into_iter().collect() });
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

#[derive(Debug)]
struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    known: HashSet<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.authorities.verify_server_cert(shown, others, name, ocsp, now) {
            // Its dates were looked at before its mark.
            Err(error) if is_of_an_authority(&error) && self.known.contains(shown) => {
                verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, shown, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, shown, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

/// Whether the only thing said of a certificate so far is that it is marked as an authority.
fn is_of_an_authority(error: &rustls::Error) -> bool {
    // The type behind this is not rustls' own.
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(why)) if why.to_string() == "CaUsedAsEndEntity")
}

/// What is wrong with the server's certificate, in words, where that is why nothing came.
pub(crate) fn complaint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(cause) = next {
        // What such an error wraps is not among its sources.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let wrapped = wrapped.map(|inner| inner as &(dyn std::error::Error + 'static));
        let found = cause.downcast_ref().or_else(|| wrapped?.downcast_ref());
        if let Some(error @ rustls::Error::InvalidCertificate(what)) = found {
            let advice = "; a file of authorities to believe is named by the setting 'ssl-cert-file'";
            return Some(match what {
                CertificateError::UnknownIssuer => {
                    format!("the server's certificate is by no authority that is known here{advice}")
                }
                _ if is_of_an_authority(error) => {
                    format!("the server's certificate is an authority's own, which is not known here{advice}")
                }
                what => format!("the server's certificate is not valid: {what}"),
            });
        }
        next = wrapped.or_else(|| cause.source());
    }
    None
}
