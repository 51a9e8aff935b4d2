//! The codec of the messages of gRPC. A response takes as much memory as it is long, until its peer has read it.

use std::fmt;
use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{self, BufferSettings, EncodeBuf};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// tonic's codec for prost, with another encoder.
pub(super) struct MessageCodec<T, U>(PhantomData<(T, U)>);

/// An encoder that makes room for the whole message at once. Otherwise the buffer doubles, and up to half of it stays empty.
#[derive(Debug)]
pub(super) struct MessageEncoder<T>(ProstEncoder<T>);

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> codec::Codec for MessageCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = MessageEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> MessageEncoder<T> {
        MessageEncoder(ProstEncoder::new(BufferSettings::new(BUFFER_BYTES, YIELD_THRESHOLD)))
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstDecoder::default()
    }
}

impl<T: Message> codec::Encoder for MessageEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        self.0.encode(message, buffer)
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

impl<T, U> fmt::Debug for MessageCodec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageCodec")
    }
}

/// Most responses are shorter. tonic has 8 KiB.
const BUFFER_BYTES: usize = 1024;

/// The bytes of a stream's messages that are sent together: as tonic has it.
const YIELD_THRESHOLD: usize = 32 * 1024;
