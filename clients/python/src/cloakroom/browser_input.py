"""Prepares what a browser or a proxy sent, so that no call fails because of it.

WSGI servers decode headers as Latin-1. What is something else anyway, such as a lone surrogate, cannot be in a message.
"""

from __future__ import annotations

from .messages import session_service_pb2 as pb


def cookie_header(header: str) -> str:
    """Returns a Cookie header in Latin-1, without the cookies that go beyond the service's limit."""
    if len(header) > _MAX_COOKIE_HEADER:
        header = header[:_MAX_COOKIE_HEADER].rpartition(";")[0]
    return header if header.isascii() else _latin_1(header)


def request_context(user_agent: str, remote_address: str) -> pb.RequestContext:
    """Returns where a request comes from. The service cuts both texts further if they have other letters than ASCII."""
    user_agent, remote_address = user_agent[:256], remote_address[:64]
    if not (user_agent.isascii() and remote_address.isascii()):
        user_agent, remote_address = _latin_1(user_agent), _latin_1(remote_address)
    return pb.RequestContext(user_agent=user_agent, remote_address=remote_address)


def _latin_1(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")


#: Characters. The service refuses a longer one.
_MAX_COOKIE_HEADER = 1024 * 1024
