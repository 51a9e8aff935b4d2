"""Watching: what a token is to its session now."""

from __future__ import annotations

from ..messages import session_service_pb2 as pb
from .app_call import AppCall, Live
from .times import to_message


def watch_session(call: AppCall, request: pb.WatchSessionRequest) -> pb.WatchSessionResponse:
    presented = call.of_write(request)
    if presented is None:
        return pb.WatchSessionResponse(state=pb.WATCH_STATE_ENDED)
    state = call.state(presented.token)
    if not isinstance(state, Live):
        return pb.WatchSessionResponse(state=pb.WATCH_STATE_ENDED, end_reason=state.reason)
    record = state.record
    until = record.expire_time(record.access_time)
    if record.verifier != presented.token.verifier and record.previous is not None:
        # The token is in its grace.
        until = min(until, record.previous.time + record.previous.grace)
    return pb.WatchSessionResponse(state=pb.WATCH_STATE_ALIVE, expire_time=to_message(until))
