"""Options that several commands share."""

from typing import Annotated

import typer

Database = Annotated[
    str,
    typer.Option(envvar="JANGTEO_DATABASE", help="Where the shop is kept: sqlite:///PATH.", metavar="URL"),
]
