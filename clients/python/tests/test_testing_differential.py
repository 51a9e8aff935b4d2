"""Makes the same random calls to the service and to `cloakroom.testing`, and compares what they answer.

Tokens and ids are random in both, so they are compared by what they stand for: the third token that one of them made
is the third that the other made. CLOAKROOM_TEST_STEPS and CLOAKROOM_TEST_SEED make another run.
"""

from __future__ import annotations

import email.utils
import os
import random
import re
import time
from datetime import timedelta

import pytest
from service import Service

from cloakroom import ConnectTransport, methods
from cloakroom.admin.methods import GET, LIST, REVOKE, REVOKE_APP, REVOKE_SUBJECT, STATS
from cloakroom.messages import admin_service_pb2 as admin_pb
from cloakroom.messages import session_service_pb2 as pb
from cloakroom.testing import App, MemoryTransport
from cloakroom.transport import CallFailed

STEPS = int(os.environ.get("CLOAKROOM_TEST_STEPS", "1000"))
SEEDS = [int(os.environ["CLOAKROOM_TEST_SEED"])] if "CLOAKROOM_TEST_SEED" in os.environ else range(1, 7)

#: The settings of each app, in the configuration and in the transport in memory.
APPS = {
    "plain": ("", App("plain")),
    "login": (
        'subject_key = "user"\nrefresh_each_request = false\n[apps.login.cookie]\nname = "__Secure-id"\nsecure = true\n'
        'domain = "example.org"\npath = "/shop"\nhttponly = false\nsamesite = "None"\npartitioned = true',
        App(
            "login",
            subject_key="user",
            refresh_each_request=False,
            cookie_name="__Secure-id",
            cookie_secure=True,
            cookie_domain="example.org",
            cookie_path="/shop",
            cookie_httponly=False,
            cookie_samesite="None",
            cookie_partitioned=True,
        ),
    ),
    "anonymous": (
        'idle_timeout = "20h"\nabsolute_timeout = "30h"\n'
        '[apps.anonymous.anonymous]\nidle_timeout = "2h"\nabsolute_timeout = "3h"',
        App(
            "anonymous",
            idle_timeout=timedelta(hours=20),
            absolute_timeout=timedelta(hours=30),
            anonymous_idle_timeout=timedelta(hours=2),
            anonymous_absolute_timeout=timedelta(hours=3),
        ),
    ),
    "evicting": ("max_sessions_per_subject = 2", App("evicting", max_sessions_per_subject=2)),
    "refusing": (
        'max_sessions_per_subject = 2\non_session_limit = "refuse"\nsubject_key = "user"',
        App("refusing", max_sessions_per_subject=2, on_session_limit="refuse", subject_key="user"),
    ),
    "small": (
        'rotation_grace = "0s"\n[apps.small.limits]\nmax_entries = 2\nmax_session_bytes = 1024',
        App("small", rotation_grace=timedelta(0), max_entries=2, max_session_bytes=1024),
    ),
}
#: Seconds by which the two may differ in a time.
TOLERANCE = 5.0
TOKEN = re.compile(r"(?:testing-)?([vt]1[sk]?)\.(?:[\w-]+\.){0,2}(?P<random>[\w-]{43})\.[\w-]{43}")
SUBJECTS = ["ada", "7"]
NAMES = ["a", "b", "c", "user", "_permanent"]
VALUES = [
    "1",
    "-7",
    "true",
    "false",
    "null",
    '"ada"',
    '"bob"',
    "7",
    "9223372036854775807",
    "1.5",
    "[1, {}]",
    '""',
    " 2",
]
BAD_VALUES = ["", "{", "NaN", "01", '"\t"', "[" * 128 + "]" * 128, "'a'", '"' + "x" * 2000 + '"']


class Time(float):
    """A time, or a span, in seconds."""

    def __eq__(self, other):
        return isinstance(other, Time) and abs(self - other) <= TOLERANCE

    __hash__ = None


class Symbols:
    """What the random texts of both sides stand for. Each is known by its number."""

    def __init__(self):
        self.pairs = []
        self._numbers = ({}, {})

    def number(self, texts):
        """Returns the number of a pair of texts, or fails if one of them is known as something else."""
        keys = [self._key(text) for text in texts]
        numbers = [known.get(key) for known, key in zip(self._numbers, keys)]
        assert numbers[0] == numbers[1], (texts, numbers)
        if numbers[0] is None:
            for known, key in zip(self._numbers, keys):
                known[key] = len(self.pairs)
            self.pairs.append(texts)
        number = self._numbers[0][keys[0]]
        # A ticket is signed anew each time.
        self.pairs[number] = texts
        return number

    @staticmethod
    def _key(text):
        found = TOKEN.fullmatch(text)
        return (found[1], found["random"]) if found else text


def _service_of(method):
    return method.path.split("/")[1]


class Pair:
    """The service, and the transport in memory."""

    def __init__(self, service):
        sessions, admin = ConnectTransport(service.address), ConnectTransport(f"127.0.0.1:{service.admin_port}")
        memory = MemoryTransport(*(app for _, app in APPS.values()))
        self.symbols = Symbols()
        self._transports = {"cloakroom.v1.SessionService": (sessions, memory)}
        self._transports["cloakroom.v1.AdminService"] = (admin, memory)

    def call(self, method, make_request):
        """Makes a call to both and compares the responses. `make_request` takes the side: 0 or 1."""
        answers = []
        for side, transport in enumerate(self._transports[_service_of(method)]):
            try:
                answers.append(_call(transport, method, make_request(side)))
            except CallFailed as failed:
                answers.append((failed.code, failed.reason))
        if isinstance(answers[0], tuple) or isinstance(answers[1], tuple):
            assert answers[0] == answers[1]
            return answers[0]
        texts = [list(_texts(answer)) for answer in answers]
        assert len(texts[0]) == len(texts[1]), answers
        for pair in zip(*texts):
            self.symbols.number(pair)
        # The sessions of an app come in no order.
        is_unordered = not getattr(make_request(0), "subject", "")
        results = [self._normalized(answer, side, is_unordered) for side, answer in enumerate(answers)]
        assert results[0] == results[1]
        return results[0]

    def _normalized(self, message, side, is_unordered=False):
        """Returns a message with numbers in place of random texts, and times that may differ a little."""
        result = {}
        for field, value in message.ListFields():
            if field.name == "sessions" and is_unordered:
                value = sorted(value, key=lambda session: self._symbol(session.id, side))
            result[field.name] = self._normalized_value(field, value, side)
        return result

    def _normalized_value(self, field, value, side):
        if field.message_type is None:
            if isinstance(value, str) and field.name in ("id", "token", "next_page_token"):
                return self._symbol(value, side)
            return dict(value) if hasattr(value, "items") else value
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return Time(value.ToMilliseconds() / 1000)
        if field.message_type.full_name == "google.protobuf.Duration":
            return value.ToMilliseconds()
        if field.message_type.GetOptions().map_entry:
            return {name: str(each) for name, each in value.items()}
        if field.message_type.name == "Header":
            return [self._normalized_header(header, side) for header in value]
        if hasattr(value, "ListFields"):
            return self._normalized(value, side)
        return [self._normalized(each, side) for each in value]

    def _normalized_header(self, header, side):
        text = TOKEN.sub(lambda found: str(self._symbol(found[0], side)), header.value)
        dates = [
            Time(email.utils.parsedate_to_datetime(date).timestamp()) for date in re.findall("Expires=([^;]+)", text)
        ]
        return header.name, re.sub("Expires=[^;]+", "Expires", text), dates

    def _symbol(self, text, side):
        return self.symbols._numbers[side][Symbols._key(text)]


def _call(transport, method, request):
    """Makes a call. Returns the response, or the first message of a stream."""
    if method is not methods.WATCH:
        return transport.call(method, request, 10.0)
    stream = transport.stream(method, request, 10.0)
    try:
        return stream.next(10.0)
    finally:
        stream.close()


def _texts(message):
    """Returns the random texts of a response, in an order that is the same for both sides."""
    if isinstance(message, admin_pb.ListSessionsResponse):
        return
    for holder in (message, getattr(message, "session", None)):
        for name in ("id", "token"):
            if getattr(holder, name, ""):
                yield getattr(holder, name)
    for headers in ("headers", "read_headers", "untouched_headers"):
        for header in getattr(message, headers, ()):
            yield from (found[0] for found in TOKEN.finditer(header.value))


class Player:
    """Makes random calls."""

    def __init__(self, pair, seed):
        self.random = random.Random(seed)
        self.pair = pair
        self.app = "plain"
        #: By app: the numbers of tokens, and those of ids.
        self.tokens = {name: [] for name in APPS}
        self.ids = {name: [] for name in APPS}
        self.saves = []
        #: The last credential of each app: much happens to one browser.
        self.last = {}
        self.counts = {}

    def step(self):
        # Two sessions that were used in one millisecond would have no order.
        began = int(time.time() * 1000)
        while int(time.time() * 1000) == began:
            time.sleep(0.0002)
        if self.random.random() < 0.03:
            self.app = self.random.choice(list(APPS))
        app = self.app
        known = len(self.pair.symbols.pairs)
        choices = [self.open, self.save, self.repeat, self.rotate, self.destroy, self.list, self.get, self.revoke]
        choices += [self.watch, self.log_in]
        choose = self.random.choices(choices, [20, 40, 10, 8, 4, 6, 4, 2, 3, 12])[0]
        result = choose(app)
        for number in range(known, len(self.pair.symbols.pairs)):
            is_id = re.fullmatch("[0-9a-f]{32}", self.pair.symbols.pairs[number][0])
            (self.ids if is_id else self.tokens)[app].append(number)
        outcome = result.get("outcome", "") if isinstance(result, dict) else result[1]
        key = choose.__name__, outcome if isinstance(outcome, str) else pb.Outcome.Name(outcome)
        self.counts[key] = self.counts.get(key, 0) + 1

    def open(self, app):
        fields = {"app": app, "cookie_name": self.cookie_name(app), **self.cookie_attributes()}
        if self.random.random() < 0.2:
            fields["context"] = self.context()
        if self.random.random() < 0.2:
            fields["max_authenticate_age"] = timedelta(seconds=self.random.choice([-1, 0, 600]))
        fields["no_touch"] = self.random.random() < 0.2
        if self.random.random() < 0.3:
            fields["request_age"] = timedelta(seconds=self.random.choice([-1, 0, 3600]))
        return self.call(methods.OPEN, pb.OpenSessionRequest, fields, self.credential(app, may_lack=True))

    def save(self, app):
        fields = {
            "app": app,
            "accessed": self.random.random() < 0.5,
            "etag": self.rarely(["0", "1", "2", "3", "x", "01", str(2**53)], 0.15),
            "request_id": self.request_id(),
            "rotate": self.random.random() < 0.1,
            "keep_empty": self.random.random() < 0.1,
            "cookie_outdated": self.random.random() < 0.1,
            "cookie_name": self.cookie_name(app),
            **self.cookie_attributes(),
        }
        if self.random.random() < 0.9:
            fields["changes"] = self.changes()
        if self.random.random() < 0.2:
            fields["context"] = self.context()
        if self.random.random() < 0.3:
            fields["request_age"] = timedelta(seconds=self.random.choice([-1, 0, 3600]))
        save = methods.SAVE, pb.SaveSessionRequest, fields, self.credential(app)
        self.saves.append((app, save))
        return self.call(*save)

    def log_in(self, app):
        """Makes a save that nothing refuses but the limit of sessions."""
        changes = pb.Changes(subject=self.random.choice(SUBJECTS))
        changes.set["a"].json = "1"
        credential = self.credential(app) if self.random.random() < 0.7 else {"cookie_header": [""]}
        fields = {"app": app, "request_id": self.request_id(), "changes": changes}
        return self.call(methods.SAVE, pb.SaveSessionRequest, fields, credential)

    def repeat(self, app):
        """Makes a save again, as it was or with other content."""
        same = [save for owner, save in self.saves[-200:] if owner == app][-4:]
        if not same:
            return self.save(app)
        method, request, fields, credential = same[-1] if self.random.random() < 0.5 else self.random.choice(same)
        if self.random.random() < 0.2:
            other = {"changes": self.changes()} if method is methods.SAVE else {"cause": 1}
            fields = {**fields, **other}
        return self.call(method, request, fields, credential)

    def rotate(self, app):
        fields = {
            "app": app,
            "request_id": self.request_id(),
            "cause": self.random.choice([0, 1, 2, 2, 2]),
            "cookie_name": self.cookie_name(app),
            **self.cookie_attributes(),
        }
        rotation = methods.ROTATE, pb.RotateSessionRequest, fields, self.credential(app)
        self.saves.append((app, rotation))
        return self.call(*rotation)

    def destroy(self, app):
        fields = {"app": app, "request_id": self.request_id(), "cookie_name": self.cookie_name(app)}
        fields.update(self.cookie_attributes())
        return self.call(methods.DESTROY, pb.DestroySessionRequest, fields, self.credential(app))

    def watch(self, app):
        fields = {"app": app, "cookie_name": self.cookie_name(app)}
        return self.call(methods.WATCH, pb.WatchSessionRequest, fields, self.credential(app, may_lack=True))

    def list(self, app):
        fields = {
            "app": app,
            "page_size": self.random.choice([0, 1000, -1]),
            "with_entries": self.random.random() < 0.5,
        }
        if self.random.random() < 0.7:
            fields.update(subject=self.random.choice([*SUBJECTS, "x" * 257]), page_size=0)
        elif self.random.random() < 0.1:
            fields["page_token"] = "x"
        else:
            fields["page_size"] = 1000
        return self.call(LIST, admin_pb.ListSessionsRequest, fields)

    def get(self, app):
        if self.random.random() < 0.3:
            return self.compare_stats(app)
        fields = {"app": app, "with_entries": self.random.random() < 0.5}
        return self.call(GET, admin_pb.GetSessionRequest, fields, {"id": self.session_id(app)})

    def revoke(self, app):
        if self.random.random() < 0.6:
            return self.call(REVOKE, admin_pb.RevokeSessionRequest, {"app": app}, {"id": self.session_id(app)})
        if self.random.random() < 0.1:
            return self.call(REVOKE_APP, admin_pb.RevokeAppRequest, {"app": app})
        fields = {"app": app, "subject": self.random.choice([*SUBJECTS, ""])}
        except_id = {"except_id": self.session_id(app)} if self.random.random() < 0.5 else {}
        return self.call(REVOKE_SUBJECT, admin_pb.RevokeSubjectRequest, fields, except_id)

    def compare_stats(self, app):
        answers = [
            transport.call(STATS, admin_pb.GetStatsRequest(app=app), 10.0)
            for transport in self.pair._transports[_service_of(STATS)]
        ]
        # The service counts live sessions now and then.
        counts = [(answer.opened, answer.created, dict(answer.ended)) for answer in answers]
        assert counts[0] == counts[1]
        return {}

    def call(self, method, request, fields, texts=None):
        """Makes a call with fields that are the same for both, and texts with numbers in them that are not."""

        def make_request(side):
            named = {}
            for name, parts in (texts or {}).items():
                known = self.pair.symbols.pairs
                named[name] = "".join(known[part][side] if isinstance(part, int) else part for part in parts)
            return request(**fields, **named)

        return self.pair.call(method, make_request)

    def credential(self, app, *, may_lack=False):
        """Returns a credential: texts and numbers of tokens."""
        if app not in self.last or self.random.random() < 0.7:
            self.last[app] = self.new_credential(app, may_lack)
        credential = self.last[app]
        return credential if credential or may_lack else {"cookie_header": [""]}

    def new_credential(self, app, may_lack):
        tokens = self.tokens[app] if self.random.random() < 0.97 else self.tokens[self.random.choice(list(APPS))]
        recent = self.random.choices(tokens[-8:], k=3) if tokens else []
        kind = self.random.random()
        if may_lack and kind < 0.05:
            return {}
        if kind < 0.4 and recent:
            return {"token": [recent[0]]}
        if kind < 0.43:
            return {"token": [self.random.choice(["", "x", "v1.a.b.c", "t1.a.b"])]}
        if kind < 0.55:
            return {"cookie_header": [self.random.choice(["", "other=1", "session=x; __Secure-id=y"])]}
        header = []
        for token in recent[: self.random.choice([1, 1, 1, 2, 3])]:
            name = APPS[app][1].cookie_name if self.random.random() < 0.95 else "id"
            header += [
                self.random.choice(["", " ", "a=b;", ";;"]),
                name,
                "=",
                token,
                self.random.choice([";", " ;", ""]),
            ]
            header += [";"]
        return {"cookie_header": header}

    def changes(self):
        changes = pb.Changes(clear=self.random.random() < 0.05)
        names = self.random.sample(NAMES, self.random.choice([0, 1, 1, 1, 2, 3]))
        for name in names:
            name = self.rarely(["", "x" * 257, "_permanent"], 0.02) or name
            kind = self.random.random()
            if kind < 0.55:
                changes.set[name].json = self.rarely(BAD_VALUES, 0.05) or self.random.choice(VALUES)
            elif kind < 0.6:
                changes.set[name].raw = self.random.choice([b"", b"\0\xff", b"1"])
            elif kind < 0.62:
                changes.set[name].SetInParent()
            elif kind < 0.8:
                changes.increment[name] = self.random.choice([1, -3, 0, 2**63 - 1])
            else:
                changes.unset.append(name)
        if self.random.random() < 0.02:
            changes.unset.append(self.random.choice(NAMES))
        if self.random.random() < 0.1:
            changes.permanent = self.random.random() < 0.5
        if self.random.random() < 0.3:
            changes.subject = self.random.choice([*SUBJECTS, *SUBJECTS, *SUBJECTS, "", "x" * 257])
        if self.random.random() < 0.1:
            changes.authenticated = True
        lifetime = self.random.random()
        if lifetime < 0.1:
            changes.idle_timeout.FromTimedelta(timedelta(seconds=self.random.choice([0.5, 3600, 9000, 10**8])))
        elif lifetime < 0.2:
            changes.deadline_time.FromSeconds(int(time.time()) + self.random.choice([-5, 3600, 40000, 10**8]))
        elif lifetime < 0.25:
            changes.default_lifetime = True
        return changes

    def request_id(self):
        if self.random.random() < 0.4:
            return ""
        return self.rarely(["once", "twice", "é" * 33], 0.2) or str(self.random.random())

    def context(self):
        text = self.random.choice(["", "Firefox", "é" * 200])
        return pb.RequestContext(user_agent=text, remote_address=text)

    def cookie_name(self, app):
        return self.rarely(["id", "a b", "__Host-id", "x" * 257], 0.03)

    def cookie_attributes(self):
        """Chooses attributes of the cookie, good and bad, in some requests."""
        if self.random.random() < 0.85:
            return {}
        choices = {
            "domain": ["", "tenant.example", "a.b-c.example", "-a", "a..b", "a:1", "x" * 64],
            "path": ["/", "/a;b", "a", "", "/shop/", "/" + "x" * 1024],
            "secure": [True, True, True, False],
            "samesite": ["", "Lax", "Strict", "None"],
        }
        chosen = self.random.sample(list(choices), self.random.choice([0, 1, 1, 2, 3]))
        attributes = {name: self.random.choice(choices[name]) for name in chosen}
        return {"cookie_attributes": pb.CookieAttributes(**attributes)}

    def session_id(self, app):
        ids = self.ids[app]
        return (
            [self.random.choice(ids[-8:])]
            if ids and self.random.random() < 0.9
            else [self.random.choice(["x", "0" * 32])]
        )

    def rarely(self, values, chance):
        return self.random.choice(values) if self.random.random() < chance else ""


@pytest.fixture
def own_service(tmp_path):
    tables = "\n".join(f'[apps.{name}]\nkeys = ["{{key}}"]\n{settings}' for name, (settings, _) in APPS.items())
    with Service.start(tmp_path, tables) as service:
        yield service


@pytest.mark.parametrize("seed", SEEDS)
def test_random_calls_have_the_same_results_as_at_the_service(own_service, seed):
    player = Player(Pair(own_service), seed)
    for step in range(STEPS):
        try:
            player.step()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, step {step}: {error}") from error
    assert len({outcome for _, outcome in player.counts}) > 20, player.counts
