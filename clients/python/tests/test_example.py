"""The shop of examples/flask under gunicorn, and its migration to Cloakroom, which logs no user out."""

from __future__ import annotations

import difflib
import http.cookiejar
import itertools
import os
import pathlib
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request

import pytest
from gunicorn_server import Gunicorn
from service import ROOT, Service, free_port

from cloakroom.admin import AdminClient

SHOP = ROOT / "examples/flask"


class Browser:
    """A client with a cookie jar that follows redirects and parses the page."""

    def __init__(self, port: int, user_agent: str = "") -> None:
        self.port = port
        self.jar = http.cookiejar.CookieJar()
        #: Of the last page.
        self.messages: list[str] = []
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        if user_agent:
            self._opener.addheaders = [("User-Agent", user_agent)]

    def read(self, path: str, **form: str) -> str:
        """Gets a page, or sends a form if there are fields. Returns the page that it leads to."""
        data = urllib.parse.urlencode(form).encode() if form else None
        url = f"http://127.0.0.1:{self.port}{path}"
        page = self._opener.open(urllib.request.Request(url, data), timeout=20).read().decode()
        self.messages = re.findall('class="message">(.*?)</p>', page)
        return page

    def load(self, path: str = "/", **form: str) -> dict:
        page = self.read(path, **form)
        who = re.search('id="who">Hello, (.*?)</p>', page)
        return {"who": who and who[1], "cart": re.findall("<li>(.*?)</li>", page), "messages": self.messages}

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


@pytest.fixture(scope="module")
def devices_deployment(tmp_path_factory):
    with shop_service(tmp_path_factory.mktemp("devices")) as service:
        admin_address = f"127.0.0.1:{service.admin_port}"
        environment = {"CLOAKROOM_ADDRESS": service.address, "CLOAKROOM_ADMIN_ADDRESS": admin_address}
        with Shop("app_with_devices", **environment) as shop:
            yield shop, AdminClient(admin_address, app="shop")


@pytest.fixture
def devices_shop(devices_deployment):
    """The shop with the page of devices. Nobody is logged in."""
    shop, admin = devices_deployment
    admin.revoke_app()
    return shop


def log_in(shop: Shop, user: str, user_agent: str) -> Browser:
    browser = Browser(shop.port, user_agent)
    browser.load("/login", user=user)
    return browser


def devices_of(browser: Browser) -> dict[str, str]:
    """Returns the text of each device on the page, by its id."""
    items = re.findall('<li id="(.*?)">(.*?)<form', browser.read("/devices"), re.DOTALL)
    return {session_id: " ".join(text.split()) for session_id, text in items}


def end(browser: Browser, path: str, **form: str) -> int:
    """Sends a form of the devices page, with its CSRF token unless one is given. Returns the status."""
    found = re.search('name="csrf_token" value="(.*?)"', browser.read("/devices"))
    form.setdefault("csrf_token", found[1] if found else "")
    try:
        browser.read(path, **form)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def test_users_see_their_own_devices(devices_shop):
    phone, laptop = log_in(devices_shop, "ada", "Phone/1"), log_in(devices_shop, "ada", "<b>Laptop</b>")
    log_in(devices_shop, "bob", "Tablet/1")
    texts = list(devices_of(laptop).values())
    assert len(texts) == 2
    assert texts[0].startswith("&lt;b&gt;Laptop&lt;/b&gt;, 127.0.0.1, last used 20")
    assert texts[0].endswith(" UTC, this one")
    assert texts[1].startswith("Phone/1, ")
    assert [text.endswith("this one") for text in devices_of(phone).values()].count(True) == 1


def test_a_visitor_sees_no_devices_and_ends_none(devices_shop):
    ada, visitor = log_in(devices_shop, "ada", "Phone/1"), Browser(devices_shop.port)
    [session_id] = devices_of(ada)
    assert devices_of(visitor) == {}
    for path in ("/devices/end", "/devices/end-others"):
        end(visitor, path, id=session_id)
    assert ada.load()["who"] == "ada"


def test_a_user_ends_one_device(devices_shop):
    phone, laptop = log_in(devices_shop, "ada", "Phone/1"), log_in(devices_shop, "ada", "Laptop/1")
    [phone_id] = [session_id for session_id, text in devices_of(laptop).items() if "Phone" in text]
    assert end(laptop, "/devices/end", id=phone_id) == 200
    assert (phone.load()["who"], laptop.load()["who"]) == (None, "ada")
    [laptop_id] = devices_of(laptop)
    assert end(laptop, "/devices/end", id=laptop_id) == 200
    assert laptop.load()["who"] is None


def test_a_user_ends_all_other_devices(devices_shop):
    others = [log_in(devices_shop, "ada", f"Phone/{number}") for number in range(3)]
    bob, laptop = log_in(devices_shop, "bob", "Tablet/1"), log_in(devices_shop, "ada", "Laptop/1")
    assert end(laptop, "/devices/end-others") == 200
    assert "Logged out on 3 other devices." in laptop.messages
    assert [browser.load()["who"] for browser in (*others, laptop, bob)] == [None, None, None, "ada", "bob"]


def test_a_user_cannot_end_the_device_of_another_user(devices_shop):
    ada, bob = log_in(devices_shop, "ada", "Phone/1"), log_in(devices_shop, "bob", "Tablet/1")
    [session_id] = devices_of(ada)
    for other in (session_id, "0" * 32, "x"):
        assert end(bob, "/devices/end", id=other) == 404
    assert (ada.load()["who"], bob.load()["who"]) == ("ada", "bob")


def test_an_outage_of_the_admin_service_is_a_503(tmp_path):
    admin_address = f"127.0.0.1:{free_port()}"
    with shop_service(tmp_path) as service:
        environment = {"CLOAKROOM_ADDRESS": service.address, "CLOAKROOM_ADMIN_ADDRESS": admin_address}
        with Shop("app_with_devices", **environment) as shop:
            ada = log_in(shop, "ada", "Phone/1")
            with pytest.raises(urllib.error.HTTPError) as failed:
                ada.read("/devices")
            assert (failed.value.code, failed.value.headers["Retry-After"]) == (503, "5")
            assert ada.load()["who"] == "ada"


def test_a_form_of_another_site_ends_no_device(devices_shop):
    phone, laptop = log_in(devices_shop, "ada", "Phone/1"), log_in(devices_shop, "ada", "Laptop/1")
    for path, csrf_token in itertools.product(["/devices/end", "/devices/end-others"], ["", "x", "é"]):
        for session_id in devices_of(laptop):
            assert end(laptop, path, id=session_id, csrf_token=csrf_token) == 403
    assert (phone.load()["who"], laptop.load()["who"]) == ("ada", "ada")


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
