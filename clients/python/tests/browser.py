"""A browser for tests of the session itself, without a framework."""

from __future__ import annotations

from typing import Any

from recording_transport import RecordingTransport

from cloakroom.client import Client
from cloakroom.codec import JsonCodec
from cloakroom.cookie import CookieAction, CookieDecision
from cloakroom.session import RequestInfo, Session


class Browser:
    """A browser with one cookie."""

    def __init__(self, address: str, app: str = "shop") -> None:
        self.transport = RecordingTransport(address)
        self.client = Client(self.transport, app=app, deadline=0.3)
        self.cookie_header = ""

    def session(self, **settings: Any) -> Session:
        """Returns the session of a new request."""
        info = RequestInfo(self.client.app, self.client.policy, JsonCodec(), self.cookie_header, **settings)
        return Session(self.client, info)

    def finish(self, session: Session) -> CookieDecision:
        """Ends a request, and takes its cookie."""
        decision = session.finish()
        if decision.action is CookieAction.SET:
            self.cookie_header = f"session={decision.token}"
        if decision.action is CookieAction.DELETE:
            self.cookie_header = ""
        return decision

    def write(self, *, subject: str | None = None, **entries) -> None:
        """Makes a request that writes entries, and a login if there is a subject."""
        session = self.session()
        session.update(entries)
        if subject is not None:
            session.subject = subject
        self.finish(session)
        self.transport.take_calls()
