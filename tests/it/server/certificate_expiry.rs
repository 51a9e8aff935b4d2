//! The expiry of the service's own certificates, and its metrics.

use cloakroom::auth::Role;

use super::page_access::{get, metric};
use super::support::tls_service::{TlsService, caller};
use crate::support::authority::TlsClient;

const FRONTENDS: &str = "cloakroom_tls_certificate_expiry_timestamp_seconds{listener=\"frontends\"}";
const OPERATORS: &str = "cloakroom_tls_certificate_expiry_timestamp_seconds{listener=\"operators\"}";

/// The start of a year, in seconds since 1970.
const YEAR_2040: u64 = 2_208_988_800;
const YEAR_2050: u64 = 2_524_608_000;
const YEAR_2100: u64 = 4_102_444_800;

const NO_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

async fn service() -> TlsService {
    TlsService::new([caller("watcher", Role::Monitor, "*")].into()).await
}

/// Gets the metric of both listeners, which have the same files here.
async fn expiry_times(service: &TlsService) -> [u64; 2] {
    [metric(service, FRONTENDS).await, metric(service, OPERATORS).await]
}

#[tokio::test]
async fn metrics_have_the_expiry_of_the_certificate_of_each_listener() {
    let service = service().await;
    assert_eq!(expiry_times(&service).await, [YEAR_2100; 2]);

    // X.509 encodes times from 2050 on in another way.
    for (year, time) in [(2040, YEAR_2040), (2050, YEAR_2050)] {
        let newer = service.authority.sign_until("localhost", year);
        newer.write(&service.path("server.pem"), &service.path("server.key"));
        service.reloader.refresh_certificates();
        assert_eq!(expiry_times(&service).await, [time; 2]);
    }
}

#[tokio::test]
async fn a_chain_expires_with_its_first_expiring_certificate() {
    let service = service().await;
    let own = std::fs::read_to_string(service.path("server.pem")).unwrap();
    let intermediate = service.authority.sign_until("between.test", 2040).certificate;

    std::fs::write(service.path("server.pem"), format!("{own}{intermediate}{}", service.authority.pem())).unwrap();
    service.reloader.refresh_certificates();

    assert_eq!(expiry_times(&service).await, [YEAR_2040; 2]);
}

#[tokio::test]
async fn certificates_that_callers_ignore_do_not_change_the_expiry() {
    let service = service().await;
    let own = std::fs::read_to_string(service.path("server.pem")).unwrap();
    let expired = service.authority.sign_until("between.test", 2001).certificate;

    std::fs::write(service.path("server.pem"), format!("{own}{expired}{NO_CERTIFICATE}")).unwrap();
    service.reloader.refresh_certificates();

    assert_eq!(expiry_times(&service).await, [YEAR_2100; 2]);
    let authority = service.authority.pem();
    let page =
        get(&TlsClient { alpn: &["http/1.1"], ..TlsClient::trusting(&authority) }, service.operators, "/healthz", None)
            .await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
}

#[tokio::test]
async fn a_refused_certificate_does_not_change_the_expiry() {
    let service = service().await;
    let own = std::fs::read_to_string(service.path("server.pem")).unwrap();
    let another = service.authority.sign_until("localhost", 2040).certificate;

    for refused in [another, format!("{NO_CERTIFICATE}{own}")] {
        std::fs::write(service.path("server.pem"), refused).unwrap();
        service.reloader.refresh_certificates();
        assert_eq!(expiry_times(&service).await, [YEAR_2100; 2]);
    }
}

#[tokio::test]
async fn an_expired_certificate_is_presented_and_can_be_replaced() {
    let service = service().await;
    let authority = service.authority.pem();
    let tls_client = TlsClient { alpn: &["http/1.1"], ..TlsClient::trusting(&authority) };
    let expired = service.authority.sign_until("localhost", 2001);

    expired.write(&service.path("server.pem"), &service.path("server.key"));
    service.reloader.refresh_certificates();

    let refused = tls_client.connect(service.operators).await.map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("expired"), "{refused}");
    let newer = service.authority.sign_until("localhost", 2040);
    newer.write(&service.path("server.pem"), &service.path("server.key"));
    service.reloader.refresh_certificates();
    let page = get(&tls_client, service.operators, "/healthz", None).await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
}
