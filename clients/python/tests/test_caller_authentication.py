"""A service that asks who calls: over TLS, by a caller token or by a certificate."""

from __future__ import annotations

import subprocess

import grpc
import pytest
import trustme
from flask import Flask, session
from service import APPS, Service, binary

from cloakroom import SessionRefused
from cloakroom.flask import CloakroomSessionInterface
from cloakroom.grpc_transport import GrpcTransport

CALLERS = """
[server.tls]
certificate_file = "{folder}/tls.crt"
key_file = "{folder}/tls.key"
client_ca_file = "{folder}/ca.crt"
[callers.by-token]
roles = ["frontend"]
apps = ["shop"]
token_hashes = ["{hash}"]
[callers.by-certificate]
roles = ["frontend"]
apps = ["shop"]
certificate_names = ["shop.test"]
"""


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """Who signs certificates, a caller token and the service that knows both."""
    folder = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.crt"))
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(str(folder / "tls.key"))
    own.cert_chain_pems[0].write_to_path(str(folder / "tls.crt"))
    made = subprocess.run([binary(), "caller-token"], check=True, capture_output=True, text=True)
    callers = CALLERS.replace("{folder}", str(folder)).replace("{hash}", made.stderr.split()[-1])
    with Service.start(folder, APPS + callers) as service:
        yield authority, made.stdout.strip(), service


def visits(transport):
    """What an application counts in two requests of one browser."""
    app = Flask(__name__)
    app.session_interface = CloakroomSessionInterface(transport, app="shop")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.add_url_rule("/", "visit", lambda: str(session.increment("visits")))
    client = app.test_client()
    client.get("/")
    client.get("/")
    with client.session_transaction() as opened:
        return opened["visits"]


def test_a_caller_is_known_by_its_token(secured):
    authority, token, service = secured
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    metadata = [("authorization", f"Bearer {token}")]
    assert visits(GrpcTransport(service.address, credentials=credentials, metadata=metadata)) == 2


def test_a_caller_is_known_by_its_certificate(secured):
    authority, _, service = secured
    own = authority.issue_cert("shop.test")
    key, chain = own.private_key_pem.bytes(), own.cert_chain_pems[0].bytes()
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes(), key, chain)
    assert visits(GrpcTransport(service.address, credentials=credentials)) == 2


def test_nobody_else_has_a_session(secured):
    authority, token, service = secured
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    for metadata in [], [("authorization", f"Bearer {token}x")]:
        with pytest.raises(SessionRefused) as refused:
            visits(GrpcTransport(service.address, credentials=credentials, metadata=metadata))
        assert refused.value.reason == "CALLER_UNKNOWN"
