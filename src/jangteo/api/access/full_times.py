"""When each caller may send a whole burst again: tables of fixed size, in memory that the front ends of a host share.

Nothing locks them. Two processes that count requests of one caller in the same microsecond may count one of these.
"""

import os
from hashlib import blake2b
from mmap import mmap
from pathlib import Path
from struct import Struct
from tempfile import TemporaryFile
from typing import IO, Final

SLOTS: Final = 2**17
"""The most callers in a table."""
WAYS: Final = 8
"""In how many slots a caller may be."""
_SECRET_BYTES: Final = 16
_HASHES_BYTES: Final = 8 * SLOTS
_TABLE_BYTES: Final = 2 * _HASHES_BYTES
_number_of: Final = Struct("=Q").unpack


class FullTimes:
    """One table. A caller whose slots are all taken takes that of whoever has the least to wait for."""

    def __init__(self, memory: memoryview, secret: bytes) -> None:
        self._hashes = memory[:_HASHES_BYTES].cast("Q")
        self._times = memory[_HASHES_BYTES:].cast("d")
        self._secret = secret

    def get(self, caller: str) -> float:
        """Return the time of a caller by the monotonic clock, in seconds; 0 for one that isn't in the table."""
        slot = self._find(self._hash(caller))
        return 0.0 if slot is None else self._times[slot]

    def put(self, caller: str, full_at: float) -> None:
        """Store the time of a caller."""
        number = self._hash(caller)
        slot = self._find(number)
        if slot is None:
            first = _first_slot(number)
            times = self._times[first : first + WAYS].tolist()
            slot = first + times.index(min(times))
            self._hashes[slot] = number
        self._times[slot] = full_at

    def _find(self, number: int) -> int | None:
        first = _first_slot(number)
        numbers = self._hashes[first : first + WAYS].tolist()
        return first + numbers.index(number) if number in numbers else None

    def _hash(self, caller: str) -> int:
        """By a secret, so that nobody can find addresses that share the slots of another one."""
        number: int = _number_of(blake2b(caller.encode(), digest_size=8, key=self._secret).digest())[0]
        return number


class RateMemory:
    """The tables of several limits."""

    def __init__(self, tables: int, descriptor: int = -1) -> None:
        """`descriptor` is that of a file of `rate_file`, for as many tables; without one the memory is not shared."""
        self._memory = mmap(descriptor, _size_of(tables))
        if descriptor == -1:
            self._memory[:_SECRET_BYTES] = os.urandom(_SECRET_BYTES)

    def table(self, number: int) -> FullTimes:
        """Return a table, counted from 0."""
        first = _SECRET_BYTES + number * _TABLE_BYTES
        whole = memoryview(self._memory)
        return FullTimes(whole[first : first + _TABLE_BYTES], bytes(whole[:_SECRET_BYTES]))


def rate_file(tables: int, folder: Path) -> IO[bytes]:
    """Return an open file without a name that processes share as `RateMemory`. Raises OSError."""
    file = TemporaryFile(dir=folder)  # noqa: SIM115 - whoever calls closes it
    try:
        file.write(os.urandom(_SECRET_BYTES))
        # All of it now: a disk that is full later would kill whoever counts in a page that isn't there yet.
        file.write(bytes(_size_of(tables) - _SECRET_BYTES))
        file.flush()
    except OSError:
        file.close()
        raise
    return file


def _size_of(tables: int) -> int:
    return _SECRET_BYTES + tables * _TABLE_BYTES


def _first_slot(number: int) -> int:
    return number % (SLOTS // WAYS) * WAYS
