"""The history of the schema, by Alembic: `upgrade` brings a database to the newest revision.

Owns how a database got its tables; which tables there are now is declared in `storage.schema`.
"""

from functools import cache
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine

__all__ = ["FORMER_VERSION_TABLE", "REVISION_PREFIX", "VERSION_TABLE", "CommandError", "knows", "newest", "upgrade"]

VERSION_TABLE: Final = "jangteo_version"
"""Holds the schema's revision, in one row."""
FORMER_VERSION_TABLE: Final = "alembic_version"
"""Held it up to revision jangteo_4. It is Alembic's own name, which other programs use too."""
REVISION_PREFIX: Final = "jangteo_"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "jangteo:storage/migrations")
    return config


@cache
def _revisions() -> tuple[str, ...]:
    """All revisions, newest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def knows(revision: str) -> bool:
    """Whether this version of Jangteo knows a database's revision."""
    return revision in _revisions()


def newest() -> str:
    """The revision that this version of Jangteo works with."""
    return _revisions()[0]


def upgrade(engine: Engine) -> None:
    """Create the schema, or bring it to the newest revision, in one transaction; processes do so one after the other.

    Raises CannotOpen where a shop is so damaged that a new constraint would refuse its rows, CommandError where another
    process has just brought it to a revision that this version doesn't know.
    """
    config = _config()
    config.attributes["engine"] = engine
    command.upgrade(config, "head")
