"""Reads the reason of a failed call.

Parses the bytes by hand, because the protobuf package does not include google.rpc.Status.
"""

from __future__ import annotations


def reason(status: bytes) -> str:
    """Returns the reason in the ErrorInfo of a serialized google.rpc.Status. Empty if there is none."""
    for status_field, detail in _bytes_fields(status):
        if status_field == 3:  # Status.details, of type Any
            for any_field, error_info in _bytes_fields(detail):
                if any_field == 2:  # Any.value
                    reasons = [text for field, text in _bytes_fields(error_info) if field == 1]
                    return reasons[0].decode() if reasons else ""
    return ""


def _bytes_fields(message: bytes) -> list[tuple[int, bytes]]:
    """Returns the number and the content of each length-delimited field of a message."""
    fields, at = [], 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            _, at = _varint(message, at)
        elif key & 7 == 2:
            size, at = _varint(message, at)
            fields.append((key >> 3, message[at : at + size]))
            at += size
        else:
            break
    return fields


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
