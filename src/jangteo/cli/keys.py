"""`jangteo keys`: makes, lists and revokes API keys, also while servers run. A shop's first key is made here."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
import typer

from jangteo import logs
from jangteo.app import system_clock
from jangteo.cli.event_status import timestamp
from jangteo.cli.opening import open_shop
from jangteo.cli.options import Database, Json
from jangteo.cli.output import say, say_json
from jangteo.cli.submitting import submit
from jangteo.core.keys import PRESETS, SCOPES, CreateKey, KeyStanding, Preset, RevokeKey, Scope, standing_of
from jangteo.core.limits import Name
from jangteo.core.refusals import Refusal
from jangteo.engine.key_secrets import digest_of, key_of, new_secret
from jangteo.settings import Settings
from jangteo.storage.keys import read_all_keys
from jangteo.storage.port import Connection

keys = typer.Typer()

_LONGEST_DAYS: Final = 36_500


@keys.callback(invoke_without_command=True)
def about(context: typer.Context) -> None:
    """Make, list and revoke API keys."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for, such as the server that has it.")],
    preset: Annotated[
        Preset | None,
        typer.Option(envvar="JANGTEO_PRESET", help="Scopes that go together.", show_default=False),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            envvar="JANGTEO_SCOPE",
            metavar="SCOPE",
            help="A scope, besides those of the preset; may be given often.",
            show_default=False,
        ),
    ] = None,
    valid_days: Annotated[
        float | None,
        typer.Option(
            envvar="JANGTEO_VALID_DAYS",
            min=0.001,
            max=_LONGEST_DAYS,
            metavar="DAYS",
            help="After how many days it ends; without it, it doesn't.",
        ),
    ] = None,
    database: Database = Settings.database,
    as_json: Json = False,
) -> None:
    """Make a key and print it. It is shown this once: the shop keeps only a digest of it."""
    scopes = tuple(dict.fromkeys((*(PRESETS[preset] if preset else ()), *map(_scope, scope or ()))))
    if not scopes:
        raise typer.BadParameter("say what the key may do: --preset storefront, or --scope read")
    ends_at = None if valid_days is None else system_clock() + timedelta(days=valid_days)
    with _connected(database) as connection:
        standing, key = make_key(connection, _checked(name), scopes, ends_at)
    if as_json:
        # The key itself is what is asked for here; nothing is hidden.
        typer.echo(msgspec.json.encode({**msgspec.to_builtins(standing), "key": key}))
        return
    say(f"Key {standing.key_id}, {_validity(standing)}, may: {', '.join(standing.scopes)}", error=True)
    say("Keep it in a safe place: it is not shown again.", error=True)
    typer.echo(key)


@keys.command("list")
def list_keys(database: Database = Settings.database, as_json: Json = False) -> None:
    """List all keys, without their secrets: name, scopes, when made, last used and ended."""
    with _connected(database) as connection, connection.snapshot(system_clock()) as snapshot:
        found = [standing_of(key) for _, key in sorted(read_all_keys(snapshot)[1].items())]
    if as_json:
        say_json({"keys": found})
        return
    if not found:
        say("There are no keys. Make one: jangteo keys create NAME --preset admin")
    for each in found:
        used = "never used" if each.last_used_at is None else f"used {timestamp(each.last_used_at)}"
        made = f"made {timestamp(each.created_at)} by {each.created_by}"
        say(f"{each.key_id:>6}  {each.name}  ({_validity(each)}; {made}; {used})  {' '.join(each.scopes)}")


@keys.command()
def revoke(
    key_id: Annotated[int, typer.Argument(metavar="ID", min=1, help="The number of a key, as keys list shows it.")],
    database: Database = Settings.database,
) -> None:
    """Revoke a key for good: within a second every server refuses it."""
    with _connected(database) as connection:
        outcome = submit(connection, RevokeKey(key_id))
    if isinstance(outcome, Refusal):
        raise typer.BadParameter(f"there is no key {key_id}: jangteo keys list shows all")
    say(f"Key {key_id} ({outcome.name}) is revoked; servers refuse it within a second.")


def make_key(
    connection: Connection, name: str, scopes: tuple[Scope, ...], ends_at: datetime | None
) -> tuple[KeyStanding, str]:
    """Make a key, and return it with its secret. Raises Unavailable."""
    secret = new_secret()
    outcome = submit(connection, CreateKey(name, scopes, ends_at, digest_of(secret)))
    if isinstance(outcome, Refusal):
        raise typer.BadParameter("the key would have ended before it is made")
    standing: KeyStanding = outcome
    return standing, key_of(standing.key_id, secret)


def _scope(text: str) -> Scope:
    for scope in SCOPES:
        if scope == text:
            return scope
    raise typer.BadParameter(f"--scope {text}: the scopes are {', '.join(SCOPES)}")


def _checked(name: str) -> str:
    try:
        return msgspec.convert(name, Name)
    except msgspec.ValidationError:
        raise typer.BadParameter("a name has 1 to 200 characters, one of which can be seen") from None


def _validity(key: KeyStanding) -> str:
    if key.revoked_at is not None:
        return f"revoked {timestamp(key.revoked_at)}"
    if key.ends_at is None:
        return "without an end"
    return f"{'ended' if key.ends_at <= system_clock() else 'ends'} {timestamp(key.ends_at)}"


@contextmanager
def _connected(database: str) -> Iterator[Connection]:
    logs.silence()
    with closing(open_shop(database).connect()) as connection:
        yield connection
