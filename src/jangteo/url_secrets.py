"""The secrets in the URLs of databases and platforms: which they are, and how a URL is shown without them."""

import base64
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from jangteo.redaction import HIDDEN, SHORTEST

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]@/,%]+)?(:[0-9]{1,5})?")
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
_SPLITS: Final = re.compile(r"[/?#@:,&=]+")


def secrets_of(url: str) -> Iterator[str]:
    """Yield the secrets in a URL: passwords, tokens, values of its query, and unusual parts of a webhook's path."""
    kind, authority, path, query = _split(url)
    if kind in _FILES:
        return
    for credentials in _credentials_of(kind, authority):
        user, _, password = credentials.partition(":")
        # A password that is the user's name, too, is seen by everyone, and would be hidden in every other line.
        if password != user and (password or kind in _TOKENS):
            yield password or user
        yield base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    if _is_torn(kind, authority, path):
        # The pieces are what a driver takes for a host, a port or a name, and quotes in its error.
        torn = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
        yield from (torn, *_SPLITS.split(torn))
    yield from (value for name, value in _parameters(query) if not _is_harmless(kind, name))
    if kind in _WEBHOOKS and any(map(_may_be_secret, path.split("/"))):
        yield from (path, *filter(_may_be_secret, path.split("/")))


def shown_url(url: str) -> str:
    """Return a URL for start lines, logs and status: without what `secrets_of` yields."""
    kind, authority, path, query = _split(url)
    if kind in _FILES:
        return url
    if "://" not in url:
        return HIDDEN if set(url) & set("@=") else url
    if _is_torn(kind, authority, path):
        return f"{kind}://{HIDDEN}"
    hosts = ",".join(_shown_host(kind, host) for host in authority.split(","))
    parts = "/".join(HIDDEN if kind in _WEBHOOKS and _may_be_secret(part) else part for part in path.split("/"))
    shown = [f"{name}={value}" if _is_harmless(kind, name) else _hidden(name) for name, value in _parameters(query)]
    return f"{kind}://{hosts}{parts}{'?' if shown else ''}{'&'.join(shown)}"


def is_torn(url: str) -> bool:
    """Whether a part of the URL looks like credentials whose special characters aren't percent-encoded."""
    kind, authority, path, _ = _split(url)
    return _is_torn(kind, authority, path)


def _split(url: str) -> tuple[str, str, str, str]:
    """Return the kind, the hosts with their credentials, the path and the query; the fragment isn't used."""
    kind, _, rest = url.partition(":")
    kind = kind.lower()
    rest = rest.removeprefix("//")
    # A database's credentials end at the first @ before any slash; other URLs' with the hosts, by RFC 3986.
    ends = "/" if kind in _DATABASES and "@" in rest.partition("/")[0] else "/?#"
    start = rest.partition("@")[0] if ends == "/" else ""
    end = re.search("[/?#]", rest[len(start) :])
    authority = rest[: len(start) + end.start()] if end else rest
    path, _, query = rest[len(authority) :].partition("#")[0].partition("?")
    return kind, authority, path, query


def _is_torn(kind: str, authority: str, path: str) -> bool:
    hosts = authority.split(",")
    # The library takes a database's first @ for the end of the credentials.
    twice = kind in _DATABASES and authority.count("@") > 1
    late = "@" in authority and kind not in _DATABASES and "@" not in hosts[0]
    broken = any(_HOST.fullmatch(host.rpartition("@")[2]) is None for host in hosts)
    behind = "@" in path and kind not in _WEBHOOKS and (kind in _DATABASES or bool(set(authority) & set("@:")))
    return twice or late or broken or behind


def _credentials_of(kind: str, authority: str) -> Iterator[str]:
    parts = [authority] if kind in _DATABASES else authority.split(",")
    for part in parts:
        credentials, at, _ = part.rpartition("@")
        if at:
            yield credentials


def _shown_host(kind: str, host: str) -> str:
    credentials, at, name = host.rpartition("@")
    if not at:
        return name
    user, has_password, password = credentials.partition(":")
    if password:
        return f"{user}:{HIDDEN}@{name}"
    return f"{HIDDEN if kind in _TOKENS else user}{':' * bool(has_password)}@{name}"


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
