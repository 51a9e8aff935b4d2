"""A service that authenticates its callers over TLS, by a caller token or by a certificate."""

from __future__ import annotations

import subprocess

import grpc
import pytest
import trustme
from flask import Flask, session
from lossy_proxy import LossyProxy
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
def secure_service(tmp_path_factory):
    """Yields a certificate authority, a caller token, and a service that accepts both."""
    folder = tmp_path_factory.mktemp("secure_service")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.crt"))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(str(folder / "tls.key"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "tls.crt"))
    created = subprocess.run([binary(), "caller-token"], check=True, capture_output=True, text=True)
    callers = CALLERS.replace("{folder}", str(folder)).replace("{hash}", created.stderr.split()[-1])
    with Service.start(folder, APPS + callers) as service:
        yield authority, created.stdout.strip(), service


def count_visits(transport):
    """Returns the counter of an application after two requests of one browser."""
    app = Flask(__name__)
    app.session_interface = CloakroomSessionInterface(transport, app="shop")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.add_url_rule("/", "count", lambda: str(session.increment("visits")))
    client = app.test_client()
    client.get("/")
    client.get("/")
    with client.session_transaction() as opened:
        return opened["visits"]


def test_a_caller_is_authenticated_by_its_token(secure_service):
    authority, token, service = secure_service
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    metadata = [("authorization", f"Bearer {token}")]
    assert count_visits(GrpcTransport(service.address, credentials=credentials, metadata=metadata)) == 2


def test_all_calls_of_a_process_share_one_connection(secure_service):
    authority, token, service = secure_service
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    proxy = LossyProxy(service.port)
    metadata = [("authorization", f"Bearer {token}")]
    assert count_visits(GrpcTransport(proxy.address, credentials=credentials, metadata=metadata)) == 2
    proxy.close()
    assert proxy.accepted == 1


def test_a_caller_is_authenticated_by_its_certificate(secure_service):
    authority, _, service = secure_service
    certificate = authority.issue_cert("shop.test")
    key, chain = certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes()
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes(), key, chain)
    assert count_visits(GrpcTransport(service.address, credentials=credentials)) == 2


def test_an_unknown_caller_is_rejected(secure_service):
    authority, token, service = secure_service
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    for metadata in [], [("authorization", f"Bearer {token}x")]:
        with pytest.raises(SessionRefused) as refused:
            count_visits(GrpcTransport(service.address, credentials=credentials, metadata=metadata))
        assert refused.value.reason == "CALLER_UNKNOWN"
