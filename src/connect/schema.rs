//! The messages of all RPCs, as far as JSON needs them: by the descriptors, with the mapping of protobuf's JSON.

use std::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};
use hashbrown::HashMap;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};

use super::json_check;
use super::protocol::Protocol;

/// The RPCs and their messages.
#[derive(Clone, Default)]
pub struct Schema {
    /// By the path of a call.
    rpcs: HashMap<String, Rpc>,
}

/// One RPC.
#[derive(Clone)]
pub(super) struct Rpc {
    pub(super) request: MessageDescriptor,
    pub(super) response: MessageDescriptor,
    pub(super) is_stream: bool,
    has_client_stream: bool,
}

impl Schema {
    /// Reads encoded sets of file descriptors. Files that are in several sets have to be the same in all.
    pub fn parse(descriptor_sets: &[&[u8]]) -> Result<Self, prost_reflect::DescriptorError> {
        let mut pool = DescriptorPool::new();
        for set in descriptor_sets {
            pool.decode_file_descriptor_set(*set)?;
        }
        let services = pool.services().flat_map(|service| {
            let rpcs = service.methods().map(|rpc| (format!("/{}/{}", service.full_name(), rpc.name()), rpc));
            rpcs.collect::<Vec<_>>()
        });
        let rpcs = services.map(|(path, rpc)| {
            let is_stream = rpc.is_client_streaming() || rpc.is_server_streaming();
            let has_client_stream = rpc.is_client_streaming();
            (path, Rpc { request: rpc.input(), response: rpc.output(), is_stream, has_client_stream })
        });
        Ok(Self { rpcs: rpcs.collect() })
    }

    /// Whether the RPC that a path names is called like this: a unary one has no envelopes. An unknown one may have any.
    pub fn fits(&self, path: &str, protocol: Protocol) -> bool {
        let is_stream = match protocol {
            Protocol::Grpc => return true,
            Protocol::ConnectUnary(_) | Protocol::ForwardAuth | Protocol::ExtAuthz => false,
            Protocol::ConnectStream(_) => true,
        };
        self.rpc(path).is_none_or(|rpc| rpc.is_stream == is_stream)
    }

    /// Whether a path names an RPC that is known, and whose request is one message.
    pub fn has_one_message(&self, path: &str) -> bool {
        self.rpc(path).is_some_and(|rpc| !rpc.has_client_stream)
    }

    /// Whether a path names an RPC that is known, and whose request or response is a stream.
    pub fn is_stream(&self, path: &str) -> bool {
        self.rpc(path).is_some_and(|rpc| rpc.is_stream)
    }

    /// Returns the RPC that a path names.
    pub(super) fn rpc(&self, path: &str) -> Option<&Rpc> {
        self.rpcs.get(path)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.rpcs.keys()).finish()
    }
}

/// Appends the encoding of a JSON text. The error says what to change, and where.
///
/// Unknown fields are refused: a wrong name in a save would lose data.
pub(super) fn encode_json(message: &MessageDescriptor, json: &[u8], target: &mut BytesMut) -> Result<(), String> {
    if json.is_empty() {
        return Err(EMPTY.to_owned());
    }
    json_check::check(message, json).map_err(|error| error.to_string())?;
    let mut reader = serde_json::Deserializer::from_slice(json);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message = DynamicMessage::deserialize_with_options(message.clone(), &mut reader, &options);
    let message = message.and_then(|message| reader.end().map(|()| message)).map_err(|error| error.to_string())?;
    message.encode(target).map_err(|error| error.to_string())
}

/// Returns the JSON text of an encoded message.
pub(super) fn json(message: &MessageDescriptor, encoded: Bytes) -> Result<Bytes, String> {
    let message = DynamicMessage::decode(message.clone(), encoded).map_err(|error| error.to_string())?;
    let mut json = BytesMut::new().writer();
    serde_json::to_writer(&mut json, &message).map_err(|error| error.to_string())?;
    Ok(json.into_inner().freeze())
}

const EMPTY: &str = "the body is empty; as JSON an empty message is {}";

#[cfg(test)]
mod tests;
