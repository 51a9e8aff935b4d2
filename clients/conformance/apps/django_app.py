"""Django, by `cloakroom.django`. KIT_ASYNC=1 has an asynchronous view and server."""

from __future__ import annotations

import inspect
import json
import os

import django
from asgi_server import serve as serve_async
from cloakroom.django import SessionMiddleware
from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from wsgi_server import serve

IS_ASYNC = os.environ.get("KIT_ASYNC") == "1"
SUBJECT = "_auth_user_id"
SYNC_OPERATIONS = {
    "get": lambda session, key: session.get(key),
    "set": lambda session, key, value: session.update({key: value}),
    "delete": lambda session, key: session.pop(key, None) and None,
    "increment": lambda session, key, by: session.increment(key, by),
    "clear": lambda session: session.clear(),
    "login": lambda session, subject: session.update({SUBJECT: subject}),
    "subject": lambda session: session.get(SUBJECT),
    "rotate": lambda session: session.cycle_key(),
    "destroy": lambda session: session.flush(),
    "save": lambda session: session.save(),
}
ASYNC_OPERATIONS = {
    **SYNC_OPERATIONS,
    "get": lambda session, key: session.aget(key),
    "set": lambda session, key, value: session.aset(key, value),
    "login": lambda session, subject: session.aset(SUBJECT, subject),
    "subject": lambda session: session.aget(SUBJECT),
    "delete": lambda session, key: session.apop(key, None),
    "rotate": lambda session: session.acycle_key(),
    "destroy": lambda session: session.aflush(),
    "save": lambda session: session.asave(),
}


async def run_operations(session, request, operations):
    """Returns the response. Awaits nothing if the operations do not."""
    results, headers, status, is_stream = [], [], 200, False
    for name, *arguments in json.loads(request.body)["operations"]:
        result = None
        if name == "header":
            headers.append(arguments)
        elif name == "status":
            status = arguments[0]
        elif name == "stream":
            is_stream = True
        else:
            result = operations[name](session, *arguments)
            if inspect.isawaitable(result):
                result = await result
        results.append(None if name == "delete" else result)
    content = json.dumps({"results": results}).encode()
    if is_stream:
        response = StreamingHttpResponse((bytes([byte]) for byte in content), status=status)
    else:
        response = HttpResponse(content, status=status)
    for name, value in headers:
        if name == "Set-Cookie":
            response.set_cookie(*value.split("="))
        else:
            response[name] = value
    return response


def view(request):
    try:
        run_operations(request.session, request, SYNC_OPERATIONS).send(None)
    except StopIteration as finished:
        return finished.value
    raise RuntimeError("an operation has waited")


async def async_view(request):
    return await run_operations(request.session, request, ASYNC_OPERATIONS)


class Sessions(SessionMiddleware):
    """Answers an ended session by 409, where Django answers 400."""

    def __call__(self, request):
        if IS_ASYNC:
            return self.__acall__(request)
        try:
            return super().__call__(request)
        except SessionInterrupted:
            return HttpResponse(status=409)

    async def __acall__(self, request):
        try:
            return await super().__acall__(request)
        except SessionInterrupted:
            return HttpResponse(status=409)


urlpatterns = [path("", async_view if IS_ASYNC else view)]
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="the kit's",
    MIDDLEWARE=[f"{__name__}.Sessions"],
    SESSION_COOKIE_NAME="session",
    # Otherwise every session is permanent, and Django sends its cookie again at writes only.
    SESSION_EXPIRE_AT_BROWSER_CLOSE=True,
    SESSION_ENGINE="cloakroom.django",
    CLOAKROOM={
        "SERVICE": os.environ["CLOAKROOM_ADDRESS"],
        "APP": os.environ["CLOAKROOM_APP"],
        "DEADLINE": float(os.environ["CLOAKROOM_DEADLINE"]),
    },
)
django.setup()
if IS_ASYNC:
    serve_async(get_asgi_application())
else:
    serve(get_wsgi_application())
