"""What a session takes from the service's answer, and when."""

from __future__ import annotations

import json

import pytest
from flask.json.tag import TaggedJSONSerializer

from cloakroom.codec import JsonCodec
from cloakroom.entries import MISSING, PERMANENT, Entries
from cloakroom.messages import session_service_pb2 as pb
from cloakroom.tagged import TaggedCodec


class CountingCodec(JsonCodec):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def loads(self, text):
        self.texts.append(text)
        return super().loads(text)


def stored(**values) -> pb.Session:
    session = pb.Session()
    for name, value in values.items():
        session.entries[name].json = json.dumps(value)
    return session


@pytest.fixture
def codec():
    return CountingCodec()


def test_only_values_that_are_read_are_decoded(codec):
    entries = Entries(codec)
    entries.load(stored(a=1, b=[2]))

    assert entries.lookup("b") == [2]
    assert entries.lookup("b") is entries.lookup("b")
    assert list(entries.keys()) == ["a", "b"]

    assert codec.texts == ["[2]"]


@pytest.mark.parametrize("key", ["\ud800", 5, None, ("a",), "absent", PERMANENT])
def test_a_key_that_no_entry_has_is_missing(codec, key):
    entries = Entries(codec)
    entries.load(stored(a=1), has_permanent=True)

    assert entries.lookup(key) is MISSING


@pytest.mark.parametrize("permanent", [True, False])
def test_permanent_is_an_entry_where_the_framework_keeps_it_as_one(codec, permanent):
    session = stored(a=1)
    session.permanent = permanent
    as_entry, apart = Entries(codec), Entries(codec)

    as_entry.load(session, has_permanent=True)
    apart.load(session)

    assert as_entry.lookup(PERMANENT) is permanent
    assert list(as_entry.keys()) == [PERMANENT, "a"]
    assert apart.lookup(PERMANENT) is MISSING
    assert list(apart.keys()) == ["a"]


def test_what_was_saved_counts_as_stored(codec):
    entries = Entries(codec)
    entries.load(stored(a=1, b=[2], c=3))
    entries.set("a", 4)
    entries.lookup("b").append(5)
    entries.remove("c")
    entries.increment("d", 6)

    changes = pb.Changes()
    entries.write_changes(changes)
    entries.mark_saved()

    assert {name: value.json for name, value in changes.set.items()} == {"a": "4", "b": "[2,5]"}
    assert (list(changes.unset), dict(changes.increment)) == (["c"], {"d": 6})
    assert not entries.has_changes()
    assert {key: entries.lookup(key) for key in entries.keys()} == {"a": 4, "b": [2, 5], "d": 6}  # noqa: SIM118
    entries.lookup("b").append(7)
    assert entries.has_changes()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a\\u00e9"', "aé"),
        ("-1.5e2", -150.0),
        ("12", 12),
        ("true", True),
        ("null", None),
        ("NaN", pytest.approx(float("nan"), nan_ok=True)),
        (' {" t":[1,2]}', (1, 2)),
        ('\n{"a":{" t":[1]}}', {"a": (1,)}),
    ],
)
def test_values_are_decoded_as_flask_does(text, value):
    assert TaggedCodec(TaggedJSONSerializer()).loads(text) == value


def test_changes_after_the_ones_that_are_taken_back_take_precedence(codec):
    entries = Entries(codec)
    entries.load(stored(cart=[1], old=1, visits=1, hits=1))
    entries.lookup("cart").append(2)
    entries.remove("old")
    for key in ["own", 7, "removed", "counted"]:
        entries.set(key, 1)
    entries.increment("visits", 2)
    entries.increment("hits", 2)
    refused = pb.Changes()
    entries.write_changes(refused)
    entries.mark_saved()
    entries.set("own", 2)
    entries.remove("removed")
    entries.increment("counted", 5)
    entries.increment("visits", 4)
    entries.set("hits", 0)

    entries.take_back(refused)

    changes = pb.Changes()
    entries.write_changes(changes)
    texts = {name: value.json for name, value in changes.set.items()}
    assert texts == {"cart": "[1,2]", "own": "2", "7": "1", "counted": "6", "hits": "0"}
    assert (sorted(changes.unset), dict(changes.increment)) == (["old", "removed"], {"visits": 6})
    assert [entries.lookup(key) for key in ["visits", "counted", "old"]] == [7, 6, MISSING]
