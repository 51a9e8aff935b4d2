"""Reads the messages of the service, protobuf and JSON, by the names of its contract."""

from __future__ import annotations

import base64
import json
import pathlib
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Field:
    """A field of a message."""

    name: str
    #: Such as `string`, or the name of a message or an enum.
    type: str
    is_repeated: bool = False
    #: The type of the values, if the field is a map. Its keys are text.
    map_value: str = ""


class Contract:
    """The RPCs, messages and enums of one proto file."""

    def __init__(self, file: pathlib.Path) -> None:
        text = re.sub(r"//.*", "", file.read_text(encoding="utf-8"))
        #: The types of request and response, by the name of the RPC.
        self.rpcs = {
            found[1]: (found[2], found[3])
            for found in re.finditer(r"rpc (\w+)\((?:stream )?(\w+)\) returns \((?:stream )?(\w+)\)", text)
        }
        self._enums: dict[str, dict[int, str]] = {}
        self._messages: dict[str, dict[int, Field]] = {}
        for kind, name, body in re.findall(r"^(message|enum) (\w+) \{(.*?)^\}", text, re.DOTALL | re.MULTILINE):
            if kind == "enum":
                self._enums[name] = {int(number): value for value, number in re.findall(r"(\w+) = (\d+);", body)}
            else:
                self._messages[name] = dict(map(_field, _FIELD.finditer(body)))

    def read(self, message_type: str, body: bytes) -> dict[str, Any]:
        """Returns the fields of a protobuf message. Those that are unset are absent."""
        message: dict[str, Any] = {}
        for number, value in _fields(body):
            field = self._messages[message_type].get(number)
            if field is None:
                continue
            if field.map_value:
                entry = dict(_fields(value))
                key = entry.get(1, b"").decode()
                message.setdefault(field.name, {})[key] = self._value(field.map_value, entry.get(2))
            elif field.is_repeated:
                message.setdefault(field.name, []).append(self._value(field.type, value))
            else:
                message[field.name] = self._value(field.type, value)
        return message

    def read_json(self, message_type: str, text: str) -> dict[str, Any]:
        """Returns the same of a message in JSON."""
        return self._from_json(message_type, json.loads(text))

    def _from_json(self, message_type: str, value: dict[str, Any]) -> dict[str, Any]:
        fields = {_camel(field.name): field for field in self._messages[message_type].values()}
        fields |= {field.name: field for field in self._messages[message_type].values()}
        message: dict[str, Any] = {}
        for name, each in value.items():
            field = fields.get(name)
            if field is None or each is None:
                continue
            kind = field.map_value or field.type
            if field.map_value:
                message[field.name] = {key: self._json_value(kind, entry) for key, entry in each.items()}
            elif field.is_repeated:
                message[field.name] = [self._json_value(kind, entry) for entry in each]
            else:
                message[field.name] = self._json_value(kind, each)
        return message

    def _json_value(self, kind: str, value: Any) -> Any:
        if kind in self._messages:
            return self._from_json(kind, value)
        if kind in ("int64", "uint64"):
            return int(value)
        return base64.b64decode(value) if kind == "bytes" else value

    def _value(self, kind: str, value: Any) -> Any:
        if kind in self._messages:
            return self.read(kind, value or b"")
        if kind in self._enums:
            return self._enums[kind].get(value or 0, value)
        if kind == "string":
            return (value or b"").decode()
        if kind == "bool":
            return bool(value)
        if kind == "int64":
            return ((value or 0) ^ 1 << 63) - (1 << 63)
        return value


def write(fields: list[tuple[int, bytes]]) -> bytes:
    """Returns a protobuf message of fields that are texts or messages."""
    body = b""
    for number, value in fields:
        body += varint(number << 3 | 2) + varint(len(value)) + value
    return body


def varint(number: int) -> bytes:
    encoded = b""
    while number >= 128:
        encoded += bytes([number % 128 + 128])
        number //= 128
    return encoded + bytes([number])


def _fields(body: bytes) -> list[tuple[int, Any]]:
    """Returns the numbers and raw values of all fields, in their order."""
    fields: list[tuple[int, Any]] = []
    at = 0
    while at < len(body):
        key, at = _read_varint(body, at)
        kind = key & 7
        value: Any
        if kind == 0:
            value, at = _read_varint(body, at)
        elif kind == 2:
            length, at = _read_varint(body, at)
            value, at = body[at : at + length], at + length
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = body[at : at + size], at + size
        else:
            raise ValueError(f"a field of protobuf's wire type {kind}")
        fields.append((key >> 3, value))
    return fields


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = body[at]
        number |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not byte & 0x80:
            return number, at


def _field(found: re.Match[str]) -> tuple[int, Field]:
    label, map_value, kind, name, number = found.groups()
    return int(number), Field(name, kind or "", (label or "").strip() == "repeated", map_value or "")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)


_FIELD = re.compile(r"(repeated |optional )?(?:map<string, (\w+)>|([\w.]+)) (\w+) = (\d+)")
