//! The replicas that are asked, and the audit log of each.

use std::time::Duration;

use futures_util::future::join_all;

use crate::cli::credentials::Credentials;
use crate::cli::sessions::admin::{AdminClient, CallError};
use crate::cli::sessions::text::time;
use crate::cli::{Address, CliError};
use crate::grpc::wire::list_session_ends_request::Wanted;
use crate::grpc::wire::{EndReason, ListSessionEndsRequest, ListSessionEndsResponse, SessionEnd};
use crate::types::Time;

/// A replica, or why it cannot be asked.
#[derive(Debug)]
pub(super) struct Replica {
    address: Address,
    admin: Result<AdminClient, String>,
}

/// The audit log of one replica.
#[derive(Debug)]
pub(super) struct ReplicaLog {
    pub(super) address: Address,
    pub(super) state: AuditLogState,
}

#[derive(Debug)]
pub(super) enum AuditLogState {
    /// The replica does not answer, or not this. The text begins with its address.
    Failed(String),
    /// There was nothing to ask, because no session is known.
    NotAsked,
    /// The replica has no audit log.
    Off,
    Read {
        /// `None`: it is empty.
        begin_time: Option<Time>,
        lost: u64,
        /// Why the log could not be asked about some of the sessions. The text begins with the address of the replica.
        failure: Option<String>,
    },
}

/// An end, and the replica whose audit log has it.
#[derive(Clone)]
pub(super) struct NotedEnd {
    pub(super) end: SessionEnd,
    pub(super) replica: Address,
}

impl NotedEnd {
    /// Whether all sessions of the app ended.
    pub(super) const fn is_of_app(&self) -> bool {
        self.end.id.is_empty()
    }

    /// Whether only a token ended, and the session went on.
    pub(super) fn is_of_token(&self) -> bool {
        self.end.reason() == EndReason::Superseded
    }
}

/// Connects to all addresses at the same time.
pub(super) async fn connect(addresses: &[Address], credentials: &Credentials, timeout: Duration) -> Vec<Replica> {
    join_all(addresses.iter().map(|address| async move {
        let admin = AdminClient::connect(address, credentials, timeout).await;
        Replica { address: address.clone(), admin: admin.map_err(|error| error.message()) }
    }))
    .await
}

/// Asks one replica after the other until one answers. Fails with what the first one said if none does.
pub(super) async fn first_answer<T>(
    replicas: &[Replica],
    ask: impl AsyncFn(&AdminClient) -> Result<T, CallError>,
) -> Result<T, CliError> {
    let mut first_error = None;
    for replica in replicas {
        let error = match &replica.admin {
            Ok(admin) => match ask(admin).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error.to_string(),
            },
            Err(error) => error.clone(),
        };
        first_error.get_or_insert(error);
    }
    Err(CliError::Failed(first_error.unwrap_or_default().into()))
}

/// Reads the logs of all replicas at the same time. Returns the state of each, and the ends for each of the wanted.
pub(super) async fn read_logs(
    replicas: Vec<Replica>,
    app: &str,
    wanted: &[Wanted],
) -> (Vec<ReplicaLog>, Vec<Vec<NotedEnd>>) {
    let logs = join_all(replicas.into_iter().map(|replica| async move {
        let answers = match replica.admin {
            Ok(admin) => read_log(&admin, app, wanted).await,
            Err(error) => wanted.iter().map(|_| Err(error.clone())).collect(),
        };
        (replica.address, answers)
    }));
    let mut ends: Vec<Vec<NotedEnd>> = wanted.iter().map(|_| Vec::new()).collect();
    let mut states = Vec::new();
    for (address, answers) in logs.await {
        let state = log_state(&answers);
        for (ends, answer) in ends.iter_mut().zip(answers) {
            for end in answer.map(|answer| answer.ends).unwrap_or_default() {
                // Replicas on one machine may share a folder.
                if ends.iter().all(|noted| noted.end != end) {
                    ends.push(NotedEnd { end, replica: address.clone() });
                }
            }
        }
        states.push(ReplicaLog { address, state });
    }
    (states, ends)
}

/// The answer about one of the wanted, or why there is none.
type LogAnswer = Result<ListSessionEndsResponse, String>;

/// Asks about all of the wanted at the same time. A replica that does not answer costs one timeout then.
async fn read_log(admin: &AdminClient, app: &str, wanted: &[Wanted]) -> Vec<LogAnswer> {
    join_all(wanted.iter().map(async |wanted| {
        let request = ListSessionEndsRequest { app: app.to_owned(), wanted: Some(wanted.clone()) };
        let answer = admin.call(async |mut client| client.list_session_ends(request).await).await;
        answer.map_err(|error| error.to_string())
    }))
    .await
}

fn log_state(answers: &[LogAnswer]) -> AuditLogState {
    let failure = answers.iter().find_map(|answer| answer.as_ref().err()).cloned();
    let answers: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    match (answers.last(), failure) {
        (None, None) => AuditLogState::NotAsked,
        (None, Some(failure)) => AuditLogState::Failed(failure),
        (Some(ListSessionEndsResponse { lost: None, .. }), _) => AuditLogState::Off,
        (Some(ListSessionEndsResponse { lost: Some(lost), .. }), failure) => {
            // A search that had too little time has read less than the others.
            let begin_time = answers.iter().filter_map(|answer| time(&answer.begin_time)).max();
            AuditLogState::Read { begin_time, lost: *lost, failure }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_fails_one_query_has_answered_the_others() {
        let answered = || Ok(ListSessionEndsResponse { lost: Some(3), ..Default::default() });
        let failed = || Err("127.0.0.1:1: no answer within 1s".to_owned());

        let partly = log_state(&[answered(), failed(), answered()]);
        let not_at_all = log_state(&[failed(), failed()]);

        assert!(matches!(partly, AuditLogState::Read { lost: 3, failure: Some(_), .. }), "{partly:?}");
        assert!(matches!(not_at_all, AuditLogState::Failed(_)), "{not_at_all:?}");
    }
}
