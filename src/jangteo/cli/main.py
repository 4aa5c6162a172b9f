"""`jangteo`: the commands, and how each of them ends: with one line and an exit code, never with a trace."""

import sys
from typing import Annotated, Final

import typer

from jangteo import __version__
from jangteo.cli.audit import audit
from jangteo.cli.copy import copy
from jangteo.cli.events import events
from jangteo.cli.migrate import migrate
from jangteo.cli.relay import relay
from jangteo.cli.serve import serve
from jangteo.cli.top import top
from jangteo.delivery.sinks.base import InvalidPlatform
from jangteo.storage.copying import AuditFailed
from jangteo.storage.errors import StorageError

AUDIT_FAILED: Final = 1
USAGE_ERROR: Final = 2
INTERRUPTED: Final = 130

app = typer.Typer(
    name="jangteo",
    help="The commerce core that stays right in the rush: balances, stock, coupons and orders.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(relay)
app.command()(migrate)
app.command()(audit)
app.command()(copy)
app.add_typer(events, name="events")
app.add_typer(top, name="top")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the shape of an option's callback
    if wanted:
        typer.echo(f"jangteo {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def about(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """The commerce core that stays right in the rush: balances, stock, coupons and orders."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command and end with its exit code."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        # The message alone wouldn't say which option it is about.
        told = getattr(error, "format_message", error.__str__)
        code = _complain(told(), USAGE_ERROR)
    except AuditFailed as error:
        code = _complain(str(error), AUDIT_FAILED)
    except (StorageError, InvalidPlatform) as error:
        code = _complain(str(error), USAGE_ERROR)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        code = 1
    except OSError as error:
        code = _complain(str(error), USAGE_ERROR)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int) -> int:
    line = " ".join(message.split())
    print(f"jangteo: {line}", file=sys.stderr)  # noqa: T201 - the one line that a command ends with
    return code
