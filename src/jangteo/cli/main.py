"""`jangteo`: all commands. A failed command prints one line to standard error and sets the exit code; no traceback."""

import os
import sys
import traceback
from types import TracebackType
from typing import Annotated, Final

import typer

from jangteo import __version__
from jangteo.cli.audit import audit
from jangteo.cli.copy import copy
from jangteo.cli.doctor import doctor
from jangteo.cli.events import events
from jangteo.cli.keys import keys
from jangteo.cli.migrate import migrate
from jangteo.cli.output import hide_secrets_in, hide_secrets_of, say
from jangteo.cli.relay import relay
from jangteo.cli.secret_files import read_secret_files
from jangteo.cli.serve import serve
from jangteo.cli.top import top
from jangteo.delivery.sinks.base import InvalidPlatform
from jangteo.foreign_text import one_line
from jangteo.settings import InvalidSetting
from jangteo.storage.copying import AuditFailed
from jangteo.storage.errors import StorageError

AUDIT_FAILED: Final = 1
USAGE_ERROR: Final = 2
INTERRUPTED: Final = 130
_SUMMARY: Final = "A commerce core for rush hours: exact balances, stock, coupons and orders."

app = typer.Typer(
    name="jangteo",
    help=_SUMMARY,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(relay)
app.command()(migrate)
app.command()(audit)
app.command()(doctor)
app.command()(copy)
app.add_typer(events, name="events")
app.add_typer(keys, name="keys")
app.add_typer(top, name="top")


def _print_version(requested: bool) -> None:  # noqa: FBT001 - the shape of an option's callback
    if requested:
        say(f"jangteo {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def show_help(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Print the help when no command is given."""
    # Set here, since the library sets its own just before; a command that logs replaces it.
    sys.excepthook = _print_defect
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command, and exit with its code."""
    hide_secrets_of(os.environ)
    hide_secrets_in(sys.argv[1:])
    _ignore_service_links()
    try:
        read_secret_files()
        hide_secrets_of(os.environ)
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        # Unlike str(error), the formatted message names the option.
        message = getattr(error, "format_message", error.__str__)
        code = _fail(message(), USAGE_ERROR)
    except AuditFailed as error:
        code = _fail(str(error), AUDIT_FAILED)
    except (StorageError, InvalidPlatform, InvalidSetting) as error:
        code = _fail(str(error), USAGE_ERROR)
    except (typer.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        code = 1
    except OSError as error:
        code = _fail(str(error), USAGE_ERROR)
    sys.exit(code if isinstance(code, int) else 0)


def _print_defect(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    # It may quote what a driver said.
    say("".join(traceback.format_exception(error)).rstrip(), error=True)


def _ignore_service_links() -> None:
    """Kubernetes sets JANGTEO_PORT to tcp://… for a service named jangteo; that is not the port to listen on."""
    if os.environ.get("JANGTEO_PORT", "").startswith("tcp://"):
        del os.environ["JANGTEO_PORT"]


def _fail(message: str, code: int) -> int:
    say(f"jangteo: {one_line(message)}", error=True)
    return code
