//! When a chain of certificates expires.

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509CertificateParser;
use x509_parser::nom::Parser as _;

use super::ErrorKind;
use super::pem::CERTIFICATE;
use crate::types::Time;

/// When the certificates of a chain expire.
#[derive(Debug)]
pub(crate) struct ChainExpiry {
    leaf: Time,
    others: Vec<Time>,
}

impl ChainExpiry {
    /// Ignores the certificates after the first that cannot be parsed; the callers decide whether they accept those.
    pub(crate) fn of(chain: &[CertificateDer<'_>]) -> Result<Self, ErrorKind> {
        let (leaf, others) = chain.split_first().ok_or(ErrorKind::Missing { what: CERTIFICATE })?;
        let leaf = expire_time(leaf).ok_or(ErrorKind::NotX509)?;
        Ok(Self { leaf, others: others.iter().filter_map(expire_time).collect() })
    }

    /// Returns the earliest time when a certificate expires and the chain may become invalid.
    ///
    /// Certificates after the first that have expired before `now` do not count. Callers ignore those that they do not
    /// need, such as a cross-signature by an old root.
    pub(crate) fn earliest(&self, now: Time) -> Time {
        self.others.iter().copied().filter(|end| *end > now).fold(self.leaf, Time::min)
    }
}

/// Returns when each certificate of an authority's file expires.
pub(crate) fn expire_times(certificates: &[CertificateDer<'_>]) -> Result<Vec<Time>, ErrorKind> {
    certificates.iter().map(|certificate| expire_time(certificate).ok_or(ErrorKind::NotX509)).collect()
}

fn expire_time(certificate: &CertificateDer<'_>) -> Option<Time> {
    // Extensions are not parsed, because an invalid one must not hide the expiry.
    let (_, certificate) = X509CertificateParser::new().with_deep_parse_extensions(false).parse(certificate).ok()?;
    Some(Time::from_seconds(u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default()))
}
