"""Encodes parameters in PostgreSQL's binary format: integers, texts, and arrays of them.

The driver encodes arrays value by value, which took two thirds of this process's time for a batch of 64 orders
(measured); here an array of integers is packed by one call.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from struct import error as struct_error
from typing import Final

from jangteo.storage.port import Value

Parameter = Value | Sequence[Value]

BIGINT: Final = 20
TEXT: Final = 25
BIGINTS: Final = 1016
TEXTS: Final = 1009

_LENGTH: Final = Struct("!i")
_INTEGER_BYTES: Final = 8
_NULL: Final = _LENGTH.pack(-1)
_START: Final = Struct("!iiiii")
_EMPTY: Final = Struct("!iii").pack(0, 0, BIGINT)


def encode(value: Parameter) -> tuple[int, bytes | None]:
    """Return the OID of the value's type and its bytes; None for NULL.

    Raises OverflowError for integers beyond BIGINT, UnicodeEncodeError for texts that UTF-8 can't encode.
    """
    if isinstance(value, int):
        return BIGINT, value.to_bytes(_INTEGER_BYTES, "big", signed=True)
    if isinstance(value, str):
        return TEXT, value.encode()
    if value is None:
        # Always the same type, so that a statement is prepared once for it; a NULL can be cast to any type.
        return BIGINT, None
    return _array(value)


def _array(values: Sequence[Value]) -> tuple[int, bytes]:
    count = len(values)
    if not count:
        return BIGINTS, _EMPTY
    if isinstance(values[0], int):
        fields: list[Value] = [_INTEGER_BYTES] * (2 * count)
        fields[1::2] = values
        try:
            return BIGINTS, _integers(count).pack(1, 1, BIGINT, count, 1, *fields)
        except struct_error:
            # Some are NULL, or beyond BIGINT.
            return _one_by_one(values)
    if values.count(None) == count:
        return BIGINTS, _nulls(count)
    return _one_by_one(values)


def _one_by_one(values: Sequence[Value]) -> tuple[int, bytes]:
    of_texts = any(isinstance(value, str) for value in values)
    pieces = [_START.pack(1, 1, TEXT if of_texts else BIGINT, len(values), 1)]
    for value in values:
        _, content = encode(value)
        pieces += (_NULL,) if content is None else (_LENGTH.pack(len(content)), content)
    return TEXTS if of_texts else BIGINTS, b"".join(pieces)


@lru_cache(maxsize=512)
def _integers(count: int) -> Struct:
    return Struct("!iiiii" + "iq" * count)


@lru_cache(maxsize=512)
def _nulls(count: int) -> bytes:
    return _START.pack(1, 1, BIGINT, count, 1) + _NULL * count
