//! The suite's service: each request says what to respond, and each response says what was received.

use std::time::Duration;

use http::HeaderMap;
use prost::Name;
use prost_types::Any;
use tokio::time;
use tonic::codegen::BoxStream;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use crate::proto::conformance_payload::RequestInfo;
use crate::proto::conformance_service_server::ConformanceService;
use crate::proto::unary_response_definition::Response as UnaryOutcome;
use crate::proto::{
    BidiStreamRequest, BidiStreamResponse, ClientStreamRequest, ClientStreamResponse, ConformancePayload, Header,
    IdempotentUnaryRequest, IdempotentUnaryResponse, ServerStreamRequest, ServerStreamResponse, UnaryRequest,
    UnaryResponse, UnaryResponseDefinition,
};
use crate::responses::{Responses, status};
use crate::timeout;
use crate::with_metadata::ResponseMetadata;

/// The service. It has no state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conformance;

#[tonic::async_trait]
impl ConformanceService for Conformance {
    async fn unary(&self, request: Request<UnaryRequest>) -> Result<Response<UnaryResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let info = request_info(metadata, vec![any(&request)?]);
        let payload = payload(&extensions, request.response_definition, info).await?;
        Ok(Response::new(UnaryResponse { payload: Some(payload) }))
    }

    async fn idempotent_unary(
        &self,
        request: Request<IdempotentUnaryRequest>,
    ) -> Result<Response<IdempotentUnaryResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let info = request_info(metadata, vec![any(&request)?]);
        let payload = payload(&extensions, request.response_definition, info).await?;
        Ok(Response::new(IdempotentUnaryResponse { payload: Some(payload) }))
    }

    async fn client_stream(
        &self,
        request: Request<Streaming<ClientStreamRequest>>,
    ) -> Result<Response<ClientStreamResponse>, Status> {
        let (metadata, extensions, mut requests) = request.into_parts();
        let mut received = Vec::new();
        let mut definition = None;
        while let Some(request) = requests.message().await? {
            let is_first = received.is_empty();
            received.push(any(&request)?);
            definition = if is_first { request.response_definition } else { definition };
        }
        let payload = payload(&extensions, definition, request_info(metadata, received)).await?;
        Ok(Response::new(ClientStreamResponse { payload: Some(payload) }))
    }

    async fn server_stream(
        &self,
        request: Request<ServerStreamRequest>,
    ) -> Result<Response<BoxStream<ServerStreamResponse>>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let info = request_info(metadata, vec![any(&request)?]);
        let definition = request.response_definition.unwrap_or_default();
        set_metadata(&extensions, &definition.response_headers, &definition.response_trailers)?;
        let message = |payload| ServerStreamResponse { payload: Some(payload) };
        Ok(Response::new(Responses::new(definition, info).into_stream(message)))
    }

    async fn bidi_stream(
        &self,
        request: Request<Streaming<BidiStreamRequest>>,
    ) -> Result<Response<BoxStream<BidiStreamResponse>>, Status> {
        let (metadata, extensions, mut requests) = request.into_parts();
        let first = requests.message().await?;
        let mut received = first.iter().map(any).collect::<Result<Vec<_>, _>>()?;
        let first = first.unwrap_or_default();
        if !first.full_duplex {
            while let Some(request) = requests.message().await? {
                received.push(any(&request)?);
            }
        }
        let definition = first.response_definition.unwrap_or_default();
        set_metadata(&extensions, &definition.response_headers, &definition.response_trailers)?;
        let responses = Responses::new(definition, request_info(metadata, received));
        let responses = if first.full_duplex { responses.alternating_with(requests) } else { responses };
        Ok(Response::new(responses.into_stream(|payload| BidiStreamResponse { payload: Some(payload) })))
    }
}

/// Returns the payload or the error that a definition asks for, after its pause.
async fn payload(
    extensions: &Extensions,
    definition: Option<UnaryResponseDefinition>,
    info: RequestInfo,
) -> Result<ConformancePayload, Status> {
    let definition = definition.unwrap_or_default();
    set_metadata(extensions, &definition.response_headers, &definition.response_trailers)?;
    time::sleep(Duration::from_millis(definition.response_delay_ms.into())).await;
    match definition.response {
        Some(UnaryOutcome::Error(error)) => Err(status(error, Some(info))),
        Some(UnaryOutcome::ResponseData(data)) => Ok(ConformancePayload { data, request_info: Some(info) }),
        None => Ok(ConformancePayload { data: Vec::new(), request_info: Some(info) }),
    }
}

fn set_metadata(extensions: &Extensions, headers: &[Header], trailers: &[Header]) -> Result<(), Status> {
    let metadata = extensions.get::<ResponseMetadata>();
    metadata.ok_or_else(|| Status::internal("the service is not in WithMetadata"))?.set(headers, trailers)
}

/// Describes what was received.
fn request_info(metadata: MetadataMap, requests: Vec<Any>) -> RequestInfo {
    let headers = metadata.into_headers();
    RequestInfo {
        timeout_ms: timeout::millis(&headers),
        request_headers: to_proto(&headers),
        requests,
        connect_get_info: None,
    }
}

/// Returns the headers with all values of each name. A value that is no text is left out.
fn to_proto(headers: &HeaderMap) -> Vec<Header> {
    let values = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned);
    headers.keys().map(|name| Header { name: name.to_string(), value: values(name).collect() }).collect()
}

/// Wraps a message, so that it can be repeated to its sender.
pub(crate) fn any<M: Name>(message: &M) -> Result<Any, Status> {
    Any::from_msg(message).map_err(|error| Status::internal(error.to_string()))
}
