"""Finds sessions by the text of their session_key, which opens nothing: by AdminService."""

from __future__ import annotations

from asgiref.sync import sync_to_async

from . import conf, session_key


def exists(key: str) -> bool:
    """Whether there is a live session of this key. A look by an administrator is no use of the session."""
    if not session_key.is_public(key):
        return False
    found = conf.admin_client().get_session(session_key.session_id(key))
    return found is not None and found.end_reason is None


def end(key: str) -> None:
    """Ends the session of this key, if there is one."""
    if session_key.is_public(key):
        conf.admin_client().revoke_session(session_key.session_id(key))


aexists = sync_to_async(exists, thread_sensitive=False)
aend = sync_to_async(end, thread_sensitive=False)
