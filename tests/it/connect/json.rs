//! JSON as a person at a terminal sees it. The mapping of each type is tested in `src/connect/schema.rs`.

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use crate::support::connect::{Codec, ConnectTransport, HttpVersion, Target};
use crate::support::{StoreKind, TestService};

async fn post(service: &TestService, rpc: &str, body: impl Into<Bytes>) -> Response<Bytes> {
    let address = service.address.strip_prefix("http://").unwrap().parse().unwrap();
    let client = ConnectTransport::new(Target::Tcp(address), Codec::Json, HttpVersion::Http1);
    let call = Request::post(format!("http://localhost/cloakroom.v1.SessionService/{rpc}"));
    client.request(call.header("content-type", "application/json").body(body.into()).unwrap()).await
}

fn parsed(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

#[tokio::test]
async fn a_session_is_opened_saved_and_read_by_json_alone() {
    let service = TestService::new(StoreKind::Memory).await;

    let opened = parsed(&post(&service, "OpenSession", "{}").await);
    let token = opened["session"]["token"].as_str().unwrap();
    let save = json!({"token": token, "changes": {"set": {"a": {"json": "[1, 2]"}}, "increment": {"n": 1}}});
    let saved = parsed(&post(&service, "SaveSession", save.to_string()).await);
    let cookie = saved["headers"].as_array().unwrap().iter().find(|header| header["name"] == "Set-Cookie").unwrap();
    let cookie = cookie["value"].as_str().unwrap().split(';').next().unwrap();
    let read = parsed(&post(&service, "OpenSession", json!({"cookieHeader": cookie}).to_string()).await);

    assert_eq!((&opened["session"]["new"], &saved["outcome"]), (&true.into(), &"OUTCOME_CREATED".into()));
    assert_eq!(saved["counters"], json!({"n": "1"}));
    assert_eq!(read["session"]["entries"], json!({"a": {"json": "[1, 2]"}, "n": {"json": "1"}}));
    assert_eq!(read["session"]["idleTimeout"].as_str().unwrap().chars().last(), Some('s'));
    assert!(read["session"]["createTime"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn an_error_says_in_json_what_is_wrong() {
    let service = TestService::new(StoreKind::Memory).await;

    let response = post(&service, "SaveSession", r#"{"token": "x", "change": {}}"#).await;

    let error = parsed(&response);
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["cloakroom-reason"], "REQUEST_MALFORMED");
    assert_eq!(error["code"], "invalid_argument");
    assert_eq!(error["message"], "unrecognized field name 'change' at line 1 column 23");
    assert_eq!(error["details"][0]["type"], "google.rpc.ErrorInfo");
    assert_eq!(error["details"][0]["debug"], json!({"reason": "REQUEST_MALFORMED", "domain": "cloakroom"}));
}
