"""`jangteo migrate`: creates the schema of a database, or brings it to this version."""

from jangteo.cli.options import Database
from jangteo.cli.output import say
from jangteo.settings import Settings
from jangteo.storage.urls import open_storage
from jangteo.url_secrets import shown_url


def migrate(database: Database = Settings.database) -> None:
    """Create the schema or bring it to this version; `serve` does the same when it starts."""
    storage = open_storage(database)
    notices = storage.prepare()
    storage.close()
    for notice in notices:
        say(notice)
    say(f"{shown_url(database)} is ready for this version.")
