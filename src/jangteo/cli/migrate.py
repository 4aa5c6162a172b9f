"""`jangteo migrate`: creates the schema of a database, or brings it to this version."""

import typer

from jangteo.cli.options import Database, without_password
from jangteo.settings import Settings
from jangteo.storage.urls import open_storage


def migrate(database: Database = Settings.database) -> None:
    """Create the schema or bring it to this version; `serve` does the same when it starts."""
    storage = open_storage(database)
    notices = storage.prepare()
    storage.close()
    for notice in notices:
        typer.echo(notice)
    typer.echo(f"{without_password(database)} is ready for this version.")
