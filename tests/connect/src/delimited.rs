//! Messages on a pipe, as the suite writes them: four bytes of length, and the message.

use std::io;

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Reads one message.
pub(crate) async fn read<M: Message + Default>(input: &mut (impl AsyncRead + Unpin)) -> io::Result<M> {
    let bytes = input.read_u32().await?;
    let mut message = Vec::new();
    input.take(bytes.into()).read_to_end(&mut message).await?;
    Ok(M::decode(&*message)?)
}

/// Writes one message.
pub(crate) async fn write(output: &mut (impl AsyncWrite + Unpin), message: &impl Message) -> io::Result<()> {
    let message = message.encode_to_vec();
    output.write_u32(u32::try_from(message.len()).map_err(io::Error::other)?).await?;
    output.write_all(&message).await?;
    output.flush().await
}
