//! What a process tells of its own certificate.

use super::child::Process;
use crate::server::authority::Authority;

const SETTINGS: &str = "
[server.tls]
certificate_file = 'tls.crt'
key_file = 'tls.key'
[store]
kind = 'memory'
";

const EXPIRY: &str = r#"cloakroom_tls_certificate_expiry_timestamp_seconds{listener="frontends"}"#;

#[tokio::test]
async fn the_log_tells_when_a_certificate_expires_and_warns_of_one_that_has() {
    let authority = Authority::new();
    let (good, expired) = (authority.sign_until("localhost", 2040), authority.sign_until("localhost", 2001));

    let files = [("tls.crt", good.certificate.as_str()), ("tls.key", &good.key)];
    let process = Process::start(SETTINGS, &files, &[]).await;

    let told = process.logged("are shown a certificate").await;
    assert_eq!([&told["level"], &told["expire_time"]], ["INFO", "2040-01-01T00:00:00Z"]);
    assert_eq!(told["certificate"], "tls.crt");

    process.replace("tls.key", &expired.key);
    process.replace("tls.crt", &expired.certificate);

    let told = process.logged("has expired").await;
    assert_eq!([&told["level"], &told["expire_time"]], ["WARN", "2001-01-01T00:00:00Z"]);
    assert_eq!(process.metric(EXPIRY).await, Some(978_307_200.0));
}

#[tokio::test]
async fn a_start_with_a_certificate_that_has_expired_is_a_warning() {
    let expired = Authority::new().sign_until("localhost", 2001);
    let files = [("tls.crt", expired.certificate.as_str()), ("tls.key", &expired.key)];

    let process = Process::start(SETTINGS, &files, &[]).await;

    assert_eq!(process.logged("has expired").await["level"], "WARN");
    assert_eq!(process.metric(EXPIRY).await, Some(978_307_200.0));
}
