//! When the service's own certificates expire, and how that is told.

use cloakroom::auth::Role;

use super::page_access::{get, metric};
use super::support::authority::Hello;
use super::support::tls_service::{Secured, caller};

const FRONTENDS: &str = "cloakroom_tls_certificate_expiry_timestamp_seconds{listener=\"frontends\"}";
const OPERATORS: &str = "cloakroom_tls_certificate_expiry_timestamp_seconds{listener=\"operators\"}";

/// The beginning of a year, in seconds since 1970.
const YEAR_2040: u64 = 2_208_988_800;
const YEAR_2050: u64 = 2_524_608_000;
const YEAR_2100: u64 = 4_102_444_800;

const NO_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

async fn service() -> Secured {
    Secured::new([caller("watcher", Role::Monitor, "*")].into()).await
}

/// Both listeners': they have the same files here.
async fn told(service: &Secured) -> [u64; 2] {
    [metric(service, FRONTENDS).await, metric(service, OPERATORS).await]
}

#[tokio::test]
async fn the_metrics_tell_when_the_certificate_of_each_listener_expires() {
    let service = service().await;
    assert_eq!(told(&service).await, [YEAR_2100; 2]);

    // From 2050 on X.509 writes times in another way.
    for (year, time) in [(2040, YEAR_2040), (2050, YEAR_2050)] {
        let newer = service.authority.sign_until("localhost", year);
        newer.write(&service.path("server.pem"), &service.path("server.key"));
        service.reloader.refresh_certificates();
        assert_eq!(told(&service).await, [time; 2]);
    }
}

#[tokio::test]
async fn a_chain_expires_with_the_first_of_its_certificates() {
    let service = service().await;
    let own = std::fs::read_to_string(service.path("server.pem")).unwrap();
    let between = service.authority.sign_until("between.test", 2040).certificate;

    std::fs::write(service.path("server.pem"), format!("{own}{between}{}", service.authority.pem())).unwrap();
    service.reloader.refresh_certificates();

    assert_eq!(told(&service).await, [YEAR_2040; 2]);
}

#[tokio::test]
async fn what_callers_pass_over_in_a_chain_does_not_move_its_end() {
    let service = service().await;
    let own = std::fs::read_to_string(service.path("server.pem")).unwrap();
    let expired = service.authority.sign_until("between.test", 2001).certificate;

    std::fs::write(service.path("server.pem"), format!("{own}{expired}{NO_CERTIFICATE}")).unwrap();
    service.reloader.refresh_certificates();

    assert_eq!(told(&service).await, [YEAR_2100; 2]);
    let authority = service.authority.pem();
    let page =
        get(&Hello { alpn: &["http/1.1"], ..Hello::trusting(&authority) }, service.operators, "/healthz", None).await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
}

#[tokio::test]
async fn what_is_refused_does_not_move_the_time() {
    let service = service().await;
    let own = std::fs::read_to_string(service.path("server.pem")).unwrap();
    let another = service.authority.sign_until("localhost", 2040).certificate;

    for refused in [another, format!("{NO_CERTIFICATE}{own}")] {
        std::fs::write(service.path("server.pem"), refused).unwrap();
        service.reloader.refresh_certificates();
        assert_eq!(told(&service).await, [YEAR_2100; 2]);
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_shown_all_the_same() {
    let service = service().await;
    let authority = service.authority.pem();
    let hello = Hello { alpn: &["http/1.1"], ..Hello::trusting(&authority) };
    let expired = service.authority.sign_until("localhost", 2001);

    expired.write(&service.path("server.pem"), &service.path("server.key"));
    service.reloader.refresh_certificates();

    let refused = hello.connect(service.operators).await.map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("expired"), "{refused}");
    let newer = service.authority.sign_until("localhost", 2040);
    newer.write(&service.path("server.pem"), &service.path("server.key"));
    service.reloader.refresh_certificates();
    let page = get(&hello, service.operators, "/healthz", None).await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
}
