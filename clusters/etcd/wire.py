"""The few messages of etcd's gRPC API that we speak, in protobuf's wire format: pure functions over bytes.

Six requests and two replies do not need generated code or the protobuf package: what goes out is a concatenation, and
what comes in is walked once. Field numbers are those of etcd's rpc.proto; they are the same in 3.4 and 3.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5
_INT64_BITS: Final = 64
_VARINT_BYTES_MAX: Final = 10


class WireError(ValueError):
    """The bytes are not a message of protobuf."""


def varint(value: int) -> bytes:
    """Return an unsigned integer of at most 64 bits as a varint."""
    if not 0 <= value < 1 << _INT64_BITS:
        raise WireError(f"{value} is not an unsigned integer of 64 bits")
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def field(number: int, value: int | bytes) -> bytes:
    """Return one field: an integer as a varint, bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    return varint(number << 3 | _BYTES) + varint(len(value)) + value


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield each field of a message, known or not, as its number and its value.

    Raises:
        WireError: the message is cut off or malformed.
    """
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise WireError(f"field number 0 at byte {at}")
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise WireError(f"wire type {kind} at byte {at}")
        if at + size > len(data):
            raise WireError(f"field {number} wants {size} bytes at byte {at} of {len(data)}")
        yield number, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the varint at `at` and the place after it."""
    value = shift = 0
    for place in range(at, min(at + _VARINT_BYTES_MAX, len(data))):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> _INT64_BITS:
                break
            return value, place + 1
        shift += 7
    raise WireError(f"a varint at byte {at} of {len(data)} does not end")


# --- requests ----------------------------------------------------------------------------------------------------


def range_request(key: bytes, *, serializable: bool = False) -> bytes:
    """RangeRequest of one key: linearizable, or serializable (the node answers from its own state)."""
    return field(1, key) + (field(7, 1) if serializable else b"")


def put_request(key: bytes, value: bytes) -> bytes:
    """PutRequest: set the value."""
    return field(1, key) + field(2, value)


def delete_request(key: bytes) -> bytes:
    """DeleteRangeRequest of one key."""
    return field(1, key)


_COMPARE_CREATE_REVISION: Final = 1
_COMPARE_VALUE: Final = 3


def cas_request(key: bytes, old: bytes | None, new: bytes | None) -> bytes:
    """TxnRequest: if the key's value is `old` then set it to `new`, else get it. None is a key that does not exist."""
    if old is None:
        # A key that does not exist has create revision 0. Zero is written although proto3 leaves zeros out,
        # because it selects the member of the oneof.
        guard = field(2, _COMPARE_CREATE_REVISION) + field(3, key) + field(5, 0)
    else:
        guard = field(2, _COMPARE_VALUE) + field(3, key) + field(7, old)
    then = field(3, delete_request(key)) if new is None else field(2, put_request(key, new))
    return field(1, guard) + field(2, then) + field(3, field(1, range_request(key)))


# --- replies -----------------------------------------------------------------------------------------------------


def range_value(reply: bytes) -> bytes | None:
    """Return the first value in a RangeResponse, None where the key does not exist."""
    for number, pair in fields(reply):
        if number == 2:
            return last_bytes(message(pair), 5)
    return None


def cas_result(reply: bytes) -> tuple[bool, bytes | None]:
    """Return from the TxnResponse of a `cas_request` whether it was done, and if not, the value that it saw."""
    succeeded = False
    seen: bytes | None = None
    for number, value in fields(reply):
        if number == 2:
            succeeded = bool(value)
        elif number == 3:
            for kind, response in fields(message(value)):
                if kind == 1:
                    seen = range_value(message(response))
    return succeeded, None if succeeded else seen


def message(value: int | bytes) -> bytes:
    """Return a field's value that must be a message, or bytes.

    Raises:
        WireError: it is an integer.
    """
    if isinstance(value, int):
        raise WireError("an integer where a message should be")
    return value


def last_bytes(data: bytes, wanted: int) -> bytes:
    """Return the bytes of a field; empty where it is left out, as proto3 does with empty bytes."""
    found = b""
    for number, value in fields(data):
        if number == wanted:
            found = message(value)
    return found


def last_integer(data: bytes, wanted: int) -> int:
    """Return the integer of a field; 0 where it is left out, as proto3 does with 0."""
    found = 0
    for number, value in fields(data):
        if number == wanted and isinstance(value, int):
            found = value
    return found
