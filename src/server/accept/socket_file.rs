//! The file of a Unix socket. It replaces the file of a server that has ended, never of a running one, and is removed
//! at the end.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// A socket file of this process. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// The device and the inode. `None`: they are unknown, so the file is not removed.
    inode: Option<(u64, u64)>,
}

impl SocketFile {
    /// Listens at `path`. Replaces the file of a server that no longer runs.
    pub(super) async fn listen(path: &Path) -> io::Result<(UnixListener, Self)> {
        remove_if_dead(path).await?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        let file = Self { path: path.to_owned(), inode: fs::symlink_metadata(path).ok().as_ref().map(inode) };
        // Set before it listens, so that no peer can connect under the mode that the umask gave.
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        Ok((socket.listen(BACKLOG)?, file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A newer process may have replaced the file with its own socket.
        let is_own = fs::symlink_metadata(&self.path).is_ok_and(|file| Some(inode(&file)) == self.inode);
        if is_own && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the Unix socket's file could not be removed");
        }
    }
}

async fn remove_if_dead(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "something that is no socket is there"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        // A full backlog means that the other server is running.
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        Ok(_) | Err(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another server listens there")),
    }
}

fn inode(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// The owner and the group may connect, so that frontends can be put into the group.
const MODE: u32 = 0o660;

/// The most connections that wait to be accepted: enough for a whole fleet of frontends that reconnects at once.
pub(super) const BACKLOG: u32 = 1024;
