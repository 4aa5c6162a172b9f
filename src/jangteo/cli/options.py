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

Platform = Annotated[
    str | None,
    typer.Option(
        envvar="JANGTEO_PLATFORM",
        help="Where paid and cancelled orders are sent: file:PATH (JSON Lines), http(s)://HOST/PATH, "
        "nats://HOST/SUBJECT, kafka://HOST/TOPIC, none. Without it: a file beside the database.",
        metavar="URL",
        show_default=False,
    ),
]
PlatformSecret = Annotated[
    str | None,
    typer.Option(
        envvar="JANGTEO_PLATFORM_SECRET",
        help="whsec_…: signs what is sent to an HTTP platform. Prefer the variable: others can read a command line.",
        metavar="SECRET",
        show_default=False,
        show_envvar=True,
    ),
]
KeepEvents = Annotated[
    float,
    typer.Option(
        envvar="JANGTEO_KEEP_EVENTS",
        min=0.01,
        max=36_500,
        metavar="DAYS",
        help="So long an event is kept after it was sent, to be looked at or sent again.",
    ),
]


def shown(database: str) -> str:
    """The URL without its password, wherever one may be in it."""
    return re.sub(r"(password=)[^&]*", r"\1…", re.sub(r"(?<=//)([^:/@]*):[^/]*@", r"\1:…@", database))
