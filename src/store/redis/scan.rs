//! Scans: SCAN on one server after the other, and then the sessions of its keys, in one round trip to each server.

use std::collections::BTreeSet;

use super::Redis;
use super::reply::SnapshotReply;
use super::router::{AnyServer, parse_several};
use crate::store::{Cursor, Error, Page, SessionKey};
use crate::token::SessionId;
use crate::types::AppName;

/// How far a scan has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ScanPosition {
    /// That of the servers when the scan began. If a slot has moved since then, the scan begins again.
    fingerprint: u64,
    server: usize,
    cursor: u64,
}

impl Redis {
    pub(super) async fn scan_app(&self, app: &AppName, from: &Cursor, limit: usize) -> Result<Page, Error> {
        let (keys, next) = self.scan_servers(&self.session_pattern(app.as_str()), from, limit).await?;
        let apps = BTreeSet::from([app.clone()]);
        let session_keys: Vec<SessionKey> = keys.iter().filter_map(|key| self.decode_key(key, &apps)).collect();
        let sequences: Vec<_> = session_keys.iter().map(|session_key| self.load_sequence(session_key)).collect();
        let mut sessions = Vec::with_capacity(session_keys.len());
        for (SessionKey { id, .. }, result) in session_keys.into_iter().zip(self.router().await?.all(&sequences).await)
        {
            let SnapshotReply(snapshot) = parse_several(result?)?;
            sessions.extend(snapshot.map(|snapshot| (id, snapshot)));
        }
        Ok(Page { sessions, next })
    }

    /// Lists keys that match, of one server after the other. Returns them and the cursor after them.
    pub(super) async fn scan_servers(
        &self,
        pattern: &str,
        from: &Cursor,
        limit: usize,
    ) -> Result<(Vec<String>, Option<Cursor>), Error> {
        let (servers, fingerprint) = self.router().await?.servers().await?;
        let begin = ScanPosition { fingerprint, ..ScanPosition::default() };
        let position = ScanPosition::decode(from).filter(|position| position.fingerprint == fingerprint);
        let position = position.unwrap_or(begin);
        let Some(server) = servers.get(position.server) else { return Ok((Vec::new(), None)) };
        let (cursor, keys) = self.scan_keys(server, pattern, position.cursor, limit).await?;
        let next = match cursor {
            0 => ScanPosition { server: position.server + 1, cursor: 0, ..position },
            cursor => ScanPosition { cursor, ..position },
        };
        Ok((keys, (next.server < servers.len()).then(|| next.encode())))
    }

    /// Lists keys of one server that match, each once, and the cursor after them.
    pub(super) async fn scan_keys(
        &self,
        server: &AnyServer,
        pattern: &str,
        cursor: u64,
        limit: usize,
    ) -> Result<(u64, Vec<String>), Error> {
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(limit.max(10));
        let (next, mut keys): (u64, Vec<String>) = self.router().await?.query_on(server, command).await?;
        keys.sort_unstable();
        keys.dedup();
        Ok((next, keys))
    }

    /// Makes a pattern that matches the keys of an app's sessions, and few others.
    pub(super) fn session_pattern(&self, app: &str) -> String {
        format!("{}:{{*}}:{app}:????????????????????????????????", escape(&self.prefix))
    }

    /// Reads the key of a session of one of these apps.
    pub(super) fn decode_key(&self, key: &str, apps: &BTreeSet<AppName>) -> Option<SessionKey> {
        let (tag, app, id) = self.parse_key(key)?;
        let is_in_place = tag.as_bytes() == self.partitions.tag(self.partitions.of(&id));
        is_in_place.then_some(())?;
        Some(SessionKey { app: apps.get(app)?.clone(), id })
    }

    /// Reads tag, app and id of the key of a session.
    pub(super) fn parse_key<'k>(&self, key: &'k str) -> Option<(&'k str, &'k str, SessionId)> {
        let (tag, rest) = key.strip_prefix(&self.prefix)?.strip_prefix(":{")?.split_once("}:")?;
        let (app, id) = rest.rsplit_once(':')?;
        Some((tag, app, SessionId::parse(id)?))
    }
}

impl ScanPosition {
    fn encode(self) -> Cursor {
        let server = u64::try_from(self.server).unwrap_or(u64::MAX);
        Cursor([self.fingerprint, server, self.cursor].map(u64::to_be_bytes).concat())
    }

    fn decode(cursor: &Cursor) -> Option<Self> {
        let ([fingerprint, server, cursor], []) = cursor.0.as_chunks::<8>() else { return None };
        let [fingerprint, server, cursor] = [fingerprint, server, cursor].map(|bytes| u64::from_be_bytes(*bytes));
        Some(Self { fingerprint, server: usize::try_from(server).ok()?, cursor })
    }
}

/// Makes a pattern that matches only this prefix.
pub(super) fn escape(prefix: &str) -> String {
    prefix.chars().flat_map(|c| ['\\', c]).collect()
}
