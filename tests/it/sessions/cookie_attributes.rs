//! The attributes of the cookie that a request chooses.

use cloakroom::app::{self, CookieSettings, KindSetting, SameSiteSetting};
use cloakroom::grpc::wire::{
    Changes, CookieAttributes, DestroySessionRequest, Header, OpenSessionRequest, RotateSessionRequest,
    SaveSessionRequest,
};
use tonic::Code;

use crate::support::calls::{
    ChangesExt as _, open_cookie, reason, refused, save, save_cookie, save_unmodified, set_cookies,
};
use crate::support::sessions::{destroy_cookie, rotate_cookie};
use crate::support::{StoreKind, TestService, app_settings};

/// All attributes that a request can choose.
fn tenant() -> Option<CookieAttributes> {
    Some(CookieAttributes {
        domain: Some("tenant.example".to_owned()),
        path: Some("/shop".to_owned()),
        secure: Some(true),
        samesite: Some("None".to_owned()),
    })
}

const TENANT: &str = "; Secure; HttpOnly; Path=/shop; SameSite=None";

/// Expects that these headers set one cookie, with the attributes of the tenant, and returns its text.
fn expect_of_tenant(headers: &[Header]) -> &str {
    let cookies = set_cookies(headers);
    let [cookie] = cookies[..] else { panic!("{cookies:?}") };
    assert!(cookie.contains("; Domain=tenant.example; Expires=") && cookie.ends_with(TENANT), "{cookie}");
    cookie
}

#[apply(on_every_store)]
async fn every_list_of_headers_has_the_attributes_of_the_request(store: StoreKind) {
    let service = TestService::new(store).await;
    let token = service.stored(&[("a", "1")]).await;
    service.save(save(&token, Changes::default().permanent(true))).await;
    let header = format!("session={token}");
    let cookie_attributes = tenant();

    let opened =
        service.open(OpenSessionRequest { cookie_attributes: cookie_attributes.clone(), ..open_cookie(&header) });
    let opened = opened.await;
    expect_of_tenant(&opened.read_headers);
    expect_of_tenant(&opened.untouched_headers);
    for request in [
        save(&token, Changes::default().set("b", "2")),
        save_cookie(&header, Changes::default().set("b", "3")),
        save_unmodified(&token),
    ] {
        let saved = service.save(SaveSessionRequest { cookie_attributes: cookie_attributes.clone(), ..request }).await;
        expect_of_tenant(&saved.headers);
    }
    let rotate = RotateSessionRequest { cookie_attributes: cookie_attributes.clone(), ..rotate_cookie(&header) };
    let rotated = service.try_rotate(rotate).await.unwrap();
    expect_of_tenant(&rotated.headers);

    let header = format!("session={}", rotated.session.unwrap().token);
    let emptied = SaveSessionRequest {
        cookie_attributes: cookie_attributes.clone(),
        ..save_cookie(&header, Changes::default().clear())
    };
    let emptied = service.save(emptied).await;
    let destroyed =
        service.try_destroy(DestroySessionRequest { cookie_attributes, ..destroy_cookie(&header) }).await.unwrap();
    for headers in [emptied.headers, destroyed.headers] {
        assert!(expect_of_tenant(&headers).contains("; Max-Age=0"));
    }
}

#[apply(on_every_store)]
async fn an_attribute_that_is_not_chosen_is_that_of_the_app(store: StoreKind) {
    let cookie = CookieSettings { domain: "example.com".to_owned(), path: "/app".to_owned(), ..Default::default() };
    let settings = app::Settings { cookie, ..app_settings() };
    let service = TestService::with_apps(store, [("default", settings)]).await;
    let header = "session=x";
    let secure = CookieAttributes { secure: Some(true), ..Default::default() };
    let host_only =
        CookieAttributes { domain: Some(String::new()), samesite: Some(String::new()), ..Default::default() };

    for (attributes, end) in [
        (CookieAttributes::default(), "; Domain=example.com; HttpOnly; Path=/app; SameSite=Lax"),
        (secure, "; Domain=example.com; Secure; HttpOnly; Path=/app; SameSite=Lax"),
        (host_only, "; HttpOnly; Path=/app"),
    ] {
        let request = save_cookie(header, Changes::default().set("a", "1"));
        let saved = service.save(SaveSessionRequest { cookie_attributes: Some(attributes), ..request }).await;
        let token = saved.session.unwrap().token;
        assert_eq!(set_cookies(&saved.headers), [format!("session={token}{end}")]);
    }
}

#[apply(on_every_store)]
async fn attributes_against_the_rules_of_the_app_are_refused(store: StoreKind) {
    let app = |cookie: CookieSettings| app::Settings { cookie, ..app_settings() };
    let secure = || CookieSettings { secure: true, ..Default::default() };
    let apps = [
        ("plain", app(CookieSettings::default())),
        ("host", app(CookieSettings { name: "__Host-session".to_owned(), ..secure() })),
        ("none", app(CookieSettings { samesite: SameSiteSetting::None, partitioned: true, ..secure() })),
    ];
    let service = TestService::with_apps(store, apps).await;
    let of = |change: fn(&mut CookieAttributes)| {
        let mut attributes = CookieAttributes::default();
        change(&mut attributes);
        attributes
    };
    let domain = || of(|attributes| attributes.domain = Some("example.com".to_owned()));
    let refusals = [
        ("host", domain(), "name"),
        ("host", of(|attributes| attributes.path = Some("/shop".to_owned())), "name"),
        ("none", of(|attributes| attributes.secure = Some(false)), "secure"),
        ("host", of(|attributes| attributes.secure = Some(false)), "secure"),
        ("plain", of(|attributes| attributes.samesite = Some("None".to_owned())), "samesite"),
        ("plain", of(|attributes| attributes.samesite = Some("lax".to_owned())), "samesite"),
        ("plain", of(|attributes| attributes.domain = Some("example.com; Secure".to_owned())), "domain"),
        ("plain", of(|attributes| attributes.path = Some("/; HttpOnly".to_owned())), "path"),
        ("plain", of(|attributes| attributes.path = Some(String::new())), "path"),
    ];

    for (app, attributes, attribute) in refusals {
        let request = OpenSessionRequest {
            app: app.to_owned(),
            cookie_attributes: Some(attributes.clone()),
            ..Default::default()
        };
        let status = refused(service.try_open(request).await);
        assert_eq!(reason(&status), (Code::InvalidArgument, "COOKIE_ATTRIBUTES_INVALID".to_owned()));
        let begin = format!("cookie_attributes: {attribute}: ");
        assert!(status.message().starts_with(&begin), "{}", status.message());
    }
    let accepted =
        OpenSessionRequest { app: "plain".to_owned(), cookie_attributes: Some(domain()), ..Default::default() };
    assert!(service.try_open(accepted).await.is_ok());
}

#[tokio::test]
async fn a_request_chooses_the_attributes_of_flasks_own_cookie_too() {
    let keys = vec!["secret-key".to_owned().into()];
    let settings = app::Settings { kind: KindSetting::Cookie, keys, ..Default::default() };
    let service = TestService::with_apps(StoreKind::Memory, [("default", settings)]).await;
    let request = save_cookie("", Changes::default().set("a", "1").permanent(true));

    let saved = service.save(SaveSessionRequest { cookie_attributes: tenant(), ..request }).await;
    let header = format!("session={}", saved.session.unwrap().token);
    let destroy = DestroySessionRequest { cookie_attributes: tenant(), ..destroy_cookie(&header) };
    let destroyed = service.try_destroy(destroy).await.unwrap();

    expect_of_tenant(&saved.headers);
    expect_of_tenant(&destroyed.headers);
}
