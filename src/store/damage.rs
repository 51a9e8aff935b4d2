//! Damaged bytes in a store: which session they are of.

use tracing::error;

use super::SessionKey;
use crate::telemetry::LogThrottle;

/// Names the session of an operation that met damaged bytes. They may also be its app's.
pub(super) fn log_damage(session_key: &SessionKey) {
    static DAMAGED: LogThrottle = LogThrottle::new();
    if let Some(operations) = DAMAGED.count() {
        let SessionKey { app, id } = session_key;
        error!(%app, session.id = %id, operations, "what is stored for this session or for its app is damaged");
    }
}
