"""`jangteo audit`: recomputes every invariant from the raw rows."""

from contextlib import closing
from typing import Annotated

import typer
from msgspec import Struct

from jangteo.app import system_clock
from jangteo.cli.opening import open_shop
from jangteo.cli.options import Database, Json
from jangteo.cli.output import say, say_json
from jangteo.settings import Settings
from jangteo.storage.audit import Finding, findings
from jangteo.url_secrets import shown_url


class AuditedInvariant(Struct, frozen=True, rename="camel"):
    """What the audit found about one invariant, for programs."""

    invariant: str
    checked_rows: int
    broken_rows: int
    broken: list[str]
    """The first broken rows, a line for each."""


def audit(
    database: Database = Settings.database,
    show: Annotated[
        int,
        typer.Option(envvar="JANGTEO_SHOW", min=0, help="How many violations are shown for each invariant."),
    ] = 3,
    as_json: Json = False,
) -> None:
    """Check that the books are right: one line per invariant, and exit code 1 if any of them is broken."""
    audited = []
    with closing(open_shop(database).connect()) as connection, connection.snapshot(system_clock()) as snapshot:
        for finding in findings(snapshot):
            audited.append(_audited(finding, show))
            if not as_json:
                _print(audited[-1])
    broken = sum(each.broken_rows > 0 for each in audited)
    if as_json:
        say_json({"database": shown_url(database), "booksAreRight": not broken, "invariants": audited})
    else:
        say(f"{broken} invariant(s) broken" if broken else "The books are right.")
    if broken:
        raise typer.Exit(1)


def _audited(finding: Finding, show: int) -> AuditedInvariant:
    return AuditedInvariant(finding.invariant, finding.checked, len(finding.broken), finding.broken[:show])


def _print(audited: AuditedInvariant) -> None:
    mark = "BROKEN" if audited.broken_rows else "ok"
    say(f"{mark:<7}{audited.invariant} ({audited.checked_rows:,} checked)")
    for violation in audited.broken:
        say(f"         {violation}")
    hidden = audited.broken_rows - len(audited.broken)
    if hidden:
        say(f"         and {hidden:,} more")
