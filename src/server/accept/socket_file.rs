//! The file of a Unix socket: taken over from the dead, never from the living, and removed at the end.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::server::connection::protocol::BACKLOG;

/// A socket file of this process. It is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: Option<(u64, u64)>,
}

impl SocketFile {
    /// Listens at `path`, in the place of a server that is no more.
    pub(crate) async fn listen(path: &Path) -> io::Result<(UnixListener, Self)> {
        remove_if_dead(path).await?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        let file = Self { path: path.to_owned(), inode: fs::symlink_metadata(path).ok().as_ref().map(inode) };
        // Before it listens, so that nobody connects under the mode that the umask gave.
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        Ok((socket.listen(BACKLOG)?, file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A successor may have put its own socket there by now.
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| Some(inode(&found)) == self.inode);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the Unix socket's file could not be removed");
        }
    }
}

async fn remove_if_dead(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "something that is no socket is there"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        // A full backlog is a sign of life too.
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        Ok(_) | Err(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another server listens there")),
    }
}

fn inode(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Owner and group may connect: put frontends into the group.
const MODE: u32 = 0o660;
