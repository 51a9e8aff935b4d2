"""Reads the headers of HTTP/2 (RFC 7541). Writes none, apart from literals without an index."""

from __future__ import annotations


class Decoder:
    """Reads the header blocks of one direction of one connection, in their order."""

    def __init__(self) -> None:
        self._entries: list[tuple[bytes, bytes]] = []
        self._size = 0
        self._max_size = 4096

    def decode(self, block: bytes) -> dict[str, str]:
        """Returns the headers of a block. Of several with one name, the last."""
        headers: dict[str, str] = {}
        at = 0
        while at < len(block):
            first = block[at]
            if first & 0x80:
                index, at = _integer(block, at, 7)
                name, value = self._entry(index)
            elif first & 0xE0 == 0x20:
                self._max_size, at = _integer(block, at, 5)
                self._evict()
                continue
            else:
                is_indexed = bool(first & 0x40)
                index, at = _integer(block, at, 6 if is_indexed else 4)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = _text(block, at)
                value, at = _text(block, at)
                if is_indexed:
                    self._entries.insert(0, (name, value))
                    self._size += len(name) + len(value) + 32
                    self._evict()
            headers[name.decode("latin-1")] = value.decode("latin-1")
        return headers

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        if index <= len(_STATIC):
            return _STATIC[index - 1]
        return self._entries[index - len(_STATIC) - 1]

    def _evict(self) -> None:
        while self._size > self._max_size:
            name, value = self._entries.pop()
            self._size -= len(name) + len(value) + 32


def encode(headers: list[tuple[str, str]]) -> bytes:
    """Returns a header block that depends on no other block, and on which no other depends."""
    block = b""
    for name, value in headers:
        for text in (name, value):
            encoded = text.encode("latin-1")
            block += (b"\0" if text is name else b"") + _length(len(encoded)) + encoded
    return block


def _length(number: int) -> bytes:
    if number < 127:
        return bytes([number])
    number -= 127
    encoded = b"\x7f"
    while number >= 128:
        encoded += bytes([number % 128 + 128])
        number //= 128
    return encoded + bytes([number])


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Returns a number with a prefix of so many bits, and the place after it."""
    limit = (1 << bits) - 1
    number, at = block[at] & limit, at + 1
    if number < limit:
        return number, at
    shift = 0
    while True:
        number += (block[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not block[at - 1] & 0x80:
            return number, at


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    is_huffman = bool(block[at] & 0x80)
    length, at = _integer(block, at, 7)
    text = block[at : at + length]
    return (_huffman(text) if is_huffman else text), at + length


def _huffman(text: bytes) -> bytes:
    decoded = bytearray()
    code = length = 0
    for byte in text:
        for shift in range(7, -1, -1):
            code, length = code << 1 | byte >> shift & 1, length + 1
            symbol = _SYMBOLS.get((length, code))
            if symbol is not None:
                decoded.append(symbol)
                code = length = 0
    return bytes(decoded)


def _symbols() -> dict[tuple[int, int], int]:
    """Returns the byte of each code. The codes ascend by their length, and then by the byte."""
    symbols: dict[tuple[int, int], int] = {}
    code = last = 0
    for length, symbol in sorted((ord(letter) - ord("A") + 5, symbol) for symbol, letter in enumerate(_CODE_LENGTHS)):
        code <<= length - last
        symbols[length, code] = symbol
        code, last = code + 1, length
    return symbols


#: The length of the code of each byte (RFC 7541, appendix B): A is 5, B is 6, and so on.
_CODE_LENGTHS = (
    "ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHFIBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJB"
    "KABABABBBACCBBBABCBAABCCCCCKGJIXPRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRS"
    "VVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWV"
)
_SYMBOLS = _symbols()
#: RFC 7541, appendix A.
_STATIC_NAMES = (
    ":authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|:status=204|"
    ":status=206|:status=304|:status=400|:status=404|:status=500|accept-charset|accept-encoding=gzip, deflate|"
    "accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|"
    "content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|"
    "cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|"
    "last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|"
    "server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"
)
_STATIC = [(name.encode(), value.encode()) for name, _, value in (e.partition("=") for e in _STATIC_NAMES.split("|"))]
