"""A service that authenticates its callers over TLS, by a caller token or by a certificate."""

from __future__ import annotations

import subprocess

import grpc
import pytest
import trustme
from event_loop import in_event_loop
from flask import Flask, session
from lossy_proxy import LossyProxy
from service import APPS, Service, binary, wait_until

from cloakroom import AsyncClient, Client, ConnectTransport, Credentials, SessionRefused, SessionUnavailable, methods
from cloakroom.flask import CloakroomSessionInterface
from cloakroom.grpc_transport import GrpcTransport
from cloakroom.messages import session_service_pb2 as pb

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


@pytest.fixture(params=["connect", "grpc"])
def make_transport(request, secure_service, tmp_path):
    """Returns a function that makes a transport to the service with TLS."""
    authority, _, service = secure_service
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))

    def make(*, port=service.port, token="", certificate=None):
        if request.param == "grpc":
            files = certificate and [certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes()]
            credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes(), *(files or []))
            metadata = [("authorization", f"Bearer {token}")] if token else []
            return GrpcTransport(f"127.0.0.1:{port}", credentials=credentials, metadata=metadata)
        files = {}
        if certificate is not None:
            files = {"certificate_file": str(tmp_path / "client.crt"), "key_file": str(tmp_path / "client.key")}
            certificate.cert_chain_pems[0].write_to_path(files["certificate_file"])
            certificate.private_key_pem.write_to_path(files["key_file"])
        credentials = Credentials(token=token, ca_file=str(tmp_path / "ca.crt"), **files)
        return ConnectTransport(f"https://127.0.0.1:{port}", credentials)

    return make


def test_a_caller_is_authenticated_by_its_token(secure_service, make_transport):
    _, token, _ = secure_service
    assert count_visits(make_transport(token=token)) == 2


def test_all_calls_of_a_process_share_one_connection(secure_service, make_transport):
    _, token, service = secure_service
    proxy = LossyProxy(service.port)
    assert count_visits(make_transport(port=proxy.port, token=token)) == 2
    proxy.close()
    assert proxy.accepted == 1


def test_a_caller_is_authenticated_by_its_certificate(secure_service, make_transport):
    authority, _, _ = secure_service
    assert count_visits(make_transport(certificate=authority.issue_cert("shop.test"))) == 2


def test_an_unknown_caller_is_rejected(secure_service, make_transport):
    _, token, _ = secure_service
    for wrong in ["", f"{token}x"]:
        with pytest.raises(SessionRefused) as refused:
            count_visits(make_transport(token=wrong))
        assert refused.value.reason == "CALLER_UNKNOWN"


@pytest.fixture
def untrusted(secure_service, tmp_path):
    """Returns addresses and credentials that do not fit the certificate of the service."""
    authority, token, service = secure_service
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other-authority.crt"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    wrong_authority = Credentials(token=token, ca_file=str(tmp_path / "other-authority.crt"))
    right_authority = Credentials(token=token, ca_file=str(tmp_path / "ca.crt"))
    right_name, wrong_name = f"https://127.0.0.1:{service.port}", f"https://localhost:{service.port}"
    return [
        (right_name, wrong_authority),
        (right_name, Credentials(token=token)),
        # The certificate has the IP address, and not this name for it.
        (wrong_name, right_authority),
        (f"{right_name},{wrong_name}", wrong_authority),
    ]


#: Seconds. So long that a test only ends in time if nothing is repeated.
HOURS = 4 * 3600.0
UNTRUSTED = "CERTIFICATE_VERIFY_FAILED.*; set ca_file to the authority of the service's certificate, which has to name"


def test_a_certificate_that_is_not_trusted_is_an_error_at_once(untrusted):
    for address, credentials in untrusted:
        client = Client(address, app="shop", deadline=HOURS, credentials=credentials)
        with pytest.raises(SessionUnavailable, match=UNTRUSTED):
            client.policy()
        with pytest.raises(SessionUnavailable, match=UNTRUSTED):
            client.stream(methods.WATCH, pb.WatchSessionRequest(app="shop"))


@in_event_loop
async def test_a_certificate_that_is_not_trusted_is_an_error_at_once_in_an_event_loop(untrusted):
    for address, credentials in untrusted:
        client = AsyncClient(address, app="shop", deadline=HOURS, credentials=credentials)
        with pytest.raises(SessionUnavailable, match=UNTRUSTED):
            await client.policy()
        with pytest.raises(SessionUnavailable, match=UNTRUSTED):
            await client.stream(methods.WATCH, pb.WatchSessionRequest(app="shop"))


def test_a_certificate_that_is_not_trusted_is_an_error_at_once_by_grpc(secure_service):
    authority, _, service = secure_service
    for name, trusted in [("127.0.0.1", trustme.CA()), ("localhost", authority)]:
        credentials = grpc.ssl_channel_credentials(trusted.cert_pem.bytes())
        client = Client(GrpcTransport(f"{name}:{service.port}", credentials=credentials), app="shop", deadline=HOURS)
        with pytest.raises(SessionUnavailable, match="the certificate of the service is not trusted"):
            client.policy()


def test_a_replica_whose_certificate_is_not_trusted_is_passed_over(secure_service, tmp_path):
    authority, token, service = secure_service
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    credentials = Credentials(token=token, ca_file=str(tmp_path / "ca.crt"))
    addresses = f"https://localhost:{service.port},https://127.0.0.1:{service.port}"
    client = Client(addresses, app="shop", credentials=credentials)
    for _ in range(4):
        assert client.open(pb.OpenSessionRequest(app="shop")).session.new


def test_a_renewed_certificate_is_used_by_the_next_connection(secure_service, tmp_path):
    authority, _, service = secure_service
    proxy = LossyProxy(service.port)
    files = {name: str(tmp_path / name) for name in ("certificate_file", "key_file")}

    def renew(name):
        certificate = authority.issue_cert(name)
        certificate.cert_chain_pems[0].write_to_path(files["certificate_file"])
        certificate.private_key_pem.write_to_path(files["key_file"])

    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    renew("nobody.test")
    credentials = Credentials(ca_file=str(tmp_path / "ca.crt"), **files)
    client = Client(f"https://127.0.0.1:{proxy.port}", app="shop", credentials=credentials)
    with pytest.raises(SessionRefused):
        client.policy()
    renew("shop.test")
    proxy.close_connections()
    wait_until("the connection ends", lambda: proxy.open_count() == 0)
    assert client.policy().cookie_name == "session"
    proxy.close()


@pytest.mark.parametrize(
    ("address", "credentials", "advice"),
    [
        ("localhost:50051", {"ca_file": "ca.crt"}, "write the address as https://"),
        ("https://a:1,unix:/b", {"ca_file": "ca.crt"}, "write the address as https://"),
        ("https://a:1", {"certificate_file": "tls.crt"}, "certificate_file and key_file belong together"),
        ("https://a:1", {"token": "token\n"}, "such as a newline at its end"),
    ],
)
def test_credentials_that_cannot_work_are_refused_with_advice(address, credentials, advice):
    with pytest.raises(ValueError, match=advice):
        Client(address, credentials=Credentials(**credentials))


def test_a_token_is_in_no_representation():
    assert "secret" not in repr(Credentials(token="secret"))


@in_event_loop
async def test_an_asynchronous_client_shows_its_token_or_its_certificate(secure_service, tmp_path):
    authority, token, service = secure_service
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    certificate = authority.issue_cert("shop.test")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "shop.pem"))
    address, files = f"https://{service.address}", {"ca_file": str(tmp_path / "ca.crt")}
    pem = str(tmp_path / "shop.pem")

    for credentials in (Credentials(token, **files), Credentials("", **files, certificate_file=pem, key_file=pem)):
        assert (await AsyncClient(address, app="shop", credentials=credentials).policy()).app == "shop"
    with pytest.raises(SessionRefused) as refused:
        await AsyncClient(address, app="shop", credentials=Credentials("wrong", **files)).policy()
    assert refused.value.code == "UNAUTHENTICATED"
    with pytest.raises(SessionUnavailable, match="certificate"):
        await AsyncClient(address, deadline=0.5, credentials=Credentials(token)).policy()
