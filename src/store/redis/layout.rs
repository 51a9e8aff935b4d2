//! The layout marker: a key that says how many partitions the apps of a key space have.
//!
//! With another number the service would look for sessions under other keys, and everybody would be logged out. So no
//! operation is done before the marker was read or written.

use std::sync::atomic::{AtomicBool, Ordering};

use redis::Value;

use super::partitions::Slot;
use super::router::Router;
use super::sequence::Sequence;
use super::{Redis, key_command};
use crate::store::Error;

/// Whether the marker was found to be right.
#[derive(Debug, Default)]
pub(super) struct Layout(AtomicBool);

impl Layout {
    /// Whether the marker was right when it was last read.
    pub(super) fn is_known(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Redis {
    /// Returns the way to Redis, once the layout there is known to be this one.
    pub(super) async fn router(&self) -> Result<&Router, Error> {
        if !self.layout.is_known() {
            self.check_layout().await?;
        }
        Ok(&self.router)
    }

    /// Checks the marker, and writes it if there is none.
    pub(super) async fn check_layout(&self) -> Result<(), Error> {
        let (key, slot) = (self.marker_key(), self.marker_slot());
        let read = || Sequence::read(slot, [key_command("GET", key.as_bytes())]);
        let mut found: Option<String> = self.router.one(read()).await?;
        if found.is_none() {
            self.check_for_other_layout().await?;
            let mut write = redis::cmd("SET");
            write.arg(&key).arg(self.partitions.count()).arg("NX");
            match self.router.one::<Value>(Sequence::write(slot, write)).await {
                // Another replica may have been faster.
                Ok(_) => found = self.router.one(read()).await?,
                // A Redis that takes no writes can be read, and full it can end sessions. What there is without a marker
                // is in 64 partitions.
                Err(Error::Full(_) | Error::Refused(_)) if self.partitions.count() == 64 => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let count = self.partitions.count().to_string();
        let is_right = found.as_deref() == Some(&count);
        self.layout.0.store(is_right, Ordering::Relaxed);
        if is_right {
            return Ok(());
        }
        match found.and_then(|marker| marker.parse().ok()) {
            Some(found) => Err(self.other_layout(found).await),
            None => Err(self.unsuitable_layout(self.unreadable_marker()).await),
        }
    }

    fn marker_key(&self) -> String {
        format!("{}:layout", self.prefix)
    }

    /// Returns the slot of the marker. One node has it.
    pub(super) fn marker_slot(&self) -> Slot {
        Slot::of_tag(self.marker_key().as_bytes())
    }

    /// Fails if there are sessions without a marker, which earlier versions stored, in another number of partitions.
    async fn check_for_other_layout(&self) -> Result<(), Error> {
        if self.partitions.count() == 64 {
            return Ok(());
        }
        for server in self.router.servers().await? {
            let mut command = redis::cmd("SCAN");
            command.arg(0).arg("MATCH").arg(self.session_pattern("*")).arg("COUNT").arg(SAMPLE);
            let (_, keys): (u64, Vec<String>) = self.router.query_on(&server, command).await?;
            if keys.iter().any(|key| self.is_misplaced(key)) {
                return Err(self.other_layout(64).await);
            }
        }
        Ok(())
    }

    /// Whether this is the key of a session that would be looked for under another one.
    fn is_misplaced(&self, key: &str) -> bool {
        self.parse_key(key).is_some_and(|(tag, _, id)| tag.as_bytes() != self.partitions.tag(self.partitions.of(&id)))
    }

    async fn other_layout(&self, found: u32) -> Error {
        let (prefix, count) = (&self.prefix, self.partitions.count());
        let problem = format!(
            "the sessions under key_prefix = \"{prefix}\" are in {found} partitions, and this service would look for them \
             in {count}; set partitions = {found} in [store.redis], or a key_prefix without sessions"
        );
        self.unsuitable_layout(problem).await
    }

    /// Says what is wrong with the marker, but not what is in it: whatever wrote it may have written a secret.
    fn unreadable_marker(&self) -> String {
        let (key, count) = (self.marker_key(), self.partitions.count());
        format!(
            "the key {key} says in how many partitions the sessions are, and has no number in it; set it to {count} if \
             they are in as many, or set a key_prefix without sessions"
        )
    }

    async fn unsuitable_layout(&self, problem: String) -> Error {
        match self.router.servers().await {
            Ok(servers) if !servers.is_empty() => self.router.unsuitable(&servers[0], problem),
            Ok(_) => Error::Refused(problem.into()),
            Err(error) => error,
        }
    }
}

/// About how many keys are looked at.
const SAMPLE: usize = 1000;
