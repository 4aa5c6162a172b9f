"""The secrets in the URLs of databases and platforms: which they are, and how a URL is shown without them."""

import base64
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import unquote

from jangteo.redaction import HIDDEN, SHORTEST

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]@/,%]+)?(:[0-9]{1,5})?")
_DATABASE_HOST: Final = re.compile(r"(\[[^\[\]@/]+\]|[^\s:\[\]@/]+)?(:[0-9]{0,5})?")
"""A folder of sockets may be a host, with its slashes as %2F."""
_DATABASES: Final = frozenset({"postgresql", "postgres"})
_WEBHOOKS: Final = frozenset({"http", "https"})
_TOKENS: Final = frozenset({"http", "https", "nats", "tls"})
"""Kinds where a user without a password may be a token."""
_FILES: Final = frozenset({"file", "sqlite"})
_HARMLESS: Final = frozenset({"mechanism", "security"})
"""A platform's query parameters whose values are shown; others may be secrets."""
_SECRET_NAME: Final = re.compile(r"pass(?!file)|secret|token|scram_", re.IGNORECASE)
"""A database's query parameters whose values are not shown."""
_USUAL: Final = frozenset(
    """
    api apis app callback callbacks cloudevents commerce event events hook hooks in inbound incoming ingest jangteo
    notify order orders post receive receiver services shop shops webhook webhooks v1 v2 v3 v4
    """.split()  # noqa: SIM905 - the words are easier to read as a text
)
"""What the path of a webhook usually consists of; anything else in it may be a secret."""
_AUTHORITY_END: Final = re.compile("[/?#]")
_SPLITS: Final = re.compile(r"[/?#@:,&=]+")


def secrets_of(url: str) -> Iterator[str]:
    """Yield the secrets in a URL: passwords, tokens, values of its query, and unusual parts of a webhook's path."""
    kind, authority, path, query = _split(url)
    if kind in _FILES:
        return
    for host in _hosts_of(kind, authority):
        user, _, password = (host.credentials or "").partition(":")
        # A password that is the user's name, too, is seen by everyone, and would be hidden in every other line.
        if password != user and (password or kind in _TOKENS):
            yield password or user
        if host.credentials:
            yield base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    if _is_torn(kind, authority, path):
        # The pieces are what a driver takes for a host, a port or a name, and quotes in its error.
        torn = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
        yield from (torn, *_SPLITS.split(torn))
    yield from (value for name, value in _parameters(query) if not _is_harmless(kind, name))
    if kind in _WEBHOOKS and any(map(_may_be_secret, path.split("/"))):
        yield from (path, *filter(_may_be_secret, path.split("/")))


def shown_url(url: str) -> str:
    """Return a URL for start lines, logs and status: without what `secrets_of` yields.

    It is also the platform's name, under which the relay is stopped: where a part of a webhook's path is hidden, four
    digits of the path's hash tell two of them apart.
    """
    kind, authority, path, query = _split(url)
    if kind in _FILES:
        return url
    if "://" not in url:
        return HIDDEN if set(url) & set("@=") else url
    if _is_torn(kind, authority, path):
        return f"{kind}://{HIDDEN}"
    hosts = ",".join(_shown_host(kind, host) for host in _hosts_of(kind, authority))
    parts = "/".join(HIDDEN if kind in _WEBHOOKS and _may_be_secret(part) else part for part in path.split("/"))
    shown = [f"{name}={value}" if _is_harmless(kind, name) else _hidden(name) for name, value in _parameters(query)]
    digits = "" if parts == path else f"#{sha256(path.encode()).hexdigest()[:4]}"
    return f"{kind}://{hosts}{parts}{'?' if shown else ''}{'&'.join(shown)}{digits}"


def is_torn(url: str) -> bool:
    """Whether a part of the URL looks like credentials whose special characters aren't percent-encoded."""
    kind, authority, path, _ = _split(url)
    return _is_torn(kind, authority, path)


class _Host(NamedTuple):
    name: str
    """With its port."""
    credentials: str | None


def _split(url: str) -> tuple[str, str, str, str]:
    """Return the kind, the hosts with their credentials, the path and the query; the fragment isn't used."""
    kind, _, rest = url.partition(":")
    kind, rest = kind.lower(), rest.removeprefix("//")
    credentials, at, _ = rest.partition("@")
    # A database's credentials end at the first @ before any slash, whatever else they contain.
    start = len(credentials) if kind in _DATABASES and at and "/" not in credentials else 0
    end = _AUTHORITY_END.search(rest, start)
    authority = rest[: end.start()] if end else rest
    path, _, query = rest[len(authority) :].partition("#")[0].partition("?")
    return kind, authority, path, query


def _hosts_of(kind: str, authority: str) -> list[_Host]:
    """Return the hosts; a platform may repeat the credentials at each, a database has them before the first."""
    if kind in _DATABASES:
        credentials, at, hosts = authority.rpartition("@")
        first, *others = hosts.split(",")
        return [_Host(first, credentials if at else None), *(_Host(each, None) for each in others)]
    split = [host.rpartition("@") for host in authority.split(",")]
    return [_Host(name, credentials if at else None) for credentials, at, name in split]


def _is_torn(kind: str, authority: str, path: str) -> bool:
    hosts = _hosts_of(kind, authority)
    has_credentials = any(host.credentials is not None for host in hosts)
    pattern = _DATABASE_HOST if kind in _DATABASES else _HOST
    if any(pattern.fullmatch(host.name) is None for host in hosts):
        return True
    if has_credentials and hosts[0].credentials is None:
        return True
    if kind in _DATABASES:
        # The library takes the first @ for the end of the credentials.
        return "@" in (hosts[0].credentials or "") or "@" in path
    return "@" in path and kind not in _WEBHOOKS and (has_credentials or ":" in authority)


def _shown_host(kind: str, host: _Host) -> str:
    if host.credentials is None:
        return host.name
    user, colon, password = host.credentials.partition(":")
    if password:
        return f"{user}:{HIDDEN}@{host.name}"
    return f"{HIDDEN if kind in _TOKENS else user}{colon}@{host.name}"


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    """Yield names and values; a value without a name may be a token, so it is the value of no name."""
    for pair in filter(None, query.split("&")):
        name, has_value, value = pair.partition("=")
        yield (name, value) if has_value else ("", name)


def _is_harmless(kind: str, name: str) -> bool:
    if kind in _DATABASES:
        return bool(name) and _SECRET_NAME.search(name) is None
    return name in _HARMLESS


def _hidden(name: str) -> str:
    return f"{name}={HIDDEN}" if name else HIDDEN


def _may_be_secret(part: str) -> bool:
    return len(part) >= SHORTEST and part.lower() not in _USUAL
