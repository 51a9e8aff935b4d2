//! One of the two stores of a move.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::session::{Precondition, Record};
use crate::store::metrics::StoreMetrics;
use crate::store::replace::{RecordReplacement, Replace};
use crate::store::settings::SideSettings;
use crate::store::transfer::{AppRevocationState, ExportPage, RevocationPage, SubjectRevocation};
use crate::store::{
    Applied, Created, Cursor, Embedded, Error, ExportSource, Feed, FeedRead, ImportTarget, Index, IndexEntry,
    IndexPage, OpenError, Position, Redis, Revocation, Sample, SampledKeys, SessionKey, Snapshot, Store, StoreKind,
    SubjectRef, Touch, Write,
};
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// A store that keeps its sessions when the process ends.
#[derive(Clone, Debug)]
pub(in crate::store) enum Side {
    Embedded(Arc<Embedded>),
    Redis(Arc<Redis>),
}

impl Side {
    pub(super) fn open(settings: &SideSettings) -> Result<Self, OpenError> {
        Ok(match settings.kind {
            StoreKind::Embedded => Self::Embedded(Arc::new(Embedded::open(&settings.embedded)?)),
            StoreKind::Redis => Self::Redis(Arc::new(Redis::new(&settings.redis).map_err(OpenError::Redis)?)),
            StoreKind::Memory => return Err(OpenError::Moving),
        })
    }

    pub(in crate::store) const fn kind(&self) -> StoreKind {
        match self {
            Self::Embedded(_) => StoreKind::Embedded,
            Self::Redis(_) => StoreKind::Redis,
        }
    }

    /// The Redis, if the sessions are in one.
    pub(in crate::store) const fn redis(&self) -> Option<&Arc<Redis>> {
        match self {
            Self::Embedded(_) => None,
            Self::Redis(store) => Some(store),
        }
    }

    /// The metrics that the store itself writes to.
    pub(in crate::store) fn metrics(&self) -> Option<Arc<StoreMetrics>> {
        self.redis().map(|store| store.shared_metrics())
    }
}

/// Gives the side a method for each operation. The future of Redis is large and boxed.
macro_rules! operations {
    ($($trait:ident::$name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        impl Side {
            $(
                pub(super) async fn $name(&self, $($argument: $type),*) -> Result<$output, Error> {
                    match self {
                        Self::Embedded(store) => $trait::$name(&**store, $($argument),*).await,
                        Self::Redis(store) => Box::pin($trait::$name(&**store, $($argument),*)).await,
                    }
                }
            )*
        }
    };
}

operations! {
    Store::load(session_key: &SessionKey) -> Option<Snapshot>;
    Store::create(session_key: &SessionKey, record: &Record) -> Created;
    Store::apply(session_key: &SessionKey, precondition: &Precondition, write: &Write) -> Applied;
    Store::touch(session_key: &SessionKey, touch: &Touch) -> ();
    Store::revoke_app(app: &AppName, now: Time) -> ();
    Store::sweep(now: Time) -> usize;
    Store::ping() -> ();
    Sample::sample_keys(apps: &BTreeSet<AppName>, from: Position, limit: usize) -> SampledKeys;
    Sample::sample_heads(session_keys: &[SessionKey]) -> Vec<Option<Snapshot>>;
    Index::add_to_index(subject_ref: &SubjectRef, entry: &IndexEntry) -> Vec<IndexEntry>;
    Index::remove_from_index(subject_ref: &SubjectRef, entry: &IndexEntry) -> ();
    Index::remove_session_from_index(subject_ref: &SubjectRef, id: SessionId) -> ();
    Index::list_index(subject_ref: &SubjectRef, from: &Cursor) -> IndexPage;
    Index::has_more_entries(subject_ref: &SubjectRef, count: usize) -> bool;
    Index::record_revocation(subject_ref: &SubjectRef, revocation: &Revocation) -> ();
    Index::load_revocation(subject_ref: &SubjectRef) -> Option<Revocation>;
    Feed::feed_end(app: &AppName) -> Cursor;
    Feed::read_feed(app: &AppName, cursor: &Cursor) -> FeedRead;
    ExportSource::load_app_revocation(app: &AppName) -> AppRevocationState;
    ExportSource::export_page(app: &AppName, from: &Cursor, limit: usize) -> ExportPage;
    ExportSource::list_revocations(from: &Cursor) -> RevocationPage;
    ImportTarget::restore_app_revocation(app: &AppName, time: Time) -> ();
    ImportTarget::restore_revocation(revocation: &SubjectRevocation, apps: &[AppName]) -> ();
    Replace::replace(session_key: &SessionKey, read: Option<&Snapshot>, replacement: RecordReplacement) -> bool;
}
