"""The errors of a database. Each side translates its driver's errors to these, in one function."""

from jangteo.foreign_text import one_line


class StorageError(Exception):
    """An operation on the database failed. The message, which may quote a driver or a server, becomes one safe line."""

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class CannotOpen(StorageError):
    """The database can't be used as it is; the message is one line for the operator."""


class NoShopYet(CannotOpen):
    """The database holds no shop, but one can be created there."""


class Unavailable(StorageError):
    """The database can't be read or written now. Nothing of the transaction is kept."""


class Unusable(Unavailable):
    """The database can't be used until an operator does something; the message is one line, which has been logged."""


class TooOld(Unusable):
    """The database was migrated, and no longer admits this version of Jangteo; the message is one line."""


class FileLost(Unusable):
    """A file of the database was deleted, replaced or linked again; the message is one line.

    Raised after a commit, it leaves unknown whether the commit is kept.
    """


class Unreachable(Unavailable):
    """No server that can be written was reached; nothing of the transaction has begun. It may pass within seconds."""


class Conflict(StorageError):
    """Another transaction came first. Nothing of this one is kept; the whole batch may be retried."""


class Broken(StorageError):
    """The database rejected a statement or its values. Nothing of the transaction is kept; a retry would fail again."""
