"""`jangteo doctor`: prints what is checked about a shop's database, platform and backups."""

from pathlib import Path
from typing import Annotated, Final

import typer

from jangteo import logs
from jangteo.app import system_clock
from jangteo.cli.options import Database, Json, Platform, PlatformSecrets
from jangteo.cli.output import printable, say_json
from jangteo.doctor import examine
from jangteo.settings import Settings
from jangteo.storage.diagnosis import Diagnosis, Severity
from jangteo.storage.errors import StorageError
from jangteo.url_secrets import shown_url

_MARKS: Final[dict[Severity, str]] = {"ok": "ok", "note": "note", "danger": "DANGER"}
_COLORS: Final[dict[Severity, str]] = {"ok": "green", "note": "yellow", "danger": "red"}
_SUBJECT_WIDTH: Final = 20


def doctor(
    database: Database = Settings.database,
    platform: Platform = None,
    platform_secret: PlatformSecrets = None,
    backups: Annotated[
        Path | None,
        typer.Option(envvar="JANGTEO_BACKUPS", metavar="FOLDER", help="The folder with the backups."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check what endangers the shop: one line per check, and exit code 1 if data is in danger."""
    logs.silence()
    settings = Settings(database=database, platform=platform, platform_secrets=tuple(platform_secret or ()))
    found: list[Diagnosis] = []
    refused: StorageError | None = None
    try:
        for each in examine(settings, backups, system_clock):
            found.append(each)
            if not as_json:
                _print(each)
    except StorageError as error:
        refused = error
    if as_json:
        say_json({"database": shown_url(database), "checks": found})
    if refused is not None:
        raise refused
    if any(each.severity == "danger" for each in found):
        raise typer.Exit(1)


def _print(each: Diagnosis) -> None:
    # Colours are left out where the output isn't a terminal.
    mark = typer.style(f"{_MARKS[each.severity]:<7}", fg=_COLORS[each.severity])
    typer.echo(mark + printable(f"{each.subject:<{_SUBJECT_WIDTH}}{each.line}"))
