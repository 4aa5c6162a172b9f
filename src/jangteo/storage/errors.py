"""What can go wrong with a database, in four kinds. Drivers' own errors are translated in one place each."""


class StorageError(Exception):
    """The database didn't do what it was asked."""


class CannotOpen(StorageError):
    """The database can't be opened as it is; the message is one line for the operator."""


class NoShopYet(CannotOpen):
    """There is no shop, but one may be made here."""


class Unavailable(StorageError):
    """The database can't be read or written just now. Nothing of the transaction is kept."""


class Conflict(StorageError):
    """Another transaction changed the same rows first. Nothing is kept; the whole batch may be tried again."""


class Broken(StorageError):
    """The database refused these very values or this very statement. Nothing of the transaction is kept."""
