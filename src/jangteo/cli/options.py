"""Options that several commands share."""

import re
from typing import Annotated

import typer

Database = Annotated[
    str,
    typer.Option(
        envvar="JANGTEO_DATABASE",
        help="Where the shop is kept: sqlite:///PATH or postgresql://USER@HOST/NAME.",
        metavar="URL",
    ),
]


def shown(database: str) -> str:
    """The URL without its password, wherever one may be in it."""
    return re.sub(r"(password=)[^&]*", r"\1…", re.sub(r"(?<=//)([^:/@]*):[^/]*@", r"\1:…@", database))
