"""The attributes of the cookie that one request chooses, for frameworks that send the service's headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

from .messages import session_service_pb2 as pb

#: `domain`, `path`, `secure` and `samesite`; what is missing is the app's own.
CookieAttributes = Mapping[str, Union[str, bool]]


def to_message(attributes: CookieAttributes | None) -> pb.CookieAttributes | None:
    """Returns what the calls of a request send. Raises TypeError for a name that cannot be chosen."""
    if not attributes:
        return None
    unknown = attributes.keys() - {"domain", "path", "secure", "samesite"}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise TypeError(f"a request cannot choose {names}: domain, path, secure and samesite can be chosen")
    message = pb.CookieAttributes()
    for name, value in attributes.items():
        setattr(message, name, value)
    return message
