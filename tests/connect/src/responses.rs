//! The responses of a stream, in the order and with the pauses that its first request defines.

use std::time::Duration;

use futures_util::stream;
use tokio::time;
use tonic::codegen::BoxStream;
use tonic::{Code, Status, Streaming};

use crate::conformance_service::any;
use crate::proto::conformance_payload::RequestInfo;
use crate::proto::{BidiStreamRequest, ConformancePayload, Error, StreamResponseDefinition};

/// The responses that are still to be sent.
#[derive(Debug)]
pub(crate) struct Responses {
    data: std::vec::IntoIter<Vec<u8>>,
    delay: Duration,
    error: Option<Error>,
    /// What the next response tells about the requests.
    info: RequestInfo,
    is_first: bool,
    /// A stream in full duplex: each response waits for a request. `None`: all requests have been read.
    requests: Option<Streaming<BidiStreamRequest>>,
}

impl Responses {
    /// Begins the responses to requests that have all been read.
    pub(crate) fn new(definition: StreamResponseDefinition, info: RequestInfo) -> Self {
        Self {
            data: definition.response_data.into_iter(),
            delay: Duration::from_millis(definition.response_delay_ms.into()),
            error: definition.error,
            info,
            is_first: true,
            requests: None,
        }
    }

    /// Sends a response for each request, and the rest when the requests end. The first request has been read.
    pub(crate) fn alternating_with(self, requests: Streaming<BidiStreamRequest>) -> Self {
        Self { requests: Some(requests), ..self }
    }

    /// Returns the responses as a stream of messages that each contain a payload.
    pub(crate) fn into_stream<M: Send + 'static>(self, message: fn(ConformancePayload) -> M) -> BoxStream<M> {
        Box::pin(stream::unfold(self, move |mut responses| async move {
            let response = responses.next().await?;
            Some((response.map(message), responses))
        }))
    }

    async fn next(&mut self) -> Option<Result<ConformancePayload, Status>> {
        if let Err(status) = self.read_request().await {
            (self.data, self.error, self.requests) = Default::default();
            return Some(Err(status));
        }
        let is_first = std::mem::replace(&mut self.is_first, false);
        let info = std::mem::take(&mut self.info);
        let request_info = (is_first || !info.requests.is_empty()).then_some(info);
        match self.data.next() {
            Some(data) => {
                time::sleep(self.delay).await;
                Some(Ok(ConformancePayload { data, request_info }))
            }
            None => {
                self.requests = None;
                let error = self.error.take()?;
                Some(Err(status(error, request_info.filter(|_| is_first))))
            }
        }
    }

    /// Waits for the request that the next response is for.
    async fn read_request(&mut self) -> Result<(), Status> {
        let Some(requests) = self.requests.as_mut().filter(|_| !self.is_first) else { return Ok(()) };
        match requests.message().await? {
            Some(request) => self.info.requests.push(any(&request)?),
            None => self.requests = None,
        }
        Ok(())
    }
}

/// Builds the status of an error that the suite defines. Its details tell about the requests if no response did.
pub(crate) fn status(error: Error, info: Option<RequestInfo>) -> Status {
    let message = error.message.unwrap_or_default();
    let mut details = error.details;
    match info.map(|info| any(&info)).transpose() {
        Ok(info) => details.extend(info),
        Err(status) => return status,
    }
    let encoded = tonic_types::Status { code: error.code, message: message.clone(), details };
    Status::with_details(Code::from_i32(error.code), message, prost::Message::encode_to_vec(&encoded).into())
}
