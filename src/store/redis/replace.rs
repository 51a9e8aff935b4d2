//! The operation that moves between stores need of the Redis store.

use super::acknowledge::WriteKind;
use super::scripts::EXPIRY_STEP;
use super::sequence::ScriptCall;
use super::{Redis, arguments};
use crate::store::encoding::EncodedHead;
use crate::store::replace::{RecordReplacement, Replace};
use crate::store::{Error, SessionKey, Snapshot};

impl Replace for Redis {
    async fn replace(
        &self,
        session_key: &SessionKey,
        read: Option<&Snapshot>,
        replacement: RecordReplacement,
    ) -> Result<bool, Error> {
        let partition = self.partitions.of(&session_key.id);
        let keys = [self.record_key(session_key), self.generation_key(&session_key.app, partition)];
        let keys = keys.each_ref().map(Vec::as_slice);
        let mut script = ScriptCall::new(&self.scripts.replace, self.partitions.slot(partition), &keys);
        let EncodedHead([meta, access_time, .., end, _]) =
            read.map(|snapshot| EncodedHead::encode(&snapshot.record.head)).unwrap_or_default();
        script.arg(meta).arg(access_time).arg(end);
        script.arg(read.map(|snapshot| snapshot.generation.0.to_string()).unwrap_or_default());
        let (mode, record) = match replacement {
            RecordReplacement::Nothing => (b"d", None),
            RecordReplacement::Record(record) => (b"k", Some(record)),
            RecordReplacement::Copy(record) => (b"c", Some(record)),
        };
        script.arg(mode.as_slice());
        if let Some(record) = record {
            let EncodedHead([meta, parts @ ..]) = EncodedHead::encode(&record.head);
            script.arg((record.head.purge_time() + EXPIRY_STEP).millis()).arg(meta);
            arguments::push_fields(&mut script.command, parts, &record.entries);
        }
        // By the stricter rule: a mark that is lost would bring back what another store has in the meantime changed.
        self.write(WriteKind::Ending, script).await
    }
}
