"""`jangteo audit`: recomputes every invariant from the raw rows."""

from typing import Annotated

import typer

from jangteo.app import system_clock
from jangteo.cli.opening import open_shop
from jangteo.cli.options import Database
from jangteo.cli.output import say
from jangteo.settings import Settings
from jangteo.storage.audit import findings


def audit(
    database: Database = Settings.database,
    show: Annotated[
        int,
        typer.Option(envvar="JANGTEO_SHOW", min=0, help="How many violations are shown for each invariant."),
    ] = 3,
) -> None:
    """Check that the books are right: one line per invariant, and exit code 1 if any of them is broken."""
    connection = open_shop(database).connect()
    broken = 0
    try:
        with connection.snapshot(system_clock()) as snapshot:
            for finding in findings(snapshot):
                broken += bool(finding.broken)
                mark = "BROKEN" if finding.broken else "ok"
                say(f"{mark:<7}{finding.invariant} ({finding.checked:,} checked)")
                for violation in finding.broken[:show]:
                    say(f"         {violation}")
                if len(finding.broken) > show:
                    say(f"         and {len(finding.broken) - show:,} more")
    finally:
        connection.close()
    if broken:
        say(f"{broken} invariant(s) broken")
        raise typer.Exit(1)
    say("The books are right.")
