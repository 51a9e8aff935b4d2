//! Why Redis did not do what it was asked, in words for the operator: they name the server, and never a password.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisError;

use super::scripts::CORRUPT;
use super::tls_problem::TlsProblem;
use crate::store::Error;
use crate::types::{SettingError, duration};

/// A failure of a server.
#[derive(Clone, Debug, thiserror::Error)]
#[error("Redis at {address}: {cause}")]
pub(super) struct Failure {
    /// As [`super::connection::target::Target`] writes it.
    pub(super) address: Arc<str>,
    pub(super) cause: Cause,
}

/// The cause of a failure.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("no connection within {}", duration::text(*.0))]
    NotConnected(Duration),
    #[error("no answer within {}", duration::text(*.0))]
    NoAnswer(Duration),
    /// Of the network, the name resolution or the library.
    #[error("{0}")]
    Connection(RedisError),
    /// Also what a port with TLS does to a client without.
    #[error("{0} at the login; if this port speaks TLS, the url has to begin with rediss://")]
    ClosedAtLogin(RedisError),
    /// Its answer at the login is none that Redis gives.
    #[error(
        "it does not answer as Redis does; does the url lead to another service? if this port speaks TLS, the url has to \
         begin with rediss://"
    )]
    NotRedis,
    /// Redis answered with an error: its code and text.
    #[error("{code} {text}")]
    Answered { code: Arc<str>, text: Arc<str> },
    /// Redis works, but not as this service needs it.
    #[error("{0}")]
    Unsuitable(Arc<str>),
    #[error("TLS: {0}")]
    Tls(TlsProblem),
    #[error("no Sentinel answers; one is at {}: {}", .0.address, .0.cause)]
    NoSentinel(Arc<Failure>),
    #[error("no Sentinel knows a service of this name; is service_name right?")]
    UnknownService,
    /// A failover is under way, or a Sentinel is cut off from the others.
    #[error("it is no primary, although it should be")]
    NotPrimary,
    /// It answers reads as an empty Redis does, because it has not got the data of its primary yet.
    #[error(
        "this is a replica, which takes no writes, and has no data of this service; the url has to lead to the primary"
    )]
    EmptyReplica,
    /// A write was done, but it may be lost with the primary.
    #[error("the write is done, but {0}")]
    NotAcknowledged(Arc<str>),
    /// No node of the cluster has the slot of a key, as far as is known.
    #[error("no node has the slot of the key")]
    NoNode,
    /// Another cluster may have got the address of one of its nodes. All sessions would seem to be missing there.
    #[error(
        "it does not belong to the Redis Cluster that this service uses: none of the nodes that it knows was there \
         before; if the whole cluster was replaced, restart the service"
    )]
    OtherCluster,
    /// The nodes that have answered may be of another cluster, and nothing shows that it is that of this service.
    #[error(
        "most nodes of the url and of cluster.nodes have not answered that they are of one cluster, and that which answers \
         has no data of this service; start the nodes that are down, and remove from the settings those that are gone"
    )]
    UnknownCluster,
    /// Nodes of the cluster contradict each other, and did so until the deadline.
    #[error("the nodes redirect slot {slot} without an end: {followed}")]
    RedirectedAgain { slot: u16, followed: Arc<str> },
    /// A file of the settings cannot be used.
    #[error("{0}")]
    Setting(SettingError),
}

impl Cause {
    /// Leaves out what was answered if the password may be in it: some servers quote what they do not understand.
    pub(super) fn without(self, password: &str) -> Self {
        // They may write characters that are neither letters nor digits in another way.
        let runs = || password.split(|c: char| !c.is_ascii_alphanumeric()).filter(|run| run.len() >= 4);
        let is_in =
            |text: &str| (!password.is_empty() && text.contains(password)) || runs().any(|run| text.contains(run));
        match self {
            Self::Answered { code, text } if is_in(&format!("{code} {text}")) => {
                let code = if is_in(&code) { "an error".into() } else { code };
                Self::Answered { code, text: "(its text is left out, because the password may be in it)".into() }
            }
            cause => cause,
        }
    }
}

impl From<RedisError> for Cause {
    fn from(error: RedisError) -> Self {
        match error.code() {
            Some(code) => {
                // Redis quotes the arguments of a command that it does not know.
                let text = error.detail().unwrap_or_default();
                let text = text.split_once(", with args").map_or(text, |(text, _)| text);
                Self::Answered { code: code.into(), text: text.into() }
            }
            None => Self::Connection(error),
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self::Connection(error.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match &failure.cause {
            // MISCONF is not this error, although Redis refuses all writes then: it cannot save to its disk, but has
            // room.
            Cause::Answered { code, .. } if &**code == "OOM" => Self::Full(Box::new(failure)),
            Cause::Answered { code, .. } if matches!(&**code, CORRUPT | "WRONGTYPE") => Self::Corrupt,
            // A cluster that moves slots or elects a primary goes on by itself.
            Cause::Answered { code, .. } if matches!(&**code, "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN") => {
                Self::unavailable(failure)
            }
            Cause::Answered { .. } | Cause::Unsuitable(_) | Cause::UnknownCluster => Self::Refused(Box::new(failure)),
            Cause::NotConnected(_) | Cause::NoAnswer(_) | Cause::Connection(_) => Self::unavailable(failure),
            Cause::ClosedAtLogin(_) | Cause::NotRedis => Self::unavailable(failure),
            Cause::NoSentinel(_) | Cause::UnknownService | Cause::NotPrimary => Self::unavailable(failure),
            Cause::EmptyReplica => Self::unavailable(failure),
            Cause::NoNode | Cause::OtherCluster | Cause::RedirectedAgain { .. } => Self::unavailable(failure),
            Cause::NotAcknowledged(_) => Self::unavailable(failure),
            // Files and certificates may be about to be replaced, one after the other.
            Cause::Tls(_) | Cause::Setting(_) => Self::unavailable(failure),
        }
    }
}

/// Whether Redis says that it did nothing, and that a connection opened now may reach a server that does.
pub(super) fn is_of_wrong_server(code: &str) -> bool {
    matches!(code, "LOADING" | "MASTERDOWN" | "READONLY" | "NOREPLICAS")
}

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    fn failure(code: &str, text: &str) -> Failure {
        let cause = make_extension_error(code.to_owned(), Some(text.to_owned())).into();
        Failure { address: "10.0.0.1:6379".into(), cause }
    }

    #[test]
    fn a_redis_that_cannot_save_to_its_disk_is_not_full() {
        let refused = |code: &str| Error::from(failure(code, ""));

        assert!(matches!(refused("OOM"), Error::Full(_)));
        assert!(matches!(refused("MISCONF"), Error::Refused(_)));
    }

    #[test]
    fn a_failure_names_the_server_and_the_cause_but_no_argument() {
        let unknown = failure("ERR", "unknown command 'HGETALL', with args beginning with: 'secret'");

        assert_eq!(failure("WRONGPASS", "invalid").to_string(), "Redis at 10.0.0.1:6379: WRONGPASS invalid");
        assert_eq!(unknown.to_string(), "Redis at 10.0.0.1:6379: ERR unknown command 'HGETALL'");
    }

    #[test]
    fn an_answer_that_may_quote_the_password_is_left_out() {
        let without = |text: &str| failure("ERR", text).cause.without("päss\"word").to_string();

        assert_eq!(without("invalid user"), "ERR invalid user");
        for quoting in ["no AUTH päss\"word", r#"no "AUTH p\xc3\xa4ss\"word""#] {
            let shown = without(quoting);
            assert!(shown.starts_with("ERR (") && !shown.contains("ss\"word"), "{shown}");
        }
    }
}
