//! The messages of an export on stderr: how far it is, what it left out, and how many sessions there were.

use crate::cli::progress::Progress;
use crate::cli::sessions::text::printable;
use crate::cli::{CliError, output};
use crate::types::counted;

/// The report of a running export.
pub(super) struct ExportReport {
    progress: Progress,
    sessions: u64,
    /// Sessions whose bytes in the store are not a session.
    left_out: u64,
    unread_revocations: u64,
}

impl ExportReport {
    pub(super) fn new() -> Self {
        Self { progress: Progress::new(), sessions: 0, left_out: 0, unread_revocations: 0 }
    }

    /// Names a session that is left out.
    pub(super) fn leave_out(&mut self, app: &str, id: &str) {
        self.left_out += 1;
        let (app, id) = (printable(app), printable(id));
        self.progress
            .note(&format!("session {id} of the app {app} is left out: its bytes in the store are no session"));
    }

    pub(super) fn add_unread_revocations(&mut self, count: u64) {
        self.unread_revocations += count;
    }

    /// Shows how many sessions were exported so far.
    pub(super) fn show(&mut self, sessions: u64) {
        self.sessions = sessions;
        self.progress.show(sessions);
    }

    /// Says what was exported. Fails if a session was left out.
    pub(super) fn finish(self, bytes: u64) -> Result<(), CliError> {
        let Self { progress, sessions, left_out, unread_revocations } = self;
        drop(progress);
        let (sessions, bytes) = (counted(sessions, "session", "sessions"), counted(bytes, "byte", "bytes"));
        output::print_note(&format!("{sessions} exported, {bytes}"));
        if unread_revocations > 0 {
            output::print_note(&format!(
                "{} as of now",
                counted(
                    unread_revocations,
                    "revocation of users could not be read, and counts",
                    "revocations of users could not be read, and count"
                )
            ));
        }
        if left_out > 0 {
            let left_out = counted(left_out, "session", "sessions");
            output::print_note(&format!("{left_out} left out; the file has all others"));
            return Err(CliError::LeftOut);
        }
        Ok(())
    }
}
