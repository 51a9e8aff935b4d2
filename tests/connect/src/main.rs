//! The server under test of Connect's conformance suite: the suite's service, on the server of Cloakroom.
//!
//! The suite starts this program for each combination of protocol, HTTP version and TLS. The program reads from
//! standard input what to serve, writes to standard output where it serves it, and serves until it is terminated.
//! Nothing here knows a protocol: what is tested is the server.

mod conformance_service;
mod delimited;
mod responses;
mod timeout;
mod with_metadata;

/// What is generated from the suite's proto files.
mod proto {
    // No expectation, for the compiler counts what is in such a module as used.
    #![allow(dead_code, reason = "the server does not need all of it")]
    #![expect(
        unreachable_pub,
        unused_qualifications,
        clippy::allow_attributes_without_reason,
        clippy::too_many_lines,
        reason = "it is generated"
    )]

    tonic::include_proto!("connectrpc.conformance.v1");
}

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::{fs, io};

use cloakroom::connect::Schema;
use cloakroom::server::{Server, Services, Settings, TlsSettings};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use conformance_service::Conformance;
use proto::conformance_service_server::ConformanceServiceServer;
use proto::{ServerCompatRequest, ServerCompatResponse, TlsCreds};
use with_metadata::WithMetadata;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let request = delimited::read::<ServerCompatRequest>(io::stdin())?;
    let folder = tempfile::tempdir()?;
    let settings = settings(&request, folder.path())?;
    let server = Server::bind(&settings).await?.with_schema(Schema::parse(&[DESCRIPTORS])?);
    let address = server.tcp_addr().ok_or("the server has a TCP address")?;
    let response = ServerCompatResponse {
        host: address.ip().to_string(),
        port: address.port().into(),
        pem_cert: request.server_creds.map(|credentials| credentials.cert).unwrap_or_default(),
    };

    let mut terminated = signal(SignalKind::terminate())?;
    let shutdown = CancellationToken::new();
    let limit = request.message_receive_limit as usize;
    let service = move |_| {
        let service = ConformanceServiceServer::new(Conformance).max_decoding_message_size(limit);
        Services::new(WithMetadata(service))
    };
    let running = server.run(service, shutdown.clone());
    delimited::write(io::stdout(), &response)?;
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => ended?,
        _ = terminated.recv() => {
            shutdown.cancel();
            running.await?
        }
    };
    Ok(())
}

/// Returns the settings for a request of the suite. What the suite has no opinion about is as it is by default.
fn settings(request: &ServerCompatRequest, folder: &Path) -> io::Result<Settings> {
    let credentials = request.server_creds.as_ref().filter(|_| request.use_tls);
    Ok(Settings {
        listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        workers: 1,
        tls: credentials.map(|credentials| tls_settings(credentials, folder)).transpose()?.unwrap_or_default(),
        ..Settings::default()
    })
}

/// Writes the certificate and its key to a folder, for the server reads files.
fn tls_settings(credentials: &TlsCreds, folder: &Path) -> io::Result<TlsSettings> {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    fs::write(&certificate, &credentials.cert)?;
    fs::write(&key, &credentials.key)?;
    Ok(TlsSettings { certificate_file: Some(certificate), key_file: Some(key), client_ca_file: None })
}

/// The messages and services of the suite, which the server needs for JSON.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
