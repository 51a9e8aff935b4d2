//! The codec of the messages of gRPC. A response takes as much memory as it is long, until its peer has read it.

use std::fmt;
use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{self, BufferSettings, EncodeBuf};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// tonic's codec for prost, with another encoder.
pub(super) struct Codec<T, U>(PhantomData<(T, U)>);

/// An encoder that makes room for the whole message at once. Otherwise the buffer doubles, and up to half of it stays empty.
#[derive(Debug)]
pub(super) struct Encoder<T>(ProstEncoder<T>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Encoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Encoder<T> {
        Encoder(ProstEncoder::new(BufferSettings::new(BUFFER_BYTES, YIELD_THRESHOLD)))
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstDecoder::default()
    }
}

impl<T: Message> codec::Encoder for Encoder<T> {
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

impl<T, U> fmt::Debug for Codec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

/// Most responses are shorter. tonic has 8 KiB.
const BUFFER_BYTES: usize = 1024;

/// The bytes of a stream's messages that are sent together: as tonic has it.
const YIELD_THRESHOLD: usize = 32 * 1024;
