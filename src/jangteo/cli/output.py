"""What commands print: without secrets, and without characters that act on a terminal."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import typer

from jangteo.delivery.sinks.signing import PREFIX, forms_of
from jangteo.foreign_text import escape, escape_json
from jangteo.redaction import redaction
from jangteo.url_secrets import secrets_of

_URLS: Final = ("JANGTEO_DATABASE", "JANGTEO_PLATFORM", "JANGTEO_FROM", "JANGTEO_TO")


def hide_secrets_of(environment: Mapping[str, str]) -> None:
    """Hide the secrets in these environment variables, whichever of them a command uses."""
    for name in _URLS:
        redaction.hide(secrets_of(environment.get(name, "")))
    for secret in environment.get("JANGTEO_PLATFORM_SECRET", "").split():
        redaction.hide(forms_of(secret))
    redaction.hide([environment.get("PGPASSWORD", "")])


def hide_secrets_in(arguments: Iterable[str]) -> None:
    """Hide the secrets in a command line, also where they don't belong: a wrong argument is quoted."""
    for argument in arguments:
        text = argument.partition("=")[2] if argument.startswith("-") and "=" in argument else argument
        if "://" in text:
            redaction.hide(secrets_of(text))
        elif text.startswith(PREFIX):
            redaction.hide(forms_of(text))


def say(text: str, *, error: bool = False) -> None:
    """Print a line, or several, to standard output or standard error."""
    typer.echo(printable(text), err=error)


def say_json(value: object) -> None:
    """Print one JSON document to standard output."""
    document = msgspec.json.encode(redaction.redact_values(msgspec.to_builtins(value)))
    typer.echo(escape_json(document.decode()))


def printable(text: str) -> str:
    """Return a text as it may be printed."""
    return escape(redaction.redact(text))
