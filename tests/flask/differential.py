"""The Flask side of the differential test: creates random cookies, and compares Cloakroom's results with Flask's.

Writes a line of cases to standard output and reads a line of results from standard input, until all cases are done. The
last line counts the cases by class, or describes the first difference. Run by tests/it/flask/differential.rs.
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

rng = random.Random(SEED)
serializer = TaggedJSONSerializer()
clock = [0]
flask.Flask(__name__).app_context().push()


class Signer(TimestampSigner):
    def get_timestamp(self):
        return clock[0]


class Keys:
    """The signing keys of one application, from the oldest to the newest as in Flask."""

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


# Random sessions that Flask can sign.


def random_text():
    kind = rng.randrange(9)
    if kind == 0:
        return "".join(chr(rng.randrange(0x20)) for _ in range(rng.randrange(4)))
    if kind == 1:
        return "".join(chr(rng.choice([0x7F, 0x80, 0xE9, 0x2028, 0xFFFF, 0x10000, 0x1F600, 0x10FFFF])) for _ in range(3))
    if kind == 2:
        return rng.choice(["a", ""]) + chr(rng.randrange(0xD800, 0xE000)) + rng.choice(["", "b", "\U0001f600"])
    if kind == 3:
        return rng.choice(["<b>&'\"\\/", "true", "null", "\b\f\n\r\t", "=", "a.b.c", *TAGS])
    if kind == 4:
        return rng.choice("ab") * rng.choice([1, 5, 11, 12, 13, 14, 60, 400])
    return "".join(rng.choice("abcdefgh ") for _ in range(rng.randrange(12)))


def random_name():
    kind = rng.randrange(12)
    if kind == 0:
        return rng.choice(TAGS)
    if kind == 1:
        return rng.choice(TAGS) + rng.choice(["_", "__", "___", " "])
    if kind == 2:
        return rng.choice(["\uffff", "\U00010000", "\u00e9", "Z", "_", ""])
    if kind == 3:
        return random_text()
    return rng.choice(["user_id", "_fresh", "csrf_token", "cart", "a", "b", "c", "_flashes", "lang"])


def random_number():
    kind = rng.randrange(10)
    if kind < 3:
        return rng.randrange(-1000, 1000)
    if kind == 3:
        return rng.choice([-1, 1]) * rng.getrandbits(rng.choice([31, 53, 63, 64, 70, 200, 2000]))
    if kind == 4:
        return struct.unpack("<d", rng.getrandbits(64).to_bytes(8, "little"))[0]
    if kind == 5:
        return rng.choice([0.0, -0.0, 1e16, 1e15, 9007199254740993.0, 1e-4, 1e-5, 5e-324, 1.7976931348623157e308, 2.0**-44])
    if kind == 6:
        return rng.choice([math.nan, math.inf, -math.inf])
    if kind == 7:
        return rng.choice([-1, 1]) * 2.0 ** rng.randrange(-1074, 1024)
    return round(rng.uniform(-1e6, 1e6), rng.randrange(6))


def random_value(depth=0):
    kind = rng.randrange(16 if depth < 4 else 10)
    if kind < 3:
        return random_text()
    if kind < 5:
        return random_number()
    if kind == 5:
        return rng.choice([None, True, False])
    if kind == 6:
        return rng.randbytes(rng.randrange(8))
    if kind == 7:
        return Markup(random_text())
    if kind == 8:
        return uuid.UUID(int=rng.getrandbits(128))
    if kind == 9:
        zone = rng.choice([None, datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=5, minutes=30))])
        return datetime.datetime(rng.randrange(2, 9999), rng.randrange(1, 13), 5, 1, 2, 3, 4, tzinfo=zone)
    items = rng.choice([0, 1, 1, 2, 3])
    if kind < 12:
        return [random_value(depth + 1) for _ in range(items)]
    if kind < 14:
        return tuple(random_value(depth + 1) for _ in range(items))
    return {random_name(): random_value(depth + 1) for _ in range(items)}


def random_session():
    contents = {random_name(): random_value() for _ in range(rng.choice([0, 1, 1, 2, 3, 5]))}
    if rng.randrange(3) == 0:
        contents["_permanent"] = rng.choice([True, True, False, 1, "", None])
    return contents


# Signed payloads that Flask itself would not create.


def malformed_value(depth=0):
    kind = rng.randrange(12 if depth < 5 else 5)
    if kind == 0:
        return rng.choice([None, True, False, 0, 1, 2.5, 0.0, "", [], {}])
    if kind == 1:
        return random_text()
    if kind == 2:
        return rng.choice(["ab", "YQ==", "YQ", "=YQ==x", "Y Q = =", "YWJj", "\u00e9", "YQ=a"])
    if kind == 3:
        digits = uuid.UUID(int=rng.getrandbits(128)).hex
        spellings = [digits, digits.upper(), str(uuid.UUID(digits)), "{" + digits + "}", "urn:uuid:" + digits, digits[1:], digits + "0"]
        return rng.choice([*spellings, "0x" + digits[2:], "+" + digits[1:], digits[:5] + "_" + digits[6:]])
    if kind == 4:
        date = "Tue, 14 Nov 2023 20:13:20 GMT"
        others = ["garbage", "  ", "14 Nov 2023", date[:-3] + "+0530", "Tue, 31 Feb 2023 20:13:20 GMT", "Nov 14 2023 20:13"]
        return rng.choice([date, *others, "Tue, 14 Nov 99999999999999 20:13:20 GMT"])
    if kind < 8:
        return {rng.choice(TAGS): malformed_value(depth + 1)}
    if kind == 8:
        return {rng.choice(["a__", " t__", "x", ""]): malformed_value(depth + 1) for _ in range(rng.choice([1, 1, 2]))}
    if kind == 9:
        return [[malformed_value(depth + 2), malformed_value(depth + 2)] for _ in range(rng.randrange(3))]
    return [malformed_value(depth + 1) for _ in range(rng.randrange(4))]


def respell(tagged):
    """Writes a value as JSON text with random formatting, often invalid."""
    separators = rng.choice([(",", ":"), (", ", ": "), (" ,\n", " :\t")])
    out = json.dumps(tagged, ensure_ascii=rng.randrange(2) == 0, separators=separators, sort_keys=rng.randrange(2) == 0)
    if rng.randrange(3) == 0:
        out = re.sub(r"(?<=[\[,:])(\d+)\.0(?=[\],}])", r"\1.0e0", out).replace("e+", "E+")
    while rng.randrange(3) == 0 and out:
        at = rng.randrange(len(out))
        junk = rng.choice(["", "", " ", "\n", '"', "\\", "\\u00E9", "\\ud83d", "\\ude00", "{", "]", ",", "0", "-", "1.", "e5", "NaN", "\x01", "\ufeff", "\u00a0"])
        out = out[:at] + junk + out[at + rng.choice([0, 1]) :]
    return out


def malformed_json():
    kind = rng.randrange(12)
    if kind == 0:
        return "[" * rng.choice([100, 127, 128, 129, 300]) + rng.choice(["]" * 128, ""])
    if kind == 1:
        depth = rng.choice([100, 126, 127, 128, 129, 200])
        return '{"a":' + "[" * depth + "]" * depth + "}"
    if kind == 2:
        return '{"a":' + rng.choice(["", "-"]) + "9" * rng.choice([4299, 4300, 4301, 5000]) + rng.choice(["}", "}", ".0}"])
    if kind == 3:
        return '{"a":1,"b":2,"a":' + json.dumps(malformed_value()) + "}"
    if kind == 4:
        return rng.choice(["", " ", "null", "nul", "[]", '""', "1", "true", '"ab"', "[[]]", '["ab"]', '[["a",1],["b",2],["a",3]]', '[[1,2]]'])
    if kind < 9:
        return respell(malformed_value())
    return respell(serializer.tag({"k": random_value(), "m": malformed_value()}) if rng.randrange(2) else serializer.tag(random_session()))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def malformed_payload():
    data = malformed_json().encode("utf-8", "surrogatepass")
    kind = rng.randrange(8)
    if kind == 0:
        compressed = zlib.compress(data, rng.randrange(10))
        if rng.randrange(2) == 0:
            at = rng.randrange(len(compressed))
            compressed = rng.choice([compressed[:at], compressed + b"junk", compressed[:at] + rng.randbytes(1) + compressed[at + 1 :]])
        return b"." + base64url(compressed)
    if kind == 1:
        plain = base64url(data)
        junk = rng.choice([b"=", b"==", b"!", b"!!!!", b"+", b"/", b"A", b"."])
        return plain + junk if rng.randrange(2) else junk + plain
    return base64url(data)


def tamper(cookie):
    parts = cookie.rsplit(".", 2)
    kind = rng.randrange(10)
    at = rng.randrange(len(cookie))
    if kind == 0:
        return cookie[:at] + rng.choice("AZaz09-_.=+/ !\u00e9") + cookie[at + 1 :]
    if kind == 1:
        return cookie[:at] + cookie[at + 1 :]
    if kind == 2:
        return cookie + rng.choice(["=", "==", "A", ".", "\n", "!!!!", "!"])
    if kind == 3:
        last = rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        return cookie[:-1] + last
    if kind == 4:
        return ".".join([parts[0], parts[1], parts[2].replace("-", "+").replace("_", "/")])
    if kind == 5:
        return ".".join([parts[0], base64url(max(0, clock[0] + rng.randrange(-3, 3)).to_bytes(8, "big").lstrip(b"\0")).decode(), parts[2]])
    if kind == 6:
        return ".".join([parts[0], parts[1]])
    if kind == 7:
        return rng.choice(["", ".", "..", "...", "a", "a.b", "a.b.c", parts[2], "." + cookie, cookie + cookie])
    if kind == 8:
        return ".".join([parts[0], parts[1], "!" + parts[2] + "???"])
    return cookie[: rng.randrange(len(cookie))]


# Test cases and Flask's results.


def random_case():
    keys = rng.choice(KEYS)
    now = rng.choice([1700000000, 1700000000, 4294967295, 4294967296, 5, 86400 * rng.randrange(1, 30000)])
    kind = rng.randrange(10)
    signed_at, signing = now, keys
    if rng.randrange(4) == 0:
        signed_at = max(0, now - rng.choice([1, MAX_AGE - 1, MAX_AGE, MAX_AGE + 1, -1, -60, 2 * MAX_AGE]))
    if rng.randrange(12) == 0:
        signing = rng.choice(KEYS)
    if kind < 6:
        payload = signing.all.dump_payload(random_session())
    else:
        payload = malformed_payload()
    cookie = signing.sign(payload, signed_at, rng.randrange(len(signing.keys)))
    if rng.randrange(40) == 0:
        stamp = rng.choice([b"", b"AA", base64url(b"\0\0" + int(signed_at).to_bytes(6, "big")), base64url(b"\1" * 8), base64url(b"\1" * 9), b"ZVPxAB", b"!"])
        cookie = sign_raw(signing, payload + b"." + stamp)
    if kind in (4, 5):
        clock[0] = now
        cookie = tamper(cookie)
    texts = {f"k{n}": respell(rng.choice([lambda: serializer.tag(random_value()), malformed_value])()) for n in range(rng.randrange(2))}
    texts = {name: text.encode("utf-8", "replace").decode() for name, text in texts.items()}
    wire = {"keys": keys.wire(), "salt": keys.salt, "digest": keys.digest, "cookie": cookie, "now": now}
    return keys, {**wire, "max_age": MAX_AGE, "texts": texts}


def sign_raw(keys, signed):
    """Signs text that already has a timestamp."""
    signer = super(TimestampSigner, keys.one[-1])
    return (signed + b"." + signer.get_signature(signed)).decode("latin-1")


def open_with_flask(keys, cookie, now):
    """Returns ('ok', session), ('rejected', reason) or ('raises', reason). For 'raises' Flask would answer 500."""
    clock[0] = now
    if not cookie:
        return "rejected", "empty"
    try:
        return "ok", dict(SecureCookieSession(keys.all.loads(cookie, max_age=MAX_AGE)))
    except BadSignature as why:
        return "rejected", str(why)
    except Exception as why:
        return "raises", repr(why)


def load_entries(entries, permanent):
    contents = {name: serializer.loads(text) for name, text in entries.items()}
    if permanent is not None:
        contents["_permanent"] = permanent
    return contents


def is_same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(is_same, a, b))
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b) or (math.isnan(a) and math.isnan(b))
    return a == b


def is_canonical_base64(part):
    try:
        return base64url(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))).decode() == part
    except Exception:
        return True


def has_lone_surrogate(text):
    return any(0xD800 <= ord(c) < 0xE000 for c in text)


def cookie_json(cookie):
    payload = cookie.rsplit(".", 2)[0]
    try:
        data = base64.urlsafe_b64decode(payload.lstrip(".") + "=" * (-len(payload.lstrip(".")) % 4))
        return (zlib.decompress(data) if payload.startswith(".") else data).decode()
    except Exception:
        return ""


def nesting_depth(text):
    deepest = depth = 0
    for c in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (c in "[{") - (c in "]}")
        deepest = max(deepest, depth)
    return deepest


def has_odd_uuid(text):
    """Whether there is a UUID with characters that only Python's int accepts as hexadecimal digits."""
    for found in re.findall(r'" u" *[\s]*:[\s]*(?:\{[^"]*" m"[\s]*:[\s]*)?"([^"]*)"', text):
        bare = found.replace("urn:", "").replace("uuid:", "").strip("{}").replace("-", "")
        if not re.fullmatch("[0-9a-fA-F]{32}", bare):
            return True
    return False


def cannot_load_what_is_replaced(text):
    """Whether Flask cannot load a value that it never looks at, because its key comes again."""

    def keep_all(pairs):
        return {f"{name} {n}" if any(name == later for later, _ in pairs[n + 1 :]) else name: value
                for n, (name, value) in enumerate(pairs)}

    try:
        kept = json.dumps(json.loads(text, object_pairs_hook=keep_all))
        serializer.loads(kept)
    except Exception:
        return True
    return False


def deliberate_difference(text):
    """Returns why Cloakroom refuses a value that Flask loads, or None. docs/flask-differences.md has the reasons."""
    if nesting_depth(text) > 127:
        return "nested deeper than 127 levels"
    if has_odd_uuid(text):
        return "a UUID in a form that only Python's `int()` reads"
    if re.search(r'" d"\s*:\s*\{\s*" d"', text):
        return "a date inside a date"
    if re.search(r'" d"', text) and re.search(r"[0-9_]{10}", text):
        return "a date with a number of more than 9 digits"
    if re.search(r'" m"\s*:\s*(?![\s"])', text):
        return "Markup around something other than text"
    if re.match(r'\s*\{\s*"( m| d)"', text):
        return "a session that is no dict, but Markup or a date"
    if cannot_load_what_is_replaced(text):
        return "a tag that cannot be read, at a key that comes again"
    return None


def refusal_reason(cookie, contents):
    if not all(is_canonical_base64(part.lstrip(".") if n == 0 else part) for n, part in enumerate(cookie.rsplit(".", 2))):
        return "base64 in another spelling"
    if any(not isinstance(name, str) for name in contents):
        return "an entry whose name is no text"
    if any(has_lone_surrogate(name) for name in contents):
        return "an entry whose name has a lone surrogate"
    return deliberate_difference(cookie_json(cookie))


classes = collections.Counter()


class Difference(Exception):
    pass


def compare(keys, case, response):
    cookie, now = case["cookie"], case["now"]
    outcome, contents = open_with_flask(keys, cookie, now)
    if "error" in response:
        if outcome == "ok":
            why = refusal_reason(cookie, contents)
            if why is None:
                raise Difference(f"refused as {response['error']}, but Flask opens {contents!r}")
            classes["deliberate: " + why] += 1
        elif outcome == "raises":
            classes["Flask answers 500, here it is an empty session"] += 1
        else:
            classes["refused by both"] += 1
    else:
        if outcome != "ok":
            raise Difference(f"opened as {response['entries']!r}, but Flask says {outcome}: {contents}")
        if "_permanent" in contents and not isinstance(contents["_permanent"], bool):
            classes["deliberate: a value of `_permanent` that is no boolean"] += 1
            contents["_permanent"] = bool(contents["_permanent"])
        ours = load_entries(response["entries"], response["permanent"])
        if not is_same(ours, contents):
            raise Difference(f"opened as {ours!r}, but by Flask as {contents!r}")
        compare_signed(keys, response["again"], contents, now)
        classes["opened by both as the same session"] += 1
    compare_texts(keys, case, response)


def compare_signed(keys, cookie, contents, now):
    """Checks that Flask opens Cloakroom's cookie as the same session, and would sign the same cookie."""
    outcome, again = open_with_flask(keys, cookie, now)
    if outcome != "ok" or not is_same(again, contents):
        raise Difference(f"signed {cookie!r}, which Flask opens as {outcome} {again!r} instead of {contents!r}")
    clock[0] = now
    expected = keys.all.dumps(contents)
    if cookie_json(cookie) != cookie_json(expected):
        classes["(a date keeps the spelling it was signed in)"] += 1
        if '{" d":' not in cookie_json(cookie):
            raise Difference(f"signed {cookie!r}, but Flask signs {expected!r}")
    elif cookie.startswith(".") != expected.startswith("."):
        classes["(compressed in one alone, by a few bytes)"] += 1
        saved = len(cookie_json(cookie)) - len(zlib.compress(cookie_json(cookie).encode()))
        if not -12 < saved < 16:
            raise Difference(f"compressed in one alone, but not near the edge: {cookie!r}, {expected!r}")
    elif not cookie.startswith(".") and cookie != expected:
        raise Difference(f"signed {cookie!r}, but Flask signs {expected!r}")
    else:
        classes["(signed alike)"] += 1


def compare_texts(keys, case, response):
    """Checks that Cloakroom normalises JSON text to the value that Flask loads from it."""
    for name, text in case["texts"].items():
        ours = response["normalised"][name]
        try:
            expected = serializer.loads(text)
        except Exception:
            if ours is not None:
                raise Difference(f"{text!r} is taken as {ours!r}, but Flask can not load it")
            classes["value refused by both"] += 1
            continue
        if ours is None:
            why = deliberate_difference(text)
            if why is None:
                raise Difference(f"{text!r} is refused, but Flask loads {expected!r}")
            classes["deliberate: " + why] += 1
        elif not is_same(serializer.loads(ours), expected):
            raise Difference(f"{text!r} is taken as {ours!r}, but Flask loads {expected!r}")
        else:
            classes["value taken by both"] += 1


def main():
    done = 0
    while done < COUNT:
        cases = [random_case() for _ in range(min(BATCH, COUNT - done))]
        print(json.dumps([case for _, case in cases]), flush=True)
        for n, ((keys, case), response) in enumerate(zip(cases, json.loads(sys.stdin.readline()), strict=True)):
            try:
                compare(keys, case, response)
            except Difference as difference:
                print(json.dumps({"differs": f"seed {SEED}, case {done + n}: {difference}\n{case!r}"}), flush=True)
                return
        done += len(cases)
    print(json.dumps({"classes": classes}), flush=True)


main()
