//! The sentences of the answer: what a session is, and what to do.

use super::answer::{SessionAnswer, SubjectAnswer};
use super::replica::NotedEnd;
use crate::cli::sessions::text::{end_reason, printable};
use crate::grpc::wire::{CredentialState, EndReason};

/// Says in one sentence what a cookie or an id leads to.
pub(super) fn verdict(answer: &SessionAnswer) -> String {
    let explanation = &answer.explanation;
    let word = explanation.state().as_str_name().trim_start_matches("CREDENTIAL_STATE_");
    let sentence = match explanation.state() {
        CredentialState::Live => "the session lives",
        CredentialState::Superseded => {
            "its session lives, but a login or a rotation has replaced this token; it opens an anonymous session of its \
             own"
        }
        CredentialState::Ended => {
            let reason = explanation.end_reason();
            return format!("{word} {}: {}", end_reason(reason).unwrap_or_default(), end(reason));
        }
        CredentialState::Unknown => match answer.end() {
            Some(noted) if noted.is_of_app() => {
                "the store does not know the session; all sessions of the app were ended, and it may have been one of them"
            }
            Some(noted) => return format!("{word}, and it ended long ago: {}", end(noted.end.reason())),
            None => {
                "the store does not know the session: it ended more than 16 minutes ago, was lost, or was never saved"
            }
        },
        CredentialState::Unused => "it is a ticket that no save has used yet",
        CredentialState::Rejected => return format!("{word} {}", rejection(&explanation.rejection)),
        CredentialState::Unspecified => "the store could not be asked",
    };
    format!("{word}: {sentence}").replace("UNSPECIFIED: ", "NOT KNOWN: ")
}

const fn end(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Destroyed => "the frontend ended the session: the user logged out",
        EndReason::Emptied => "a save left the session without entries",
        EndReason::Revoked => "an operator ended the session, all of its subject or all of the app",
        EndReason::Idle => "the session was not used for its idle timeout",
        EndReason::Absolute => "the session reached its absolute timeout",
        EndReason::Evicted => "its subject opened more sessions than the app allows",
        EndReason::Superseded | EndReason::Unspecified => "the session has ended",
    }
}

fn rejection(reason: &str) -> String {
    let sentence = match reason {
        "MALFORMED" => "it is not written as a token of this app, or is a ticket in a cookie",
        "UNKNOWN_KEY" => "it is signed with a key that the service does not have",
        "BAD_SIGNATURE" => "its signature is wrong: it is forged, or of another app",
        "TOO_OLD" => "it is a ticket older than 15 minutes",
        "EXPIRED" => "it is older than the app's idle timeout",
        "FROM_THE_FUTURE" => "it was signed later than now: a clock is wrong",
        _ => "it does not verify",
    };
    format!("{}: {sentence}", printable(reason))
}

/// Says what to do about a session.
pub(super) fn advice(answer: &SessionAnswer) -> String {
    let explanation = &answer.explanation;
    if !explanation.other_app.is_empty() {
        return format!("ask about the app {}, or look why its cookie comes here", printable(&explanation.other_app));
    }
    match explanation.state() {
        CredentialState::Live => {
            "nothing; if the application shows nobody logged in, look which entry or subject it reads".to_owned()
        }
        CredentialState::Superseded => {
            "let the user log in again; the browser did not take the new cookie: a response was lost, or there is a \
             second cookie of another path or domain"
                .to_owned()
        }
        CredentialState::Unused => "look whether the frontend saves the session, and sends the headers".to_owned(),
        CredentialState::Rejected => advice_on_rejection(&explanation.rejection).to_owned(),
        CredentialState::Ended | CredentialState::Unknown | CredentialState::Unspecified => {
            advice_on_end(answer.end_reason(), answer.end())
        }
    }
}

/// Says what to do about a subject of whom no session lives.
pub(super) fn advice_on_subject(answer: &SubjectAnswer) -> String {
    let end = answer.ends.iter().find(|noted| !noted.is_of_token());
    match end {
        Some(noted) => advice_on_end(Some(noted.end.reason()), Some(noted)),
        None => "ask again with the user's cookie; sessions that expire are in no audit log".to_owned(),
    }
}

fn advice_on_end(reason: Option<EndReason>, noted: Option<&NotedEnd>) -> String {
    let call = noted
        .filter(|noted| !noted.end.call_id.is_empty())
        .map_or_else(|| "has the call".to_owned(), |noted| format!("names the call {}", printable(&noted.end.call_id)));
    match reason {
        Some(EndReason::Destroyed | EndReason::Emptied) => {
            format!("if the user did not log out: the frontend's log of that time {call}")
        }
        Some(EndReason::Revoked) => {
            let caller = noted.map(|noted| noted.end.caller.as_str()).filter(|caller| !caller.is_empty());
            let who = caller.map_or_else(String::new, |caller| format!("ask who uses the caller {}; ", printable(caller)));
            format!("{who}the audit line of the service {call}")
        }
        Some(EndReason::Idle) => "raise idle_timeout of the app if users are to stay logged in for longer".to_owned(),
        Some(EndReason::Absolute) => "raise absolute_timeout of the app if logins are to last longer".to_owned(),
        Some(EndReason::Evicted) => {
            "look whether a program logs in as this user again and again; else raise max_sessions_per_subject of the app"
                .to_owned()
        }
        Some(EndReason::Superseded | EndReason::Unspecified) | None => {
            "one user: it has expired, let the user log in again; many users: the store has lost sessions, see \
             CloakroomSessionsUnknown in docs/operations.md"
                .to_owned()
        }
    }
}

fn advice_on_rejection(reason: &str) -> &'static str {
    match reason {
        "UNKNOWN_KEY" => "look whether `keys` of the app has lost a key, and has the same keys at each replica",
        "BAD_SIGNATURE" => "look which application sets a cookie of this name",
        "EXPIRED" => "raise idle_timeout of the app if users are to stay logged in for longer",
        "FROM_THE_FUTURE" => "set the clocks right",
        "TOO_OLD" => "open the page again: a ticket is for one request",
        _ => "copy the whole cookie; look which application sets a cookie of this name",
    }
}

/// Says what to do if a header has no cookie of the app.
pub(super) const NO_COOKIE: &str = "look at the cookie's name, domain, path, Secure and SameSite, and whether each \
                                    response of the frontend carries the headers of the service";
