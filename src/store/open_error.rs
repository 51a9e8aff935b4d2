//! Why a store cannot be opened.

use super::FileOpenError;
use crate::types::SettingError;

/// Why a store cannot be opened. The text begins with the key of the setting.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("store.embedded")]
    Embedded(#[from] FileOpenError),
    /// A setting or its file cannot be used. Redis itself is called by the first operation.
    #[error("store.redis.{0}")]
    Redis(SettingError),
    #[error("store: sessions in memory cannot move")]
    Moving,
}
