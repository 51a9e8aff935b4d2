"""Lost answers with real Flask-Login and Flask-WTF: whatever answer is lost, the next login works."""

from __future__ import annotations

import itertools
import re
import uuid

import pytest
from flask import Flask, request, session
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from flask_wtf.csrf import CSRFProtect, generate_csrf
from recording_transport import RecordingTransport, lose_answers
from service import TIMEOUT

from cloakroom.flask import CloakroomSessionInterface

#: The app whose subject is Flask-Login's user, and one whose login asks for a new token itself.
APPS = ["login", "shop"]
STEPS = ["show the form", "log in", "look", "write", "log out", "clear", "rotate"]


class User(UserMixin):
    def __init__(self, name):
        self.id = name


def make_app(service, name):
    app = Flask(__name__)
    app.secret_key = "for the CSRF token, not for the session"
    app.session_interface = CloakroomSessionInterface(service.address, app=name)
    CSRFProtect(app)
    manager = LoginManager(app)
    manager.session_protection = "strong"
    manager.user_loader(User)

    @app.before_request
    def before():
        session.permanent = True
        session["requests"] = session.get("requests", 0) + 1

    @app.get("/login")
    def form():
        return generate_csrf()

    @app.post("/login")
    def log_in():
        if name == "shop":
            session.rotate()
        login_user(User(request.form["name"]))
        return "in"

    @app.get("/")
    def look():
        return current_user.get_id() or "anonymous"

    @app.post("/write")
    def write():
        session["note"] = "x"
        return generate_csrf()

    @app.post("/logout")
    def log_out():
        logout_user()
        session.destroy()
        return "out"

    @app.post("/clear")
    def clear():
        session.clear()
        return "clear"

    @app.post("/rotate")
    @login_required
    def rotate():
        session.rotate()
        return "rotated"

    return app


class Browser:
    """A browser whose answers may be lost on the way."""

    def __init__(self, app):
        self.client = app.test_client(use_cookies=False)
        self.cookie = None
        self.csrf = ""

    def send(self, method, path, *, is_lost=False, **form):
        headers = {} if self.cookie is None else {"Cookie": self.cookie}
        data = {**form, "csrf_token": self.csrf} if method == "POST" else None
        response = self.client.open(path, method=method, headers=headers, data=data)
        assert response.status_code < 500
        names = [cookie.partition("=")[0] for cookie in response.headers.getlist("Set-Cookie")]
        assert len(names) == len(set(names)), names
        if not is_lost:
            self.receive(response)
        return response

    def receive(self, response):
        for cookie in response.headers.getlist("Set-Cookie"):
            value = cookie.partition(";")[0]
            self.cookie = None if value.endswith("=") else value
        if re.fullmatch(r"[\w.-]{60,}", response.text):
            self.csrf = response.text

    def do(self, step, *, is_lost=False):
        methods = {"show the form": ("GET", "/login"), "look": ("GET", "/"), "log in": ("POST", "/login")}
        paths = {"write": "/write", "log out": "/logout", "clear": "/clear", "rotate": "/rotate"}
        method, path = methods.get(step) or ("POST", paths[step])
        return self.send(method, path, is_lost=is_lost, **({"name": "bert"} if step == "log in" else {}))

    def log_in(self):
        """Logs in as a user does, in one try."""
        self.send("GET", "/login")
        response = self.send("POST", "/login", name="anna")
        assert (response.status_code, response.text) == (200, "in"), response.text
        assert self.send("GET", "/").text == "anna"
        # Another user's session keeps nothing of the first, nor the CSRF token, so a page has to be shown first.
        self.send("GET", "/login")
        assert self.send("POST", "/write").status_code == 200


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("lost", STEPS)
def test_the_next_login_works_after_each_lost_answer(service, name, lost):
    app = make_app(service, name)
    for before, after in itertools.product(STEPS, ["look", "log in"]):
        browser = Browser(app)
        browser.log_in()
        browser.do(before)
        browser.do(lost, is_lost=True)
        browser.do(after, is_lost=True)
        browser.log_in()


@pytest.mark.parametrize("name", APPS)
def test_the_next_login_works_after_many_lost_logins(service, name):
    browser = Browser(make_app(service, name))
    browser.log_in()
    for _ in range(5):
        browser.do("show the form")
        browser.do("log in", is_lost=True)
    browser.log_in()


@pytest.mark.parametrize("name", APPS)
def test_a_login_beside_the_cookie_of_an_ended_session_works_at_once(service, name):
    browser = Browser(make_app(service, name))
    browser.log_in()
    browser.do("log out", is_lost=True)
    browser.log_in()


def test_a_login_without_an_open_works_beside_the_cookie_of_an_ended_session(service):
    app = Flask(__name__)
    app.session_interface = CloakroomSessionInterface(service.address, app="shop")
    app.add_url_rule("/in", view_func=lambda: (session.update(username="anna"), "in")[1], endpoint="in")
    app.add_url_rule("/out", view_func=lambda: (session.destroy(), "out")[1], endpoint="out")
    app.add_url_rule("/", view_func=lambda: session.get("username", "anonymous"), endpoint="who")
    browser = Browser(app)
    for _ in range(3):
        browser.send("GET", "/in")
        assert browser.send("GET", "/").text == "anna"
        browser.send("GET", "/out", is_lost=True)
        assert browser.send("GET", "/").text == "anonymous"


@pytest.mark.parametrize("name", APPS)
def test_a_double_click_on_the_login_costs_at_most_one_answer(service, name):
    browser = Browser(make_app(service, name))
    browser.log_in()
    browser.do("log out")
    browser.send("GET", "/login")
    browser.do("log in", is_lost=True)
    second = browser.do("log in")
    assert second.status_code < 500
    browser.log_in()


def log_in(name, user):
    """Logs a user in, as the applications of an app do."""
    if name == "shop":
        session.subject = user
    elif name == "login":
        session["_user_id"] = user
    else:
        session["passport"] = {"user": user}


@pytest.mark.parametrize("name", [*APPS, "passport"])
def test_a_login_without_a_cookie_or_a_read_begins_one_session_whatever_answers_are_lost(service, name):
    transport = RecordingTransport(service.address)
    user = uuid.uuid4().hex
    app = Flask(__name__)
    app.session_interface = CloakroomSessionInterface(transport, app=name, deadline=TIMEOUT)

    @app.route("/in")
    def log_in_and_write():
        session["note"] = "x"
        log_in(name, user)
        return "in"

    app.add_url_rule("/", view_func=lambda: session.subject or "anonymous", endpoint="who")
    lose_answers(transport, "SaveSession", 2)
    browser = Browser(app)
    browser.send("GET", "/in")
    assert transport.take_calls() == ["GetAppPolicy", "OpenSession", "SaveSession", "SaveSession", "SaveSession"]
    assert browser.send("GET", "/").text == user
    assert len(service.sessions("list", "--app", name, "--subject", user)) == 1


@pytest.mark.parametrize("name", ["login", "passport"])
def test_a_login_that_begins_another_session_begins_one_whatever_answers_are_lost(service, name):
    transport = RecordingTransport(service.address)
    user = uuid.uuid4().hex
    app = Flask(__name__)
    app.session_interface = CloakroomSessionInterface(transport, app=name, deadline=TIMEOUT)

    @app.route("/in")
    def log_in_after_the_end():
        session.get("a")
        service.sessions("revoke", "--app", name, session.id)
        log_in(name, user)
        lose_answers(transport, "SaveSession", 2, after=1)
        return "in"

    app.add_url_rule("/write", view_func=lambda: (session.update(a=1), "ok")[1], endpoint="write")
    app.add_url_rule("/", view_func=lambda: session.subject or "anonymous", endpoint="who")
    browser = Browser(app)
    browser.send("GET", "/write")
    transport.take_calls()
    browser.send("GET", "/in")
    assert transport.take_calls() == ["OpenSession", "SaveSession", "OpenSession", *["SaveSession"] * 3]
    assert browser.send("GET", "/").text == user
    assert len(service.sessions("list", "--app", name, "--subject", user)) == 1


def test_what_the_entry_of_the_subject_says_besides_it_is_no_login(service):
    transport = RecordingTransport(service.address)
    app = Flask(__name__)
    app.session_interface = CloakroomSessionInterface(transport, app="passport", deadline=TIMEOUT)
    entries = [{}, {"user": ""}, {"user": None}, {"user": True}, {"user": {}}, {"user.id": "x"}, "user", [], b"user"]

    @app.route("/<int:number>")
    def write(number):
        session["passport"] = entries[number]
        return "ok"

    browser = Browser(app)
    browser.send("GET", "/0")
    transport.take_calls()
    for number in range(1, len(entries)):
        browser.cookie = None
        response = browser.client.get(f"/{number}")
        # The service refuses what it cannot read as a subject. It is no login in any case.
        assert response.status_code in (200, 500)
        assert transport.take_calls() == ["SaveSession"], entries[number]
