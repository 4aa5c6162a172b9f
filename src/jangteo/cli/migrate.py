"""`jangteo migrate`: make the database's tables, or bring them to this version, and end."""

import typer

from jangteo.cli.options import Database, without_password
from jangteo.settings import Settings
from jangteo.storage.urls import open_storage


def migrate(database: Database = Settings.database) -> None:
    """Create the schema or bring it to this version; `serve` does the same at its start."""
    storage = open_storage(database)
    storage.prepare()
    storage.close()
    typer.echo(f"{without_password(database)} has the schema of this version.")
