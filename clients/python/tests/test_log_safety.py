"""What a tool that records local variables after an error, such as an error tracker, sees of a session."""

from __future__ import annotations

from cloakroom import Client, Session
from cloakroom.codec import JsonCodec
from cloakroom.session import RequestInfo


def test_the_text_of_a_session_and_of_its_request_has_no_cookie(service):
    client = Client(service.address, app="shop")
    info = RequestInfo(app="shop", policy=client.policy, codec=JsonCodec())
    session = Session(client, info)
    session["a"] = 1
    token = session.finish().token
    info = RequestInfo(app="shop", policy=client.policy, codec=JsonCodec(), cookie_header=f"session={token}")
    session = Session(client, info)
    assert session["a"] == 1
    assert token not in f"{info!r} {session!r}"
