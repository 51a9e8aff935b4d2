//! The term of a primary: which process it is, and which history of writes it goes on with.
//!
//! A write that one server has done says nothing about the replicas of another. So a wait counts only if it was made in
//! the same term as the write.

use std::sync::Arc;

use crate::store::redis::answer::field;

/// A process, and the history that it adds to. A server that was a replica meanwhile has another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store::redis) struct PrimaryTerm {
    run_id: Arc<str>,
    replication_id: Arc<str>,
}

impl PrimaryTerm {
    /// Reads it from the answer to `INFO server replication`. `None`: it is no primary, or does not say.
    pub(in crate::store::redis) fn read(info: &str) -> Option<Self> {
        Some(Self { run_id: field(info, "run_id")?.into(), replication_id: replication_id(info)?.into() })
    }

    /// Whether this process goes on with this history, by its answer to `INFO replication`.
    pub(in crate::store::redis) fn goes_on(&self, replication: &str) -> bool {
        replication_id(replication) == Some(&*self.replication_id)
    }
}

/// `None`: it is no primary, or does not say.
fn replication_id(info: &str) -> Option<&str> {
    field(info, "master_replid").filter(|_| field(info, "role") == Some("master"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(run: &str, role: &str, history: &str) -> String {
        format!("# Server\r\nrun_id:{run}\r\n\r\n# Replication\r\nrole:{role}\r\nmaster_replid:{history}\r\n")
    }

    #[test]
    fn a_term_ends_with_the_process_the_history_and_the_role() {
        let term = PrimaryTerm::read(&info("a", "master", "h")).unwrap();

        assert_eq!(PrimaryTerm::read(&info("a", "master", "h")), Some(term.clone()));
        assert_ne!(PrimaryTerm::read(&info("b", "master", "h")), Some(term.clone()));
        assert_ne!(PrimaryTerm::read(&info("a", "master", "i")), Some(term.clone()));
        assert_eq!(PrimaryTerm::read(&info("a", "slave", "h")), None);
        assert!(term.goes_on(&info("a", "master", "h")));
        assert!(!term.goes_on(&info("a", "master", "i")) && !term.goes_on(&info("a", "slave", "h")));
    }
}
