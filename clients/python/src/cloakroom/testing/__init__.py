"""Tests of applications without a service: sessions in memory, by the rules of the service.

    from cloakroom.testing import MemoryTransport

    app.session_interface = CloakroomSessionInterface(MemoryTransport(), app="shop")

It is a second implementation of the service's rules in Python. A test of this package makes the same random calls to
both and compares what they answer: outcomes, entries, counters, tokens, headers, errors, ends and listings.

Time is that of `time.time`, so tools that freeze or move it, such as freezegun and time-machine, move sessions too.

Where it stops:

- Apps are of kind `stored`. There are none of kind `cookie`, none without a key, and no migration from other sessions.
- There is one signing key, for as long as the transport lives. Tokens have another form than the service's; they are
  as hard to guess, and no service and no other transport accepts them.
- Sessions are those of this process, and end with the transport. A fork has a copy of them.
- There is no network: calls neither wait nor fail, unless `is_available` is False. Nothing checks who calls, nothing
  limits the size or the number of calls, and nothing is ever full.
- A record is forgotten when its tombstone expires, 16 minutes after the end of the session. The service may keep it a
  little longer.
- ExplainCredential, ShouldSetCookie, GetExpirationTime and MakeNullSession are missing, which the package does not
  need.
- A watch notices the expiry of a session within a tenth of a second of real time.
"""

from .app import App
from .transport import AsyncMemoryTransport, MemoryTransport

__all__ = ["App", "AsyncMemoryTransport", "MemoryTransport"]
