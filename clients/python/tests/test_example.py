"""The shop of examples/flask under gunicorn, and its migration to Cloakroom, which logs no user out."""

from __future__ import annotations

import difflib
import http.cookiejar
import os
import pathlib
import re
import secrets
import urllib.parse
import urllib.request

import pytest
from gunicorn_server import Gunicorn
from service import ROOT, Service

SHOP = ROOT / "examples/flask"


class Browser:
    """A client with a cookie jar that follows redirects and parses the page."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def load(self, path: str = "/", **form: str) -> dict:
        data = urllib.parse.urlencode(form).encode() if path != "/" else None
        url = f"http://127.0.0.1:{self.port}{path}"
        page = self._opener.open(urllib.request.Request(url, data), timeout=20).read().decode()
        who = re.search('id="who">Hello, (.*?)</p>', page)
        return {
            "who": who and who[1],
            "cart": re.findall("<li>(.*?)</li>", page),
            "messages": re.findall('class="message">(.*?)</p>', page),
        }

    def cookie(self) -> str:
        [cookie] = [cookie for cookie in self.jar if cookie.name == "session"]
        return cookie.value


class Shop(Gunicorn):
    """One of the example's three applications, under gunicorn with three workers."""

    def __init__(self, name: str, **environment: str) -> None:
        path = f"{SHOP}{os.pathsep}{pathlib.Path(__file__).parent}"
        super().__init__("--workers", "3", f"{name}:app", SECRET_KEY="secret-key", PYTHONPATH=path, **environment)


def shop_service(folder: pathlib.Path, migration: str = "") -> Service:
    """Starts the service with the example's configuration, and settings of a migration."""
    (folder / "keys").write_text(secrets.token_urlsafe(32))
    apps = (SHOP / "cloakroom.toml").read_text().replace('"cloakroom-keys"', f'"{folder}/keys"')
    return Service.start(folder, apps + migration)


def test_a_user_can_log_in_shop_and_log_out(tmp_path):
    with shop_service(tmp_path) as service, Shop("app", CLOAKROOM_ADDRESS=service.address) as shop:
        browser = Browser(shop.port)
        assert browser.load() == {"who": None, "cart": [], "messages": []}
        assert browser.load("/add", item="pear")["messages"] == ["pear is in your cart."]
        assert browser.load("/login", user="ada") == {"who": "ada", "cart": ["pear"], "messages": ["Welcome, ada."]}
        assert browser.load("/add", item="plum")["cart"] == ["pear", "plum"]
        assert browser.load()["messages"] == []
        assert len(service.sessions("list", "--app", "shop", "--subject", "ada")) == 1
        stolen = Browser(shop.port)
        stolen.jar.set_cookie(next(iter(browser.jar)))
        assert stolen.load()["who"] == "ada"
        assert browser.load("/logout", now="")["messages"] == ["You have logged out."]
        assert stolen.load()["who"] is None
        assert service.sessions("list", "--app", "shop", "--subject", "ada") == []


@pytest.mark.parametrize("before", ["before_signed_cookies", "before_flask_session"])
def test_the_application_changes_in_two_lines(before):
    lines = [(SHOP / f"{name}.py").read_text().splitlines() for name in (before, "app")]
    added = [line[2:] for line in difflib.ndiff(*lines) if line.startswith("+ ")]
    code = [line for line in added if line and not line.startswith('"""')]
    assert [line.split("(")[0] for line in code] == [
        "from cloakroom.flask import CloakroomSessionInterface",
        "app.session_interface = CloakroomSessionInterface",
    ]


MIGRATION_SOURCES = {
    "before_signed_cookies": '[apps.shop.migrate.flask_cookie]\nkeys = ["secret-key"]\n',
    "before_flask_session": '[apps.shop.migrate.flask_session]\nurl = "{redis}"\n',
}


@pytest.mark.parametrize("before", MIGRATION_SOURCES)
def test_a_user_stays_logged_in_through_the_migration(tmp_path, redis, before):
    with Shop(before, REDIS_URL=redis) as old_shop:
        browser = Browser(old_shop.port)
        browser.load("/add", item="pear")
        assert browser.load("/login", user="ada")["who"] == "ada"
        old_cookie = browser.cookie()
    migration = '[apps.shop.migrate]\nuntil = "2099-01-01"\n' + MIGRATION_SOURCES[before].replace("{redis}", redis)
    with shop_service(tmp_path, migration) as service, Shop("app", CLOAKROOM_ADDRESS=service.address) as shop:
        browser.port = shop.port
        concurrent = Browser(shop.port)
        concurrent.jar.set_cookie(next(iter(browser.jar)))
        assert browser.load() == {"who": "ada", "cart": ["pear"], "messages": []}
        assert browser.cookie().startswith("v1.")
        # A concurrent request of the same browser with the old cookie finds the same session.
        assert concurrent.load("/add", item="plum")["who"] == "ada"
        assert browser.load()["cart"] == ["pear", "plum"]
        assert len(service.sessions("list", "--app", "shop", "--subject", "ada")) == 1
        # After the logout the old cookie opens no session.
        browser.load("/logout", now="")
        replayed = shop.get(cookie=f"session={old_cookie}")
        assert "Hello" not in replayed[1]
