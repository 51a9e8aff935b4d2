//! The items of an export, in bytes: a kind, a length in four bytes, and the content.

use crate::session::Record;
use crate::store::encoding::{ByteReader, decode_revocation, encode_revocation, u48_be};
use crate::store::record;
use crate::store::transfer::SubjectRevocation;
use crate::token::SessionId;
use crate::types::{AppName, Time};

/// One item of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Item {
    /// The version of the program that wrote the file. The first item.
    Program(String),
    /// The app of the sessions that follow.
    App(ExportedApp),
    Session {
        id: SessionId,
        record: Box<Record>,
    },
    Revocation(SubjectRevocation),
    /// The last item.
    End(Counts),
}

/// An app of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct ExportedApp {
    pub(in crate::store) name: AppName,
    /// When its export began, later than `revoke_time`.
    pub(in crate::store) export_time: Time,
    /// When all of its sessions were revoked for the last time.
    pub(in crate::store) revoke_time: Option<Time>,
}

/// How many items of each kind came before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Counts {
    pub(in crate::store) apps: u64,
    pub(in crate::store) sessions: u64,
    pub(in crate::store) revocations: u64,
}

impl Counts {
    pub(in crate::store) const fn add(&mut self, item: &Item) {
        match item {
            Item::App(_) => self.apps += 1,
            Item::Session { .. } => self.sessions += 1,
            Item::Revocation(_) => self.revocations += 1,
            Item::Program(_) | Item::End(_) => {}
        }
    }
}

impl Item {
    pub(in crate::store) fn encode(&self, bytes: &mut Vec<u8>) {
        let (kind, content) = match self {
            Self::Program(version) => (b'p', version.as_bytes().to_vec()),
            Self::App(ExportedApp { name, export_time, revoke_time }) => {
                let times = [*export_time, revoke_time.unwrap_or_default()].map(|time| u48_be(time.millis()));
                (b'a', [times.as_flattened(), name.as_bytes()].concat())
            }
            Self::Session { id, record } => (b's', [id.as_bytes().as_slice(), &record::encode(record)].concat()),
            Self::Revocation(SubjectRevocation { app, subject_hash, revocation }) => {
                let app = app.as_ref().map_or(&[][..], |app| app.as_bytes());
                let length = [u8::try_from(app.len()).unwrap_or(u8::MAX)];
                (b'r', [subject_hash.as_slice(), &length, app, &encode_revocation(revocation)].concat())
            }
            Self::End(Counts { apps, sessions, revocations }) => {
                (b'e', [apps, sessions, revocations].map(|count| count.to_be_bytes()).concat())
            }
        };
        bytes.push(kind);
        bytes.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(&content);
    }

    /// Reads the items of a block; `None` if one of them is not known.
    pub(in crate::store) fn decode_all(block: &[u8]) -> Option<Vec<Self>> {
        let (mut reader, mut items) = (ByteReader(block), Vec::new());
        while !reader.0.is_empty() {
            let (kind, length) = (reader.u8()?, reader.u32()?);
            let content = reader.slice(usize::try_from(length).ok()?)?;
            items.push(Self::decode(kind, content)?);
        }
        Some(items)
    }

    fn decode(kind: u8, content: &[u8]) -> Option<Self> {
        let mut reader = ByteReader(content);
        Some(match kind {
            b'p' => Self::Program(String::from_utf8(content.to_vec()).ok()?),
            b'a' => {
                let (export_time, revoke_time) = (reader.time()?, reader.optional_time()?);
                Self::App(ExportedApp { name: app_name(reader.0)?, export_time, revoke_time })
            }
            b's' => {
                let id = SessionId::from_bytes(reader.array()?);
                Self::Session { id, record: Box::new(record::decode(reader.0)?) }
            }
            b'r' => {
                let (subject_hash, length) = (reader.array()?, reader.u8()?);
                let app = reader.slice(length.into())?;
                let app = if app.is_empty() { None } else { Some(app_name(app)?) };
                Self::Revocation(SubjectRevocation { app, subject_hash, revocation: decode_revocation(reader.0)? })
            }
            b'e' => {
                let counts = Counts { apps: reader.u64()?, sessions: reader.u64()?, revocations: reader.u64()? };
                reader.0.is_empty().then_some(Self::End(counts))?
            }
            _ => return None,
        })
    }
}

fn app_name(bytes: &[u8]) -> Option<AppName> {
    AppName::parse(std::str::from_utf8(bytes).ok()?).ok()
}
