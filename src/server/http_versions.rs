//! The HTTP versions that a listener speaks.

/// The HTTP versions of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) enum HttpVersions {
    /// HTTP/2 only.
    #[default]
    Http2,
    /// HTTP/2 and HTTP/1.1, which are distinguished by the first bytes.
    Both,
}
