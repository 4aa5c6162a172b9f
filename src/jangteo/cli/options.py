"""Options that several commands share."""

from typing import Annotated

import typer

Database = Annotated[
    str,
    typer.Option(
        envvar="JANGTEO_DATABASE",
        help="The shop's database: sqlite:///PATH or postgresql://USER@HOST/NAME.",
        metavar="URL",
    ),
]

Platform = Annotated[
    str | None,
    typer.Option(
        envvar="JANGTEO_PLATFORM",
        help="Where order events are sent: file:PATH (JSON Lines), http(s)://HOST/PATH, "
        "nats://HOST/SUBJECT, kafka://HOST/TOPIC or none. Default: a file beside the database.",
        metavar="URL",
        show_default=False,
    ),
]
PlatformSecrets = Annotated[
    list[str] | None,
    typer.Option(
        envvar="JANGTEO_PLATFORM_SECRET",
        help="whsec_…: signs webhook requests; twice while it is being changed. Prefer the variable: other users can "
        "read a command line.",
        metavar="SECRET",
        show_default=False,
        show_envvar=True,
    ),
]
Json = Annotated[bool, typer.Option("--json", envvar="JANGTEO_JSON", help="One JSON object, for programs.")]
KeepEvents = Annotated[
    float,
    typer.Option(
        envvar="JANGTEO_KEEP_EVENTS",
        min=0.01,
        max=36_500,
        metavar="DAYS",
        help="How long events are kept after they were sent, for looking at and replaying them.",
    ),
]
DatabaseTimeout = Annotated[
    float,
    typer.Option(
        envvar="JANGTEO_DATABASE_TIMEOUT",
        min=1,
        max=600,
        metavar="SECONDS",
        help="How long one answer of the database is waited for; then clients get 503.",
    ),
]
Hold = Annotated[
    float,
    typer.Option(
        envvar="JANGTEO_HOLD",
        min=0,
        max=600,
        metavar="SECONDS",
        help="How long requests wait while no database can be reached, before clients get 503; "
        "at most --database-timeout.",
    ),
]
