"""What a writer process is started with."""

import sys

import msgspec


class WriterStart(msgspec.Struct, frozen=True, omit_defaults=True):
    """The one argument of a writer process, as JSON. Every user of the machine can read it: no secrets."""

    batch_max: int
    database_timeout_s: float
    hold_s: float
    identity: str
    """The identity of the database's files."""
    client: int | None = None
    """The descriptor of a connection to the only client."""
    listening: int | None = None
    """The descriptor of a socket where any number of clients come."""
    lifeline: int | None = None
    """The descriptor of the lifeline to the supervisor, where clients come and go."""


def writer_command(start: WriterStart) -> tuple[str, ...]:
    """Return the command line of a writer process."""
    return (sys.executable, "-m", "jangteo.engine.writer", msgspec.json.encode(start).decode())
