//! Messages on a pipe, as the suite writes them: four bytes of length, and the message.

use std::io::{self, Read, Write};

use prost::Message;

/// Reads one message.
pub(crate) fn read<M: Message + Default>(mut input: impl Read) -> io::Result<M> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let mut message = Vec::new();
    input.take(u32::from_be_bytes(length).into()).read_to_end(&mut message)?;
    Ok(M::decode(&*message)?)
}

/// Writes one message.
pub(crate) fn write(mut output: impl Write, message: &impl Message) -> io::Result<()> {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    output.write_all(&length.to_be_bytes())?;
    output.write_all(&message)?;
    output.flush()
}
