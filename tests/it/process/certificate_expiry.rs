//! The log and the metric about the expiry of a process's certificate.

use super::child::Process;
use crate::support::authority::CertificateAuthority;

const SETTINGS: &str = "
[server.tls]
certificate_file = 'tls.crt'
key_file = 'tls.key'
[store]
kind = 'memory'
";

const EXPIRY: &str = r#"cloakroom_tls_certificate_expiry_timestamp_seconds{listener="frontends"}"#;

#[tokio::test]
async fn the_log_has_the_expiry_of_a_certificate_and_warns_of_an_expired_one() {
    let authority = CertificateAuthority::new();
    let (good, expired) = (authority.sign_until("localhost", 2040), authority.sign_until("localhost", 2001));

    let files = [("tls.crt", good.certificate.as_str()), ("tls.key", &good.key)];
    let process = Process::start(SETTINGS, &files, &[]).await;

    let line = process.await_log_line("are shown a certificate").await;
    assert_eq!([&line["level"], &line["expire_time"]], ["INFO", "2040-01-01T00:00:00Z"]);
    assert_eq!(line["certificate"], "tls.crt");

    process.replace("tls.key", &expired.key);
    process.replace("tls.crt", &expired.certificate);

    let line = process.await_log_line("has expired").await;
    assert_eq!([&line["level"], &line["expire_time"]], ["WARN", "2001-01-01T00:00:00Z"]);
    assert_eq!(process.metric(EXPIRY).await, Some(978_307_200.0));
}

#[tokio::test]
async fn a_start_with_an_expired_certificate_logs_a_warning() {
    let expired = CertificateAuthority::new().sign_until("localhost", 2001);
    let files = [("tls.crt", expired.certificate.as_str()), ("tls.key", &expired.key)];

    let process = Process::start(SETTINGS, &files, &[]).await;

    assert_eq!(process.await_log_line("has expired").await["level"], "WARN");
    assert_eq!(process.metric(EXPIRY).await, Some(978_307_200.0));
}
