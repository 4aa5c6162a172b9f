"""Opens the shop of a command that doesn't serve it."""

from jangteo.cli.output import say
from jangteo.storage.port import Storage
from jangteo.storage.urls import open_storage


def open_shop(database: str, *, writes: bool = False) -> Storage:
    """Open and check the shop that a URL names, for `writes` too; what the operator should know goes to standard error.

    Raises CannotOpen if it can't be used, NoShopYet if there is none.
    """
    storage = open_storage(database)
    for notice in storage.check(writes=writes):
        say(notice, error=True)
    return storage
