"""The reader of HTTP responses, beside Python's own."""

from __future__ import annotations

import http.client
import io
import os
import random

import pytest

from cloakroom.connect.http1 import Malformed, Response, ResponseReader

#: How many answers are generated. `make soak-python` generates a million.
ANSWERS = int(os.environ.get("CLOAKROOM_TEST_ANSWERS", "30000"))


class FakeSocket:
    """What `http.client` reads from."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def makefile(self, *_):
        return self.file


def read(data: bytes, chunks: random.Random | None = None) -> Response | None:
    """Reads an answer, in pieces of random length if `chunks` is given. None: it is not complete."""
    reader, at, response = ResponseReader(), 0, None
    while at < len(data) and response is None:
        size = chunks.choice([1, 2, 7, 60, 4096]) if chunks else len(data)
        response = reader.receive(data[at : at + size])
        at += size
    return response


def read_by_http_client(data: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Returns what Python's own reader makes of an answer. Raises any error if it refuses it."""
    source = FakeSocket(data)
    response = http.client.HTTPResponse(source)
    response.begin()
    headers: dict[bytes, bytes] = {}
    for name, value in response.getheaders():
        key, content = name.lower().encode("latin-1"), value.strip(" \t").encode("latin-1")
        headers[key] = headers[key] + b", " + content if key in headers else content
    return response.status, headers, response.read()


class Generator:
    """Makes answers: many that are right, and many that are wrong in one place."""

    def __init__(self, random_: random.Random) -> None:
        self.random = random_

    def answer(self) -> bytes:
        """Returns an answer that nothing is wrong with."""
        random_ = self.random
        body = random_.randbytes(random_.choice([0, 1, 5, 300, 5000]))
        status = random_.choice([200, 200, 200, 204, 304, 400, 404, 429, 500, 503, 504])
        if status in (204, 304):
            body = b""
        lines = [b"HTTP/1.1 %d %s" % (status, random_.choice([b"OK", b"", b"Not so good", b"\xe9t\xe9"]))]
        lines += [self.field() for _ in range(random_.randrange(6))]
        is_chunked = status not in (204, 304) and random_.random() < 0.4
        if is_chunked:
            lines.insert(random_.randrange(1, len(lines) + 1), self.name(b"transfer-encoding") + b": chunked")
            body = self.chunked(body)
        elif status not in (204, 304):
            lines.insert(random_.randrange(1, len(lines) + 1), self.name(b"content-length") + b": %d" % len(body))
        interim = b"HTTP/1.1 100 Continue\r\n\r\n" if random_.random() < 0.1 else b""
        return interim + b"\r\n".join(lines) + b"\r\n\r\n" + body

    def field(self) -> bytes:
        name = self.name(
            self.random.choice([b"date", b"x-request-id", b"content-type", b"server", b"a", b"!#$%&'*+-.^_`|~1"])
        )
        value = self.random.choice(
            [b"", b"application/proto", b'a, b; c="d"', b"\xfctf-8: \xff", b"x" * 500, b": :", b"a\tb"]
        )
        return (
            name
            + b":"
            + self.random.choice([b"", b" ", b"\t ", b"   "])
            + value
            + self.random.choice([b"", b" ", b" \t"])
        )

    def name(self, name: bytes) -> bytes:
        return self.random.choice([name, name.upper(), name.title()])

    def chunked(self, body: bytes) -> bytes:
        out, at = b"", 0
        while at < len(body):
            size = self.random.randrange(1, len(body) - at + 1)
            extension = self.random.choice([b"", b"", b";a=b", b' ;x="y"'])
            digits = self.random.choice([b"%x", b"%X", b"000%x"]) % size
            out += digits + extension + b"\r\n" + body[at : at + size] + b"\r\n"
            at += size
        trailers = self.random.choice([b"", b"", b"x-checksum: 1\r\n"])
        return out + b"0\r\n" + trailers + b"\r\n"

    def broken(self) -> bytes:
        """Returns an answer with one random change of its bytes."""
        data = self.answer()
        at = self.random.randrange(min(len(data), 200))
        change = self.random.randrange(4)
        junk = self.random.choice([b"\r", b"\n", b"\r\n", b" ", b":", b"\x00", b"0", b"g", b";", b"\t", b"\r\n "])
        if change == 0:
            return data[:at] + junk + data[at:]
        if change == 1:
            return data[:at] + data[at + 1 :]
        if change == 2:
            return data[:at] + junk + data[at + 1 :]
        return data.replace(b"\r\n\r\n", b"\r\n" + self.random.choice(AMBIGUOUS) + b"\r\n\r\n", 1)


#: Fields that make one answer two, for readers that differ.
AMBIGUOUS = [
    b"content-length: 3",
    b"Content-Length: 0x3",
    b"transfer-encoding: chunked",
    b"transfer-encoding: gzip, chunked",
    b"content-length : 3",
    b" folded",
    b"content-length: 3, 3",
    b"no colon",
]


def test_right_answers_are_read_as_python_reads_them():
    generator, pieces = Generator(random.Random(1)), random.Random(2)
    for _ in range(ANSWERS):
        data = generator.answer()
        response = read(data, pieces)
        assert response is not None, data
        assert (response.status, response.headers, response.body) == read_by_http_client(data), data
        assert response.is_reusable, data


def test_a_changed_answer_is_refused_or_read_as_python_reads_it():
    generator, refused = Generator(random.Random(3)), 0
    for _ in range(ANSWERS):
        data = generator.broken()
        try:
            response = read(data)
        except Malformed:
            refused += 1
            continue
        if response is None:
            continue
        try:
            expected = read_by_http_client(data)
        except (http.client.HTTPException, ValueError) as error:
            raise AssertionError(f"Python refuses it: {data!r}") from error
        assert (response.status, response.body) == (expected[0], expected[2]), data
    assert refused > ANSWERS / 10


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3", b"abc"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked", b"0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked", b"0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked", b"0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-length : 3", b"abc"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: +3", b"abc"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3 ,3", b"abc"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: \xb2", b"ab"),
        (b"HTTP/1.1 200 OK\r\nx: a\r\n folded: b\r\ncontent-length: 0", b""),
        (b"HTTP/1.1 200 OK\r\nx: a\ncontent-length: 0", b""),
        (b"HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0", b""),
        (b"HTTP/1.1 200 OK\r\nx: a\x00b\r\ncontent-length: 0", b""),
        (b"HTTP/1.1 200 OK\r\n: no name\r\ncontent-length: 0", b""),
        (b"HTTP/1.1 200 OK", b"until the end of the connection"),
        (b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked", b"0\r\n\r\n"),
        (b"HTTP/2.0 200 OK\r\ncontent-length: 0", b""),
        (b"HTTP/1.1 2000 OK\r\ncontent-length: 0", b""),
        (b"HTTP/1.1 020 OK\r\ncontent-length: 0", b""),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket", b""),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", b"3\nabc\r\n0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", b"3\r\nabcd\r\n0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", b"0x3\r\nabc\r\n0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", b"-1\r\n\r\n0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", b"fffffffff\r\n"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked", b"0\r\nno colon\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999", b""),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000, b""),
        (b"SSH-2.0-OpenSSH_9.2", b""),
    ],
)
def test_what_is_ambiguous_or_endless_is_refused(head, body):
    data = head + b"\r\n\r\n" + body
    with pytest.raises(Malformed):
        read(data)
    with pytest.raises(Malformed):
        read(data, random.Random(4))


def test_a_response_that_is_cut_off_is_no_response():
    data = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    for size in range(len(data)):
        reader = ResponseReader()
        assert size == 0 or reader.receive(data[:size]) is None
        with pytest.raises(Malformed, match="ended before"):
            reader.receive(b"")


@pytest.mark.parametrize(
    ("data", "is_reusable"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na", True),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\ncontent-length: 1\r\n\r\na", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", False),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\naHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb", False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nmore", False),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na", True),
    ],
)
def test_a_connection_is_used_again_only_if_nothing_is_left_on_it(data, is_reusable):
    response = read(data)
    assert response is not None
    assert (response.body, response.is_reusable) == (b"a", is_reusable)
