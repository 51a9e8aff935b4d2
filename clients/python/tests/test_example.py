"""The shop of examples/flask under gunicorn, and the switch to Cloakroom that its logged-in browser does not notice."""

from __future__ import annotations

import difflib
import http.cookiejar
import os
import pathlib
import re
import secrets
import subprocess
import urllib.parse
import urllib.request

import pytest
from service import ROOT, Service, command, free_port, listens, until
from test_processes import Gunicorn

SHOP = ROOT / "examples/flask"


class Browser:
    """Keeps cookies by the rules, follows redirects, and sees the page."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def see(self, path: str = "/", **form: str) -> dict:
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
    """One of the example's three applications, under gunicorn with several workers."""

    def __init__(self, name: str, **environment: str) -> None:
        path = f"{SHOP}{os.pathsep}{pathlib.Path(__file__).parent}"
        super().__init__("--workers", "3", f"{name}:app", SECRET_KEY="secret-key", PYTHONPATH=path, **environment)


@pytest.fixture
def redis(tmp_path):
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([command("redis-server"), *options], stdout=subprocess.DEVNULL)
    until("redis listens", lambda: listens(port))
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait()


def shop_service(folder: pathlib.Path, accept: str = "") -> Service:
    """The service with the example's own configuration, and what it accepts from before."""
    (folder / "keys").write_text(secrets.token_urlsafe(32))
    apps = (SHOP / "cloakroom.toml").read_text().replace('"cloakroom-keys"', f'"{folder}/keys"')
    return Service.start(folder, apps + accept)


def test_a_user_logs_in_shops_and_logs_out(tmp_path):
    with shop_service(tmp_path) as service, Shop("app", CLOAKROOM_ADDRESS=service.address) as shop:
        browser = Browser(shop.port)
        assert browser.see() == {"who": None, "cart": [], "messages": []}
        assert browser.see("/add", item="pear")["messages"] == ["pear is in your cart."]
        assert browser.see("/login", user="ada") == {"who": "ada", "cart": ["pear"], "messages": ["Welcome, ada."]}
        assert browser.see("/add", item="plum")["cart"] == ["pear", "plum"]
        assert browser.see()["messages"] == []
        assert len(service.sessions("list", "--app", "shop", "--subject", "ada")) == 1
        stolen = Browser(shop.port)
        stolen.jar.set_cookie(next(iter(browser.jar)))
        assert stolen.see()["who"] == "ada"
        assert browser.see("/logout", now="")["messages"] == ["You have logged out."]
        assert stolen.see()["who"] is None
        assert service.sessions("list", "--app", "shop", "--subject", "ada") == []


@pytest.mark.parametrize("before", ["before_signed_cookies", "before_flask_session"])
def test_the_change_is_two_lines(before):
    lines = [(SHOP / f"{name}.py").read_text().splitlines() for name in (before, "app")]
    added = [line[2:] for line in difflib.ndiff(*lines) if line.startswith("+ ")]
    code = [line for line in added if line and not line.startswith('"""')]
    assert [line.split("(")[0] for line in code] == [
        "from cloakroom.flask import CloakroomSessionInterface",
        "app.session_interface = CloakroomSessionInterface",
    ]


DOORS = {
    "before_signed_cookies": '[apps.shop.accept.flask_cookie]\nkeys = ["secret-key"]\n',
    "before_flask_session": '[apps.shop.accept.flask_session]\nurl = "{redis}"\n',
}


@pytest.mark.parametrize("before", DOORS)
def test_a_logged_in_browser_does_not_notice_the_switch(tmp_path, redis, before):
    with Shop(before, REDIS_URL=redis) as old:
        browser = Browser(old.port)
        browser.see("/add", item="pear")
        assert browser.see("/login", user="ada")["who"] == "ada"
        old_cookie = browser.cookie()
    accept = '[apps.shop.accept]\nuntil = "2099-01-01"\n' + DOORS[before].replace("{redis}", redis)
    with shop_service(tmp_path, accept) as service, Shop("app", CLOAKROOM_ADDRESS=service.address) as shop:
        browser.port = shop.port
        late = Browser(shop.port)
        late.jar.set_cookie(next(iter(browser.jar)))
        assert browser.see() == {"who": "ada", "cart": ["pear"], "messages": []}
        assert browser.cookie().startswith("v1.")
        # Another request of the same browser was under way with the old cookie: it finds the same session.
        assert late.see("/add", item="plum")["who"] == "ada"
        assert browser.see()["cart"] == ["pear", "plum"]
        assert len(service.sessions("list", "--app", "shop", "--subject", "ada")) == 1
        # After the logout the old cookie opens nothing.
        browser.see("/logout", now="")
        replayed = shop.get(cookie=f"session={old_cookie}")
        assert "Hello" not in replayed[1]
