//! Whether two stores are one: the same keys of the same Redis, by two names.

use crate::store::Error;
use crate::store::redis::Redis;
use crate::store::redis::connection::process_id::ProcessId;
use crate::store::redis::router::AnyServer;

/// A database of a Redis that runs.
#[derive(PartialEq, Eq)]
struct Database {
    process: ProcessId,
    number: i64,
}

impl Redis {
    /// Fails if another store has the same keys at the same server. A user that may not ask a server is told nothing.
    pub(in crate::store) async fn check_is_elsewhere(&self, other: &Self) -> Result<(), Error> {
        if self.prefix != other.prefix {
            return Ok(());
        }
        let others = other.databases().await?;
        match self.databases().await?.into_iter().find(|(_, database)| others.iter().any(|(_, it)| it == database)) {
            Some((server, _)) => Err(self.router.unsuitable(&server, SAME_PLACE.to_owned())),
            None => Ok(()),
        }
    }

    async fn databases(&self) -> Result<Vec<(AnyServer, Database)>, Error> {
        let number = self.router.database().await;
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let mut databases = Vec::new();
        for (server, info) in self.info_of_each(&info).await? {
            // One node that does not answer says nothing, but another one of its cluster does.
            let Ok(Some(info)) = info else { continue };
            databases.extend(ProcessId::read(&info).map(|process| (server, Database { process, number })));
        }
        Ok(databases)
    }
}

const SAME_PLACE: &str = "[store.next] or [store.previous] is the same place as [store]: the same keys of this Redis; \
                          set another url, service_name or key_prefix";
