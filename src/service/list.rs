//! Listing: which sessions there are, for operators and for the page of a user's devices.

use std::cmp::Reverse;

use super::index::{Living, judge_as_admin, owner};
use super::{Error, Service};
use crate::session::{EndReason, Entries, Record, Subject, Verdict};
use crate::store::{Cursor, Place, Store};
use crate::token::Id;

/// A session as an operator sees it.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its handle.
    pub id: Id,
    /// What is kept of it; its entries only if they were asked for.
    pub record: Record,
    /// Why it has ended, if it has.
    pub end_reason: Option<EndReason>,
}

/// Whether what a session holds is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithEntries {
    /// No.
    No,
    /// Yes.
    Yes,
}

/// A part of an app's sessions.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The live ones that were met.
    pub sessions: Vec<Info>,
    /// Where to go on; nothing at the end.
    pub next: Option<Cursor>,
}

impl<S: Store> Service<S> {
    /// The live sessions of a subject, the one used last first.
    pub async fn list_subject(&self, app: &str, subject: &Subject, with: WithEntries) -> Result<Vec<Info>, Error> {
        let app = self.stored_app(app, "ListSessions")?;
        let mut living = self.living(&owner(&app, subject), with, self.clock.now()).await?;
        living.sort_unstable_by_key(|living| Reverse((living.record.head.access_time, living.id)));
        Ok(living.into_iter().map(|Living { id, record }| info(id, record, None, with)).collect())
    }

    /// A page of about `limit` of an app's sessions: the live ones of it.
    pub async fn list_app(
        &self,
        app: &str,
        from: &Cursor,
        (limit, with): (usize, WithEntries),
    ) -> Result<Listed, Error> {
        let app = self.stored_app(app, "ListSessions")?;
        let now = self.clock.now();
        let page = self.store.scan(&app.name, from, limit).await?;
        let living = page.sessions.into_iter().filter(|(_, kept)| judge_as_admin(kept, now) == Verdict::Go);
        let sessions = living.map(|(id, kept)| info(id, kept.record, None, with)).collect();
        Ok(Listed { sessions, next: page.next })
    }

    /// One session, alive or lately ended.
    pub async fn session(&self, app: &str, id: Id, with: WithEntries) -> Result<Info, Error> {
        let app = self.stored_app(app, "GetSession")?;
        let kept = self.store.load(&Place { app: app.name.clone(), id }).await?.ok_or(Error::SessionUnknown)?;
        match judge_as_admin(&kept, self.clock.now()) {
            Verdict::Gone(None) => Err(Error::SessionUnknown),
            Verdict::Gone(reason) => Ok(info(id, kept.record, reason, WithEntries::No)),
            _ => Ok(info(id, kept.record, None, with)),
        }
    }
}

fn info(id: Id, mut record: Record, end_reason: Option<EndReason>, with: WithEntries) -> Info {
    if with == WithEntries::No {
        record.entries = Entries::default();
    }
    Info { id, record, end_reason }
}
