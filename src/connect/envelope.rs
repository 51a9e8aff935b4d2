//! Envelopes: a flag, four bytes of length, and a message. gRPC frames its messages in the same way.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use prost::Message;
use serde::Serialize;
use tonic::Status;

use super::status_format::{ErrorJson, custom};

/// The length of the flag and of the length.
pub(super) const PREFIX: usize = 5;

/// The flag of the last envelope of a stream.
const END_OF_STREAM: u8 = 2;

/// Returns a buffer with room for the prefix of a message.
pub(super) fn buffer(message_length: usize) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(PREFIX + message_length);
    buffer.put_bytes(0, PREFIX);
    buffer
}

/// Writes the prefix of the message that was put into such a buffer.
pub(super) fn finish(mut buffer: BytesMut) -> Bytes {
    let length = u32::try_from(buffer.len() - PREFIX).unwrap_or(u32::MAX);
    buffer[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    buffer.freeze()
}

/// Returns a message in its envelope.
pub(super) fn of(message: &impl Message) -> Bytes {
    let mut buffer = buffer(message.encoded_len());
    message.encode(&mut buffer).expect("the buffer grows");
    finish(buffer)
}

/// Takes the next whole envelope from the front: its flag and its message.
pub(super) fn take(buffer: &mut BytesMut) -> Option<(u8, Bytes)> {
    let length = declared_length(buffer).filter(|length| buffer.len() - PREFIX >= *length)?;
    let flag = buffer[0];
    buffer.advance(PREFIX);
    Some((flag, buffer.split_to(length).freeze()))
}

/// Returns the length of the message in the envelope at the front, if its prefix has arrived.
pub(super) fn declared_length(buffer: &[u8]) -> Option<usize> {
    let [_, length @ ..] = *buffer.first_chunk::<PREFIX>()?;
    Some(u32::from_be_bytes(length) as usize)
}

/// Builds the last envelope of a stream, with the error that ended it and the trailers of the service.
pub(super) fn end(error: Option<&Status>, trailers: &HeaderMap) -> Bytes {
    let mut metadata = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in custom(trailers) {
        metadata.entry(name.as_str()).or_default().extend(value.to_str());
    }
    let end = EndJson { error: error.map(ErrorJson::new), metadata };
    let json = serde_json::to_vec(&end).expect("texts are always JSON");
    let mut buffer = buffer(json.len());
    buffer.put_slice(&json);
    buffer[0] = END_OF_STREAM;
    finish(buffer)
}

/// The JSON in the last envelope of a stream.
#[derive(Serialize)]
struct EndJson<'t> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorJson>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'t str, Vec<&'t str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_are_taken_from_pieces_of_any_size() {
        let message = |text: &[u8]| {
            let mut buffer = buffer(text.len());
            buffer.put_slice(text);
            finish(buffer)
        };
        let bytes = [message(b"one"), message(b""), message(&[7; 300])].concat();

        for piece in [1, 4, 5, 6, 8, bytes.len()] {
            let (mut buffer, mut taken) = (BytesMut::new(), Vec::new());
            for piece in bytes.chunks(piece) {
                buffer.put_slice(piece);
                while let Some((flag, message)) = take(&mut buffer) {
                    taken.push((flag, message.len()));
                }
            }
            assert_eq!(taken, [(0, 3), (0, 0), (0, 300)]);
        }
    }

    #[test]
    fn the_last_envelope_has_the_error_and_the_trailers() {
        let trailers = HeaderMap::from_iter([
            (http::HeaderName::from_static("grpc-status"), "5".parse().unwrap()),
            (http::HeaderName::from_static("x-b"), "1".parse().unwrap()),
        ]);

        let mut end = BytesMut::from(&*end(Some(&Status::not_found("gone")), &trailers));

        let (flag, json) = take(&mut end).unwrap();
        assert_eq!(flag, END_OF_STREAM);
        assert_eq!(json, r#"{"error":{"code":"not_found","message":"gone"},"metadata":{"x-b":["1"]}}"#);
    }
}
