"""Real Flask's side of the differential test: makes cookies, says what Flask makes of them, and compares.

Writes one line of cases, reads one line of answers, until all are done; the last line says how many there were of which
class. What differs ends it with an account of the first case. Run by tests/it/flask_differential.rs.
"""

import base64
import collections
import datetime
import hashlib
import json
import math
import random
import re
import struct
import sys
import uuid
import zlib

import flask
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SecureCookieSession
from itsdangerous import BadSignature, TimestampSigner, URLSafeTimedSerializer
from markupsafe import Markup

SEED, COUNT = int(sys.argv[1]), int(sys.argv[2])
BATCH = 500
TAGS = [" di", " t", " b", " m", " u", " d"]
DIGESTS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512}
MAX_AGE = 2678400

dice = random.Random(SEED)
serializer = TaggedJSONSerializer()
clock = [0]
flask.Flask(__name__).app_context().push()


class Signer(TimestampSigner):
    def get_timestamp(self):
        return clock[0]


class Keys:
    """What one application signs with; Flask's list of keys runs from the oldest to the newest."""

    def __init__(self, keys, salt, digest):
        self.keys, self.salt, self.digest = keys, salt, digest
        options = {"key_derivation": "hmac", "digest_method": DIGESTS[digest]}
        self.all = URLSafeTimedSerializer(keys, salt=salt, serializer=serializer, signer=Signer, signer_kwargs=options)
        self.one = [Signer(key, salt=salt, **options) for key in keys]

    def wire(self):
        return [base64.b64encode(key if isinstance(key, bytes) else key.encode()).decode() for key in reversed(self.keys)]

    def sign(self, payload, at, key=-1):
        clock[0] = at
        return self.one[key].sign(payload).decode("latin-1")


KEYS = [
    Keys(["secret-key"], "cookie-session", "sha1"),
    Keys(["old", b"\xff\x00bytes", "n\u00e9w \u2603"], "cookie-session", "sha1"),
    Keys(["k" * 200, "x"], "other salt \u00e9", "sha1"),
    Keys(["old", "secret-key"], "cookie-session", "sha256"),
    Keys(["secret-key"], "s", "sha512"),
]


# What is put into a session.


def text():
    kind = dice.randrange(9)
    if kind == 0:
        return "".join(chr(dice.randrange(0x20)) for _ in range(dice.randrange(4)))
    if kind == 1:
        return "".join(chr(dice.choice([0x7F, 0x80, 0xE9, 0x2028, 0xFFFF, 0x10000, 0x1F600, 0x10FFFF])) for _ in range(3))
    if kind == 2:
        return dice.choice(["a", ""]) + chr(dice.randrange(0xD800, 0xE000)) + dice.choice(["", "b", "\U0001f600"])
    if kind == 3:
        return dice.choice(["<b>&'\"\\/", "true", "null", "\b\f\n\r\t", "=", "a.b.c", *TAGS])
    if kind == 4:
        return dice.choice("ab") * dice.choice([1, 5, 11, 12, 13, 14, 60, 400])
    return "".join(dice.choice("abcdefgh ") for _ in range(dice.randrange(12)))


def key():
    kind = dice.randrange(12)
    if kind == 0:
        return dice.choice(TAGS)
    if kind == 1:
        return dice.choice(TAGS) + dice.choice(["_", "__", "___", " "])
    if kind == 2:
        return dice.choice(["\uffff", "\U00010000", "\u00e9", "Z", "_", ""])
    if kind == 3:
        return text()
    return dice.choice(["user_id", "_fresh", "csrf_token", "cart", "a", "b", "c", "_flashes", "lang"])


def number():
    kind = dice.randrange(10)
    if kind < 3:
        return dice.randrange(-1000, 1000)
    if kind == 3:
        return dice.choice([-1, 1]) * dice.getrandbits(dice.choice([31, 53, 63, 64, 70, 200, 2000]))
    if kind == 4:
        return struct.unpack("<d", dice.getrandbits(64).to_bytes(8, "little"))[0]
    if kind == 5:
        return dice.choice([0.0, -0.0, 1e16, 1e15, 9007199254740993.0, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308, 2.0**-44])
    if kind == 6:
        return dice.choice([math.nan, math.inf, -math.inf])
    if kind == 7:
        return dice.choice([-1, 1]) * 2.0 ** dice.randrange(-1074, 1024)
    return round(dice.uniform(-1e6, 1e6), dice.randrange(6))


def value(depth=0):
    kind = dice.randrange(16 if depth < 4 else 10)
    if kind < 3:
        return text()
    if kind < 5:
        return number()
    if kind == 5:
        return dice.choice([None, True, False])
    if kind == 6:
        return dice.randbytes(dice.randrange(8))
    if kind == 7:
        return Markup(text())
    if kind == 8:
        return uuid.UUID(int=dice.getrandbits(128))
    if kind == 9:
        zone = dice.choice([None, datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=5, minutes=30))])
        return datetime.datetime(dice.randrange(2, 9999), dice.randrange(1, 13), 5, 1, 2, 3, 4, tzinfo=zone)
    items = dice.choice([0, 1, 1, 2, 3])
    if kind < 12:
        return [value(depth + 1) for _ in range(items)]
    if kind < 14:
        return tuple(value(depth + 1) for _ in range(items))
    return {key(): value(depth + 1) for _ in range(items)}


def session():
    held = {key(): value() for _ in range(dice.choice([0, 1, 1, 2, 3, 5]))}
    if dice.randrange(3) == 0:
        held["_permanent"] = dice.choice([True, True, False, 1, "", None])
    return held


# What nobody would sign but by mistake or on purpose.


def messy(depth=0):
    kind = dice.randrange(12 if depth < 5 else 5)
    if kind == 0:
        return dice.choice([None, True, False, 0, 1, 2.5, 0.0, "", [], {}])
    if kind == 1:
        return text()
    if kind == 2:
        return dice.choice(["ab", "YQ==", "YQ", "=YQ==x", "Y Q = =", "YWJj", "\u00e9", "YQ=a"])
    if kind == 3:
        digits = uuid.UUID(int=dice.getrandbits(128)).hex
        spelt = [digits, digits.upper(), str(uuid.UUID(digits)), "{" + digits + "}", "urn:uuid:" + digits, digits[1:], digits + "0"]
        return dice.choice([*spelt, "0x" + digits[2:], "+" + digits[1:], digits[:5] + "_" + digits[6:]])
    if kind == 4:
        date = "Tue, 14 Nov 2023 20:13:20 GMT"
        others = ["garbage", "  ", "14 Nov 2023", date[:-3] + "+0530", "Tue, 31 Feb 2023 20:13:20 GMT", "Nov 14 2023 20:13"]
        return dice.choice([date, *others, "Tue, 14 Nov 99999999999999 20:13:20 GMT"])
    if kind < 8:
        return {dice.choice(TAGS): messy(depth + 1)}
    if kind == 8:
        return {dice.choice(["a__", " t__", "x", ""]): messy(depth + 1) for _ in range(dice.choice([1, 1, 2]))}
    if kind == 9:
        return [[messy(depth + 2), messy(depth + 2)] for _ in range(dice.randrange(3))]
    return [messy(depth + 1) for _ in range(dice.randrange(4))]


def spelt(tagged):
    """The same JSON in another spelling, and often enough none at all."""
    separators = dice.choice([(",", ":"), (", ", ": "), (" ,\n", " :\t")])
    out = json.dumps(tagged, ensure_ascii=dice.randrange(2) == 0, separators=separators, sort_keys=dice.randrange(2) == 0)
    if dice.randrange(3) == 0:
        out = re.sub(r"(?<=[\[,:])(\d+)\.0(?=[\],}])", r"\1.0e0", out).replace("e+", "E+")
    while dice.randrange(3) == 0 and out:
        at = dice.randrange(len(out))
        junk = dice.choice(["", "", " ", "\n", '"', "\\", "\\u00E9", "\\ud83d", "\\ude00", "{", "]", ",", "0", "-", "1.", "e5", "NaN", "\x01", "\ufeff", "\u00a0"])
        out = out[:at] + junk + out[at + dice.choice([0, 1]) :]
    return out


def odd_json():
    kind = dice.randrange(12)
    if kind == 0:
        return "[" * dice.choice([100, 127, 128, 129, 300]) + dice.choice(["]" * 128, ""])
    if kind == 1:
        depth = dice.choice([100, 126, 127, 128, 129, 200])
        return '{"a":' + "[" * depth + "]" * depth + "}"
    if kind == 2:
        return '{"a":' + dice.choice(["", "-"]) + "9" * dice.choice([4299, 4300, 4301, 5000]) + dice.choice(["}", "}", ".0}"])
    if kind == 3:
        return '{"a":1,"b":2,"a":' + json.dumps(messy()) + "}"
    if kind == 4:
        return dice.choice(["", " ", "null", "nul", "[]", '""', "1", "true", '"ab"', "[[]]", '["ab"]', '[["a",1],["b",2],["a",3]]', '[[1,2]]'])
    if kind < 9:
        return spelt(messy())
    return spelt(serializer.tag({"k": value(), "m": messy()}) if dice.randrange(2) else serializer.tag(session()))


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def odd_payload():
    data = odd_json().encode("utf-8", "surrogatepass")
    kind = dice.randrange(8)
    if kind == 0:
        compressed = zlib.compress(data, dice.randrange(10))
        if dice.randrange(2) == 0:
            at = dice.randrange(len(compressed))
            compressed = dice.choice([compressed[:at], compressed + b"junk", compressed[:at] + dice.randbytes(1) + compressed[at + 1 :]])
        return b"." + encoded(compressed)
    if kind == 1:
        plain = encoded(data)
        junk = dice.choice([b"=", b"==", b"!", b"!!!!", b"+", b"/", b"A", b"."])
        return plain + junk if dice.randrange(2) else junk + plain
    return encoded(data)


def tampered(cookie):
    parts = cookie.rsplit(".", 2)
    kind = dice.randrange(10)
    at = dice.randrange(len(cookie))
    if kind == 0:
        return cookie[:at] + dice.choice("AZaz09-_.=+/ !\u00e9") + cookie[at + 1 :]
    if kind == 1:
        return cookie[:at] + cookie[at + 1 :]
    if kind == 2:
        return cookie + dice.choice(["=", "==", "A", ".", "\n", "!!!!", "!"])
    if kind == 3:
        last = dice.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        return cookie[:-1] + last
    if kind == 4:
        return ".".join([parts[0], parts[1], parts[2].replace("-", "+").replace("_", "/")])
    if kind == 5:
        return ".".join([parts[0], encoded(max(0, clock[0] + dice.randrange(-3, 3)).to_bytes(8, "big").lstrip(b"\0")).decode(), parts[2]])
    if kind == 6:
        return ".".join([parts[0], parts[1]])
    if kind == 7:
        return dice.choice(["", ".", "..", "...", "a", "a.b", "a.b.c", parts[2], "." + cookie, cookie + cookie])
    if kind == 8:
        return ".".join([parts[0], parts[1], "!" + parts[2] + "???"])
    return cookie[: dice.randrange(len(cookie))]


# Cases, and what Flask makes of them.


def case():
    keys = dice.choice(KEYS)
    now = dice.choice([1700000000, 1700000000, 4294967295, 4294967296, 5, 86400 * dice.randrange(1, 30000)])
    kind = dice.randrange(10)
    signed_at, signing = now, keys
    if dice.randrange(4) == 0:
        signed_at = max(0, now - dice.choice([1, MAX_AGE - 1, MAX_AGE, MAX_AGE + 1, -1, -60, 2 * MAX_AGE]))
    if dice.randrange(12) == 0:
        signing = dice.choice(KEYS)
    if kind < 6:
        payload = signing.all.dump_payload(session())
    else:
        payload = odd_payload()
    cookie = signing.sign(payload, signed_at, dice.randrange(len(signing.keys)))
    if dice.randrange(40) == 0:
        stamp = dice.choice([b"", b"AA", encoded(b"\0\0" + int(signed_at).to_bytes(6, "big")), encoded(b"\1" * 8), encoded(b"\1" * 9), b"ZVPxAB", b"!"])
        cookie = resigned(signing, payload + b"." + stamp)
    if kind in (4, 5):
        clock[0] = now
        cookie = tampered(cookie)
    texts = {f"k{n}": spelt(dice.choice([lambda: serializer.tag(value()), messy])()) for n in range(dice.randrange(2))}
    texts = {name: text.encode("utf-8", "replace").decode() for name, text in texts.items()}
    wire = {"keys": keys.wire(), "salt": keys.salt, "digest": keys.digest, "cookie": cookie, "now": now}
    return keys, {**wire, "max_age": MAX_AGE, "texts": texts}


def resigned(keys, signed):
    signer = super(TimestampSigner, keys.one[-1])
    return (signed + b"." + signer.get_signature(signed)).decode("latin-1")


def opened_by_flask(keys, cookie, now):
    """('ok', session), ('rejected', why) or ('raises', why): the last is a 500 of Flask's."""
    clock[0] = now
    if not cookie:
        return "rejected", "empty"
    try:
        return "ok", dict(SecureCookieSession(keys.all.loads(cookie, max_age=MAX_AGE)))
    except BadSignature as why:
        return "rejected", str(why)
    except Exception as why:
        return "raises", repr(why)


def loaded(entries, permanent):
    held = {name: serializer.loads(text) for name, text in entries.items()}
    if permanent is not None:
        held["_permanent"] = permanent
    return held


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b) or (math.isnan(a) and math.isnan(b))
    return a == b


def canonical(part):
    try:
        return encoded(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))).decode() == part
    except Exception:
        return True


def lone(text):
    return any(0xD800 <= ord(c) < 0xE000 for c in text)


def json_of(cookie):
    payload = cookie.rsplit(".", 2)[0]
    try:
        data = base64.urlsafe_b64decode(payload.lstrip(".") + "=" * (-len(payload.lstrip(".")) % 4))
        return (zlib.decompress(data) if payload.startswith(".") else data).decode()
    except Exception:
        return ""


def depth_of(text):
    deepest = depth = 0
    for c in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (c in "[{") - (c in "]}")
        deepest = max(deepest, depth)
    return deepest


def odd_uuid(text):
    """A UUID whose 32 characters only Python's int takes for hexadecimal digits."""
    for found in re.findall(r'" u" *[\s]*:[\s]*(?:\{[^"]*" m"[\s]*:[\s]*)?"([^"]*)"', text):
        bare = found.replace("urn:", "").replace("uuid:", "").strip("{}").replace("-", "")
        if not re.fullmatch("[0-9a-fA-F]{32}", bare):
            return True
    return False


def deliberate(text):
    """Why a value that Flask loads is none here; docs/flask-differences.md has the reasons."""
    if depth_of(text) > 127:
        return "nested deeper than 127 levels"
    if odd_uuid(text):
        return "a UUID in digits that only int() knows"
    if re.search(r'" d"\s*:\s*\{\s*" d"', text):
        return "a date inside a date"
    if re.search(r'" d"', text) and re.search(r"[0-9_]{10}", text):
        return "a date with a number of more than 9 digits"
    if re.search(r'" m"\s*:\s*(?![\s"])', text):
        return "Markup around something other than text"
    if re.match(r'\s*\{\s*"( m| d)"', text):
        return "a session that is no dict, but Markup or a date"
    return None


def why_refused(cookie, held):
    if not all(canonical(part.lstrip(".") if n == 0 else part) for n, part in enumerate(cookie.rsplit(".", 2))):
        return "base64 in another spelling"
    if any(not isinstance(name, str) for name in held):
        return "an entry whose name is no text"
    if any(lone(name) for name in held):
        return "an entry whose name has a lone surrogate"
    return deliberate(json_of(cookie))


classes = collections.Counter()


class Difference(Exception):
    pass


def compare(keys, asked, answer):
    cookie, now = asked["cookie"], asked["now"]
    outcome, held = opened_by_flask(keys, cookie, now)
    if "error" in answer:
        if outcome == "ok":
            why = why_refused(cookie, held)
            if why is None:
                raise Difference(f"refused as {answer['error']}, but Flask opens {held!r}")
            classes["deliberate: " + why] += 1
        elif outcome == "raises":
            classes["Flask answers 500, here it is an empty session"] += 1
        else:
            classes["refused by both"] += 1
    else:
        if outcome != "ok":
            raise Difference(f"opened as {answer['entries']!r}, but Flask says {outcome}: {held}")
        if "_permanent" in held and not isinstance(held["_permanent"], bool):
            classes["deliberate: `_permanent` is a truth value"] += 1
            held["_permanent"] = bool(held["_permanent"])
        mine = loaded(answer["entries"], answer["permanent"])
        if not same(mine, held):
            raise Difference(f"opened as {mine!r}, but by Flask as {held!r}")
        compare_signed(keys, answer["again"], held, now)
        classes["opened by both as the same session"] += 1
    compare_texts(keys, asked, answer)


def compare_signed(keys, cookie, held, now):
    """What is signed here opens in Flask as the same, and is what Flask signs for it."""
    outcome, again = opened_by_flask(keys, cookie, now)
    if outcome != "ok" or not same(again, held):
        raise Difference(f"signed {cookie!r}, which Flask opens as {outcome} {again!r} instead of {held!r}")
    clock[0] = now
    flasks = keys.all.dumps(held)
    if json_of(cookie) != json_of(flasks):
        classes["(a date keeps the spelling it was signed in)"] += 1
        if '{" d":' not in json_of(cookie):
            raise Difference(f"signed {cookie!r}, but Flask signs {flasks!r}")
    elif cookie.startswith(".") != flasks.startswith("."):
        classes["(compressed in one alone, by a few bytes)"] += 1
        saved = len(json_of(cookie)) - len(zlib.compress(json_of(cookie).encode()))
        if not -12 < saved < 16:
            raise Difference(f"compressed in one alone, but not near the edge: {cookie!r}, {flasks!r}")
    elif not cookie.startswith(".") and cookie != flasks:
        raise Difference(f"signed {cookie!r}, but Flask signs {flasks!r}")
    else:
        classes["(signed alike)"] += 1


def compare_texts(keys, asked, answer):
    """What a client says in any spelling becomes what Flask loads from it."""
    for name, text in asked["texts"].items():
        mine = answer["normalised"][name]
        try:
            flasks = serializer.loads(text)
        except Exception:
            if mine is not None:
                raise Difference(f"{text!r} is taken as {mine!r}, but Flask can not load it")
            classes["value refused by both"] += 1
            continue
        if mine is None:
            why = deliberate(text)
            if why is None:
                raise Difference(f"{text!r} is refused, but Flask loads {flasks!r}")
            classes["deliberate: " + why] += 1
        elif not same(serializer.loads(mine), flasks):
            raise Difference(f"{text!r} is taken as {mine!r}, but Flask loads {flasks!r}")
        else:
            classes["value taken by both"] += 1


def main():
    done = 0
    while done < COUNT:
        cases = [case() for _ in range(min(BATCH, COUNT - done))]
        print(json.dumps([asked for _, asked in cases]), flush=True)
        for n, ((keys, asked), answer) in enumerate(zip(cases, json.loads(sys.stdin.readline()), strict=True)):
            try:
                compare(keys, asked, answer)
            except Difference as difference:
                print(json.dumps({"differs": f"seed {SEED}, case {done + n}: {difference}\n{asked!r}"}), flush=True)
                return
        done += len(cases)
    print(json.dumps({"classes": classes}), flush=True)


main()
