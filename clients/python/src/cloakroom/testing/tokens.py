"""Tokens and tickets. They cannot be guessed, and no service accepts them, nor another `MemoryTransport`."""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import re
import secrets
from typing import NamedTuple


class Note(enum.Enum):
    """What an open tells the save of the same request about the cookie."""

    #: The browser has this token, or no cookie leads to the new session of this ticket.
    NONE = ""
    #: The browser has another credential of this session. Every response sets the cookie.
    SET = "s"
    #: The browser may be about to get the cookie of a login. Only a response to a rotation sets the cookie.
    KEEP = "k"


class Token(NamedTuple):
    """What a token says before it is signed."""

    #: Finds the session.
    selector: bytes
    #: Opens the session.
    verifier: bytes

    @classmethod
    def random(cls) -> Token:
        return cls(secrets.token_bytes(16), secrets.token_bytes(16))

    def recovery(self, app: str) -> Token:
        """Returns the token of the session that this token leads to once it opens its own no more."""
        derived = hashlib.sha256(b"\0".join([b"recovery", app.encode(), *self])).digest()
        return Token(derived[:16], derived[16:])

    def id(self, app: str) -> str:
        """Returns the id of the session."""
        return hashlib.sha256(b"\0".join([b"id", app.encode(), self.selector])).hexdigest()[:32]


class Rejected(Exception):
    """A text is no token or ticket of the app."""


class Signer:
    """Signs and verifies with a key of its own."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def sign_token(self, app: str, token: Token, note: Note = Note.NONE) -> str:
        return self._sign(f"{_TOKEN}{note.value}.", app, token)

    def sign_ticket(self, app: str, token: Token, note: Note, now: int) -> str:
        return self._sign(f"{_TICKET}{note.value}.{now // 1000}.", app, token)

    def verify_token(self, app: str, text: str) -> tuple[Token, Note]:
        """Raises `Rejected`."""
        token, note, _ = self._verify(_TOKEN, app, text)
        return token, note

    def verify_ticket(self, app: str, text: str, now: int) -> tuple[Token, Note]:
        """Raises `Rejected`, also for a ticket that is too old."""
        token, note, seconds = self._verify(_TICKET, app, text)
        if now // 1000 - seconds > _TICKET_LIFE:
            raise Rejected("it is a ticket older than 15 minutes")
        return token, note

    def _sign(self, start: str, app: str, token: Token) -> str:
        random = b"".join(token)
        return f"{start}{_encode(random)}.{_encode(self._mac(start, app, random))}"

    def _verify(self, kind: str, app: str, text: str) -> tuple[Token, Note, int]:
        found = _TEXT.fullmatch(text)
        if found is None or found["kind"] != kind or bool(found["seconds"]) != (kind == _TICKET):
            raise Rejected("it is not written as a token")
        random, mac = _decode(found["random"]), _decode(found["mac"])
        if not hmac.compare_digest(mac, self._mac(found["start"], app, random)):
            raise Rejected("its signature is wrong: it is forged or of another app")
        return Token(random[:16], random[16:]), Note(found["note"]), int((found["seconds"] or "0.")[:-1])

    def _mac(self, start: str, app: str, random: bytes) -> bytes:
        return hmac.new(self._key, b"\0".join([start.encode(), app.encode(), random]), hashlib.sha256).digest()


def is_ticket(text: str) -> bool:
    """Whether a text begins like a ticket, valid or not."""
    return text.startswith(_TICKET)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        data = b""
    # One value has one spelling.
    if len(data) != 32 or _encode(data) != text:
        raise Rejected("it is not written as a token")
    return data


_TOKEN, _TICKET = "testing-v1", "testing-t1"
_TEXT = re.compile(
    rf"(?P<start>(?P<kind>{_TOKEN}|{_TICKET})(?P<note>[sk]?)\.(?P<seconds>(?:0|[1-9][0-9]{{0,14}})\.)?)"
    r"(?P<random>[A-Za-z0-9_-]{43})\.(?P<mac>[A-Za-z0-9_-]{43})"
)
#: Seconds.
_TICKET_LIFE = 15 * 60
