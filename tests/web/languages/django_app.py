"""A login and a counter in Django."""

import os
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import path
from page import counter_page


def home(request):
    return HttpResponse(counter_page(request.session))


def login(request):
    request.session.cycle_key()
    request.session["name"] = request.POST["name"]
    return HttpResponseRedirect("/")


def count(request):
    request.session.increment("count", 1)
    request.session.save()
    return HttpResponse(counter_page(request.session))


def logout(request):
    request.session.flush()
    return HttpResponseRedirect("/")


urlpatterns = [path("", home), path("login", login), path("count", count), path("logout", logout)]
settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    MIDDLEWARE=["cloakroom.django.SessionMiddleware"],
    SESSION_COOKIE_NAME="session",
    SESSION_EXPIRE_AT_BROWSER_CLOSE=True,
    SESSION_ENGINE="cloakroom.django",
    CLOAKROOM={"SERVICE": os.environ["CLOAKROOM_ADDRESS"], "DEADLINE": 20},
)
django.setup()
server = make_server("127.0.0.1", 0, get_wsgi_application())
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
