//! A frontend between a browser and the service: opens at the begin of a request, saves at its end.

use cloakroom::grpc::wire::{Changes, OpenSessionResponse, Outcome, SaveSessionRequest, SaveSessionResponse, Session};

use super::TestService;
use super::browser::Browser;
use super::calls::{ChangesExt as _, json_entries, open_cookie, save, set_cookies};

/// Opens by the browser's cookie, and saves by the token of the open.
pub(crate) async fn request(
    service: &TestService,
    browser: &Browser,
    changes: Changes,
) -> (Session, SaveSessionResponse) {
    let opened = service.open(open_cookie(&header(browser))).await;
    let saved = service.save(after_open(&opened, changes)).await;
    (opened.session.unwrap(), saved)
}

/// Builds the save of a request that opened its session.
pub(crate) fn after_open(opened: &OpenSessionResponse, changes: Changes) -> SaveSessionRequest {
    let cookie_outdated = opened.cookie_outdated;
    SaveSessionRequest { cookie_outdated, ..save(&opened.session.as_ref().unwrap().token, changes) }
}

/// The Cookie header of the browser's next request.
pub(crate) fn header(browser: &Browser) -> String {
    browser.token().map(|token| format!("session={token}")).unwrap_or_default()
}

/// Logs in as a form with a CSRF token in the session does: the form is shown, and then sent.
pub(crate) async fn log_in(service: &TestService, browser: &mut Browser, subject: &str) {
    let (_, shown) = request(service, browser, Changes::default().set("csrf", "\"x\"")).await;
    assert_ne!(shown.outcome(), Outcome::Gone);
    browser.receive(&shown.headers);
    let (form, login) = request(service, browser, Changes::default().subject(subject).set("in", "true")).await;
    assert_eq!(json_entries(form).get("csrf").map(String::as_str), Some("\"x\""), "the form is refused");
    assert_eq!(set_cookies(&login.headers).len(), 1, "a login sets one cookie");
    browser.receive(&login.headers);
    let session = service.session(browser.token().expect("the login sets a cookie")).await;
    assert_eq!((session.subject.as_str(), session.new), (subject, false));
}
