"""What the supervisor sends a front end or the keeper first: by the lifeline, since there are secrets in it."""

from math import ceil
from pathlib import Path

import msgspec

from jangteo.api.access.full_times import RateMemory
from jangteo.api.access.rate_limits import TABLES
from jangteo.app import timeouts_of
from jangteo.engine.commands import Writer
from jangteo.engine.writer.pool import pooled
from jangteo.engine.writer.remote import SharedWriter
from jangteo.settings import Settings
from jangteo.storage.port import Storage
from jangteo.storage.urls import storage_of


class Instructions(msgspec.Struct, frozen=True):
    """What a process of a host is and has."""

    settings: Settings
    identity: str
    """The identity of the database's files."""
    writers: tuple[str, ...]
    """The paths of the writers' sockets."""
    listening: int
    """The descriptor where HTTP clients come."""
    rates: int
    """The descriptor of the memory that the front ends count callers' requests in."""

    def encode(self) -> str:
        """Return the line to send."""
        return msgspec.json.encode(self).decode()

    def storage(self, *, logs: bool = False) -> Storage:
        """Return the shop's storage. `logs`: of all processes this one logs that its files are lost."""
        storage = storage_of(self.settings.database)
        storage.expect(self.identity, logs=logs)
        return storage

    def rate_memory(self) -> RateMemory:
        """Return the memory in which callers' requests are counted."""
        return RateMemory(TABLES, self.rates)

    def writer(self, *, watches: bool = False) -> Writer:
        """Return the client of the writers. `watches`: as for `SharedWriter`."""
        queue_max, timeouts = ceil(self.settings.queue_max / len(self.writers)), timeouts_of(self.settings)
        return pooled(
            [SharedWriter(Path(each), queue_max=queue_max, watches=watches, timeouts=timeouts) for each in self.writers]
        )


def decode(line: str) -> Instructions:
    """Decode the line."""
    return msgspec.json.decode(line, type=Instructions)
