"""The history of the schema, by Alembic: `upgrade` brings a database to the newest revision.

Owns how a database got its tables; which tables there are now is declared in `storage.schema`.
"""

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine

__all__ = ["CommandError", "knows", "newest", "upgrade"]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "jangteo:storage/migrations")
    return config


def knows(revision: str) -> bool:
    """Whether this version of Jangteo knows a database's revision."""
    scripts = ScriptDirectory.from_config(_config())
    return revision in {script.revision for script in scripts.walk_revisions()}


def newest() -> str:
    """The revision that this version of Jangteo works with."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def upgrade(engine: Engine) -> None:
    """Create the schema, or bring it to the newest revision, in one transaction.

    Raises CannotOpen where a shop is so damaged that a new constraint would refuse its rows.
    """
    config = _config()
    config.attributes["engine"] = engine
    command.upgrade(config, "head")
