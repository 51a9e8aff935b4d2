//! Lost answers to requests with a legacy cookie: a browser that goes on with it can log in at its next try.

use cloakroom::grpc::wire::{Changes, RotationCause};
use serde_json::json;

use super::record_tls::{Source, sources};
use super::*;
use crate::support::browser::Browser;
use crate::support::calls::ChangesExt as _;
use crate::support::frontend::{header, log_in, request};
use crate::support::redis::RedisServer;
use crate::support::sessions::SECOND;

/// What a request does whose answer is lost.
#[derive(Clone, Copy, Debug)]
enum Lost {
    Login,
    LoginAfterClear,
    Clear,
    Rotation,
    Logout,
}

const LOST: [Lost; 5] = [Lost::Login, Lost::LoginAfterClear, Lost::Clear, Lost::Rotation, Lost::Logout];

impl Lost {
    async fn make(self, service: &TestService, browser: &Browser) {
        let token = async || service.open(open_cookie(&header(browser))).await.session.unwrap().token;
        match self {
            Self::Login => drop(request(service, browser, Changes::default().subject("anna")).await),
            Self::LoginAfterClear => {
                drop(request(service, browser, Changes::default().clear().set("b", "2").subject("anna")).await);
            }
            Self::Clear => drop(request(service, browser, Changes::default().clear()).await),
            Self::Rotation => drop(service.rotate(&token().await, RotationCause::Privilege, "").await),
            Self::Logout => drop(service.destroy(&token().await).await),
        }
    }
}

/// Loses an answer, and then logs in by the same legacy cookie, right after that and later.
async fn check(service: &TestService, lost: Lost, wait: u32, cookie: &str) {
    let mut browser = Browser::with(cookie);
    lost.make(service, &browser).await;

    service.advance(wait * SECOND);

    log_in(service, &mut browser, "anna").await;
}

#[apply(on_every_store)]
async fn after_a_lost_answer_the_next_login_by_a_signed_legacy_cookie_works(store: StoreKind) {
    for source in [CookieSource::Flask, CookieSource::Django] {
        let service = service_of(store, source).await;
        let mut number = 0;
        for lost in LOST {
            for wait in [0, 1, 30, 601] {
                number += 1;
                let cookie = source.sign(&service, &[("n", &number.to_string())]);
                check(&service, lost, wait, &cookie).await;
            }
        }
    }
}

#[tokio::test]
async fn after_a_lost_answer_the_next_login_by_the_id_of_a_legacy_record_works() {
    let server = RedisServer::start();
    for source in sources() {
        server.set_bytes(&source.key, &source.record);
        let mut settings = json!({ "url": server.url(), "timeout": "20s" });
        if let Source { name: "express_session", .. } = source {
            settings["cookie_name"] = json!("session");
        }
        let (_, cookie) = source.cookie_header.split_once('=').unwrap();
        for lost in LOST {
            for wait in [0, 30, 601] {
                // Each begins with a record that is not imported yet.
                let service = source.service(settings.clone()).await;
                check(&service, lost, wait, cookie).await;
                assert_eq!(service.migration(source.name).await.imported, 1, "{} {lost:?}", source.name);
            }
        }
    }
}
