"""Tests the parts of the kit: what reads protocols, and what starts services."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from kit import browser, hpack  # noqa: E402
from kit.application import ROOT, Manifest  # noqa: E402
from kit.messages import Contract, varint, write  # noqa: E402
from kit.service import Services  # noqa: E402


class HpackTest(unittest.TestCase):
    def test_the_requests_of_rfc_7541_c_4_are_read(self):
        decoder = hpack.Decoder()
        blocks = [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ]
        first, second, third = (decoder.decode(bytes.fromhex(block)) for block in blocks)
        self.assertEqual(first[":authority"], "www.example.com")
        self.assertEqual((second[":authority"], second["cache-control"]), ("www.example.com", "no-cache"))
        self.assertEqual((third[":path"], third["custom-key"]), ("/index.html", "custom-value"))

    def test_entries_beyond_the_size_of_the_table_are_forgotten(self):
        decoder = hpack.Decoder()
        # A table of 64 bytes, and two entries of 33 and more.
        decoder.decode(bytes.fromhex("3f21") + b"\x40\x01a\x01b" + b"\x40\x01c\x01d")
        self.assertEqual(decoder.decode(b"\xbe"), {"c": "d"})
        with self.assertRaises(IndexError):
            decoder.decode(b"\xbf")

    def test_what_is_written_is_read(self):
        headers = {":status": "200", "long": "x" * 300}
        self.assertEqual(hpack.Decoder().decode(hpack.encode(list(headers.items()))), headers)


class ManifestTest(unittest.TestCase):
    def test_a_manifest_has_what_it_does_not_say_from_the_one_that_it_extends(self):
        with tempfile.TemporaryDirectory() as folder:
            base, own = pathlib.Path(folder, "base.json"), pathlib.Path(folder, "own.json")
            base.write_text('{"command": ["a"], "app": "shop", "lacks": {"stream": "it sends each page whole"}}')
            own.write_text('{"extends": "base", "command": ["b"]}')

            manifest = Manifest.read(own)

        self.assertEqual((manifest.name, manifest.command, manifest.app), ("own", ["b"], "shop"))
        self.assertEqual(list(manifest.lacks), ["stream"])


class MessagesTest(unittest.TestCase):
    def setUp(self):
        self.contract = Contract(ROOT / "proto/cloakroom/v1/session_service.proto")

    def test_protobuf_and_json_are_the_same(self):
        increment = write([(1, b"n")]) + b"\x10" + varint(2**64 - 2)
        entry = write([(1, b"a"), (2, write([(1, b"[1]")]))])
        changes = write([(2, b"b"), (3, entry), (4, increment)])
        body = write([(2, b"v1.x"), (4, changes)]) + b"\x28\x01" + write([(7, b"id")])
        text = (
            '{"token": "v1.x", "accessed": true, "requestId": "id",'
            ' "changes": {"unset": ["b"], "set": {"a": {"json": "[1]"}}, "increment": {"n": "-2"}}}'
        )
        read = self.contract.read("SaveSessionRequest", body)
        self.assertEqual(read, self.contract.read_json("SaveSessionRequest", text))
        self.assertEqual(read["changes"]["increment"], {"n": -2})

    def test_an_enum_is_its_name(self):
        self.assertEqual(self.contract.read("SaveSessionResponse", b"\x08\x05"), {"outcome": "OUTCOME_GONE"})


class CookieTest(unittest.TestCase):
    def test_a_cookie_with_an_age_of_0_or_that_has_expired_is_deleted(self):
        self.assertTrue(browser.is_deletion("session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/"))
        self.assertTrue(browser.is_deletion("session=x; Max-Age=0"))
        self.assertFalse(browser.is_deletion("session=x; Max-Age=10; Path=/"))

    def test_the_value_ends_at_the_first_attribute(self):
        self.assertEqual(browser.cookie_value("session=v1.a=b; Path=/"), "v1.a=b")
        self.assertEqual(browser.cookie_name("session=v1.a=b; Path=/"), "session")


class ServicesTest(unittest.TestCase):
    def test_what_has_started_ends_if_something_does_not_start(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, CLOAKROOM_BIN="/bin/false"):
            with self.assertRaises(subprocess.CalledProcessError):
                Services("replicas", pathlib.Path(folder))
            folders = [working_folder(each) for each in pathlib.Path("/proc").iterdir() if each.name.isdigit()]
            self.assertFalse([each for each in folders if each.startswith(folder)])


def working_folder(process: pathlib.Path) -> str:
    """Returns the working folder of a process, or nothing if it has ended."""
    with contextlib.suppress(OSError):
        return os.readlink(process / "cwd")
    return ""


if __name__ == "__main__":
    unittest.main()
