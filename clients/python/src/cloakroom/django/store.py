"""Django's session store on Cloakroom.

What a session is stands in `cloakroom.session`; this module translates Django's names. Django's own methods work on
`_session`, which is the mapping of Cloakroom's session here: it opens at the first read and saves what changed.
"""

from __future__ import annotations

import copy
import weakref
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.http import HttpRequest

from .. import browser_input
from ..cookie import CookieDecision
from ..errors import SessionRefused, SessionUnavailable
from ..messages import session_service_pb2 as pb
from ..session import RequestInfo
from . import by_key, conf, cookie_header, lifetime, session_key
from .codec import SerializerCodec
from .session import RequestSession
from .session_key import is_public


class SessionStore(SessionBase):  # type: ignore[misc, unused-ignore]
    """The session of one request, or of one session cookie.

    Every method that makes a call may raise `SessionUnavailable` or `SessionRefused`.

    Args:
        session_key: The value of a session cookie, or a `SessionKey` of this process. The text of a session_key opens
            nothing; `exists` and `delete` take it. None begins a new session.
    """

    def __init__(self, session_key: str | None = None) -> None:
        self._current: RequestSession | None = None
        self._cookie_header = ""
        #: The request's META, for its context. Not the request, which has the session: the two would be freed late.
        self._meta: dict[str, Any] | None = None
        super().__init__(session_key)
        #: What was given is returned by `session_key` only where Django's own methods have assigned it.
        self._assigned_key: str | None = None

    @classmethod
    def for_request(cls, request: HttpRequest) -> SessionStore:
        """Returns the session of a request. Makes no call."""
        store = cls()
        store._cookie_header = cookie_header.of_request(request)
        store._meta = request.META
        return store

    # What Cloakroom adds.

    @property
    def id(self) -> str:
        """The session's public id, which stays the same at a login. Empty if the session is not stored."""
        return self._now().id if self._now().is_stored else ""

    @property
    def cookie_value(self) -> str:
        """The value of the session cookie, a secret. Empty if the session is not stored."""
        return self._now().cookie_value

    def increment(self, key: str, by: int = 1) -> None:
        """Adds to a counter. Concurrent requests lose no counts. A missing counter starts at 0."""
        self._now().increment(key, by)

    def __copy__(self) -> dict[str, Any]:
        return dict(self._get_session())

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy(dict(self._get_session()), memo)

    def __reduce__(self) -> Any:
        raise TypeError("a session belongs to its request and can't be pickled; dict(session.items()) is a plain dict")

    # Django's interface: properties.

    @property
    def accessed(self) -> bool:
        return self._current is not None and self._current.accessed

    @accessed.setter
    def accessed(self, value: bool) -> None:
        if value or self._current is not None:
            self._now().accessed = value

    @property
    def modified(self) -> bool:
        return self._current is not None and self._current.modified

    @modified.setter
    def modified(self, value: bool) -> None:
        if value or self.modified:
            self._now().modified = value

    def _get_session_key(self) -> str | None:
        if self._assigned_key is not None and (self._current is None or not self._current.is_opened):
            return self._assigned_key
        if self._is_cycle_pending():
            # Django has replaced the key by now. Until somebody looks, the next save can do it.
            self._save()
        return session_key.of_session(self._now()._load_info()) if self._now().may_be_stored else None

    def _set_session_key(self, value: str | None) -> None:
        self._current = None
        self._assigned_key = value if cookie_header.is_valid(value) else None
        self._cookie_header = cookie_header.of_key(value)
        #: Whether the text of a session_key was given, which opens nothing.
        self._is_refused = self._assigned_key is not None and self._cookie_header == "" and is_public(value or "")

    session_key = property(_get_session_key)
    _session_key = property(_get_session_key, _set_session_key)

    def is_empty(self) -> bool:
        """Whether there is no stored session and nothing to store, as far as that is known without a call."""
        return self._now().is_empty()

    # Django's interface: entries. The base class has all others.

    def _get_session(self, no_load: bool = False) -> RequestSession:
        current = self._now()
        current.accessed = True
        return current

    async def _aget_session(self, no_load: bool = False) -> RequestSession:
        current = self._get_session()
        await current.aopen()
        return current

    _session = property(_get_session)

    def pop(self, key: str, *default: Any, **named: Any) -> Any:
        return self._get_session().pop(key, *default, *named.values())

    async def apop(self, key: str, *default: Any, **named: Any) -> Any:
        return (await self._aget_session()).pop(key, *default, *named.values())

    # Writing needs no open, so nothing is awaited.

    async def aset(self, key: str, value: Any) -> None:
        self[key] = value

    async def aupdate(self, dict_: Any) -> None:
        self.update(dict_)

    def clear(self) -> None:
        """Removes all entries. The save also replaces the token."""
        self._get_session().clear()

    # Django's interface: calls.

    def load(self) -> dict[str, Any]:
        """Returns the entries as the service has them now. If there is no session, this one becomes a new one."""
        stored = self._now().another()
        stored.open()
        return self._loaded(stored)

    async def aload(self) -> dict[str, Any]:
        stored = self._now().another()
        await stored.aopen()
        return self._loaded(stored)

    def save(self, must_create: bool = False) -> None:
        """Saves the changes now, also if there are none: then it is a use of the session.

        A new session is stored also if it is empty. Raises UpdateError if the session has ended.
        """
        if must_create:
            self.create()
        else:
            self._now().keep_empty()
            with self._now().save_of_application():
                self._save()

    async def asave(self, must_create: bool = False) -> None:
        if must_create:
            await self.acreate()
        else:
            self._now().keep_empty()
            with self._now().save_of_application():
                await self._asave()

    def create(self) -> None:
        """Stores a new session, with the entries that are known. A stored one stays until it expires."""
        self._get_session().open()
        self._begin_another()
        with self._now().save_of_application():
            self._save()

    async def acreate(self) -> None:
        await self._aget_session()
        self._begin_another()
        with self._now().save_of_application():
            await self._asave()

    def cycle_key(self) -> None:
        """Replaces the token, and so the session_key, with the next save. Older tokens open the session no more."""
        self._get_session().open()
        self._cycle()

    async def acycle_key(self) -> None:
        await self._aget_session()
        self._cycle()

    def flush(self) -> None:
        """Ends the session at once. What is written after that begins a new one."""
        if self._now().may_end:
            self._now().destroy()
        else:
            self._now().begin_empty()

    async def aflush(self) -> None:
        await self._now().afetch_policy()
        if self._now().may_end:
            await self._now().adestroy()
        else:
            self._now().begin_empty()

    def exists(self, session_key: str | None) -> bool:
        """Whether there is a session with this key or cookie. The look is no use of the session."""
        if self._is_cycle_pending():
            self._save()
        looked_up = self._find(session_key)
        if looked_up is None:
            return session_key is not None and by_key.exists(session_key)
        looked_up.open()
        return looked_up.is_stored

    async def aexists(self, session_key: str | None) -> bool:
        if self._is_cycle_pending():
            await self._asave()
        looked_up = self._find(session_key)
        if looked_up is None:
            return session_key is not None and await by_key.aexists(session_key)
        await looked_up.aopen()
        return looked_up.is_stored

    def delete(self, session_key: str | None = None) -> None:
        """Ends the session with this key or cookie at once, or else this session.

        The text of a session_key needs CLOAKROOM["ADMIN_SERVICE"].
        """
        if session_key is None:
            if self._now().may_end:
                self._now().destroy()
            return
        found = self._find(session_key)
        if found is not None:
            found.destroy()
        else:
            by_key.end(session_key)

    async def adelete(self, session_key: str | None = None) -> None:
        if session_key is None:
            await self._now().afetch_policy()
            if self._now().may_end:
                await self._now().adestroy()
            return
        found = self._find(session_key)
        if found is not None:
            await found.adestroy()
        else:
            await by_key.aend(session_key)

    @classmethod
    def clear_expired(cls) -> None:
        """Does nothing: the service removes what has expired."""

    @classmethod
    async def aclear_expired(cls) -> None:
        """Does nothing: the service removes what has expired."""

    # For the middleware.

    @property
    def unavailable(self) -> SessionUnavailable | None:
        """Why the last call failed, if the service did not answer it."""
        return None if self._current is None else self._current.unavailable

    @unavailable.setter
    def unavailable(self, error: SessionUnavailable) -> None:
        self._now().unavailable = error

    @property
    def saved_decision(self) -> CookieDecision | None:
        """What the calls that were answered mean for the cookie, although a later one has failed."""
        return None if self._current is None else self._current.saved_decision

    def has_unsaved_changes(self) -> bool:
        return self._current is not None and self._current.has_unsaved_changes()

    def finish(self, *, is_saved: bool) -> CookieDecision:
        """Saves the changes of a request. Returns what the response does with the cookie.

        Args:
            is_saved: False forgets the changes, as Django does for an answer of 500 and more.

        Raises:
            UpdateError: The session has ended, and nothing was written.
        """
        current = self._begin_finish(is_saved=is_saved)
        if current is None:
            return CookieDecision()
        if current.has_unsaved_changes():
            self._save()
        elif settings.SESSION_SAVE_EVERY_REQUEST:
            current.open()
        return current.finish()

    async def afinish(self, *, is_saved: bool) -> CookieDecision:
        if is_saved and settings.SESSION_SAVE_EVERY_REQUEST:
            await self._now().afetch_policy()
        current = self._begin_finish(is_saved=is_saved)
        if current is None:
            return CookieDecision()
        if current.has_unsaved_changes():
            await self._asave()
        elif settings.SESSION_SAVE_EVERY_REQUEST:
            await current.aopen()
        return await current.afinish()

    # Private.

    def _now(self) -> RequestSession:
        if self._current is None:
            if self._is_refused:
                raise SessionRefused(
                    "a session_key opens no session, for it may stand in a log: take the value of the cookie, or end "
                    "the session by SessionStore().delete(session_key)"
                )
            self._current = RequestSession(conf.client(), self._request_info())
        return self._current

    def _request_info(self) -> RequestInfo:
        client = conf.client()
        # Weak, because the store has the session: in a circle, both would wait for the garbage collection.
        store: SessionStore = weakref.proxy(self)
        return RequestInfo(
            app=client.app,
            policy=conf.policy,
            knows_policy=conf.knows_policy,
            codec=SerializerCodec(self.serializer),
            cookie_header=self._cookie_header,
            cookie_name=settings.SESSION_COOKIE_NAME,
            context=lambda: store._request_context(),
            idle_timeout=lambda: lifetime.idle_timeout(store),
            deadline_time=lambda: lifetime.deadline_time(store),
            permanent=lambda: not store.get_expire_at_browser_close(),
        )

    def _request_context(self) -> pb.RequestContext:
        meta = self._meta
        if meta is None or not conf.current().send_context:
            return pb.RequestContext()
        return browser_input.request_context(meta.get("HTTP_USER_AGENT", ""), meta.get("REMOTE_ADDR") or "")

    def _is_cycle_pending(self) -> bool:
        return self._current is not None and self._current.is_rotation_pending

    def _cycle(self) -> None:
        current = self._now()
        if current.is_ambiguous:
            # Nothing of either session may stay. The entries that are known are those that this request has written.
            written = dict(current)
            current.clear()
            current.update(written)
        else:
            current.rotate()
        current.keep_empty()

    def _begin_another(self) -> None:
        current = self._now()
        if current.is_stored or current.is_ambiguous:
            self._current = current.another(cookie_header="")
            self._current.update(current)
        self._now().keep_empty()

    def _loaded(self, stored: RequestSession) -> dict[str, Any]:
        if not stored.is_stored:
            self._session_key = None
            return {}
        return dict(stored)

    def _find(self, key: str | None) -> RequestSession | None:
        """Returns the session of a key. None if there is none, or only an administrator can find it."""
        header = cookie_header.of_key(key)
        if not header:
            return None
        found = RequestSession(conf.client(), self._request_info()).another(header)
        found.is_look = True
        return found

    def _save(self) -> None:
        current = self._now()
        current.open_for_save()
        if lifetime.is_over(self):
            self.flush()
            return
        current.finish()
        _check_gone(current)

    async def _asave(self) -> None:
        current = self._now()
        await current.aopen_for_save()
        if lifetime.is_over(self):
            await self.aflush()
            return
        await current.afinish()
        _check_gone(current)

    def _begin_finish(self, *, is_saved: bool) -> RequestSession | None:
        """Returns the session if there is something to do."""
        current = self._current
        if current is None or not current.accessed:
            is_refreshed = is_saved and settings.SESSION_SAVE_EVERY_REQUEST and self._now().may_be_stored
            return self._now() if is_refreshed else None
        if not is_saved:
            current.forget_changes()
        return current


def _check_gone(session: RequestSession) -> None:
    if session.gone is not None:
        raise UpdateError(f"the session has ended: {session.gone}")
