"""What browsers may do: reach the server by its own names, and change something for its own and for allowed pages."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from jangteo.api import problems
from jangteo.api.access.hosts import Hosts
from jangteo.api.http.messages import Header, Request, Response
from jangteo.api.requests import Malformed
from jangteo.settings import InvalidSetting

PAGE_HEADERS: Final[tuple[Header, ...]] = (
    # The pages load nothing; this tells the browser to refuse anything they would load.
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""What every page carries."""

_ORIGIN: Final = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITES: Final = (b"same-origin", b"none")
_HEALTH: Final = "/health/"
"""Whoever checks a server's health names it by any address, and learns nothing."""
_WANTED: Final = frozenset({b"host", b"origin", b"sec-fetch-site"})
_VARY: Final = (b"vary", b"origin")
_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"link, as-of, retry-after, ratelimit, ratelimit-policy, idempotency-replayed, www-authenticate",
)
_PREFLIGHT: Final[tuple[Header, ...]] = (
    (b"access-control-allow-headers", b"authorization, content-type, idempotency-key"),
    (b"access-control-max-age", b"600"),
)


class InvalidOrigin(InvalidSetting):
    """A text is no origin; the message is one line for the operator."""


class Browsers:
    """The rules for browsers. Programs are not concerned, but for the names of the server."""

    def __init__(self, hosts: Hosts, origins: Iterable[str] = ()) -> None:
        """`origins` are those whose pages may call the server, as `https://shop.example.com`. Raises InvalidOrigin."""
        self._hosts = hosts
        self._origins = frozenset(map(_read_origin, origins))

    def check(self, request: Request) -> None:
        """Raise Malformed for a host that isn't this server's, and for what another site's page would change."""
        found = _wanted_headers(request)
        host = found.get(b"host")
        # Only HTTP/1.0 has none, which no browser speaks.
        if host is not None and not self._hosts.has(host) and not request.path.startswith(_HEALTH):
            raise Malformed("Host", problems.MISDIRECTED.meaning, problems.MISDIRECTED)
        if request.method not in _READING and found.get(b"origin") not in self._origins:
            _check_site(found)

    def preflight(self, request: Request, methods: str) -> Response | None:
        """Answer a browser that asks whether a page of an allowed origin may send a request (CORS); otherwise None.

        `let_read` names the origin.
        """
        names = {name for name, _ in request.headers}
        if request.method != "OPTIONS" or b"access-control-request-method" not in names:
            return None
        origin = _wanted_headers(request).get(b"origin")
        if origin not in self._origins:
            raise Malformed("Origin", problems.CROSS_SITE.meaning, problems.CROSS_SITE)
        return Response(204, [(b"access-control-allow-methods", methods.encode()), *_PREFLIGHT], b"")

    def let_read(self, request: Request, response: Response) -> Response:
        """Return the response as a page of an allowed origin may read it."""
        if not self._origins:
            return response
        origin = _wanted_headers(request).get(b"origin")
        added: Sequence[Header] = (_VARY,)
        if origin is not None and origin in self._origins:
            added = ((b"access-control-allow-origin", origin), _EXPOSED, _VARY)
        # Not in place: equal requests share their response.
        return response._replace(headers=[*response.headers, *added])


def _wanted_headers(request: Request) -> dict[bytes, bytes]:
    return {name: value.strip() for name, value in request.headers if name in _WANTED}


def _check_site(found: dict[bytes, bytes]) -> None:
    """Raise Malformed for what a browser sends for a page of another site.

    Browsers send Sec-Fetch-Site only over connections that are secure; over others they name the page's Origin.
    """
    site, origin = found.get(b"sec-fetch-site"), found.get(b"origin")
    if site is not None:
        if site not in _OWN_SITES:
            raise Malformed("Sec-Fetch-Site", problems.CROSS_SITE.meaning, problems.CROSS_SITE)
    elif origin is not None:
        host = origin.partition(b"://")[2]
        if not host or host.lower() != found.get(b"host", b"").lower():
            raise Malformed("Origin", problems.CROSS_SITE.meaning, problems.CROSS_SITE)


def _read_origin(text: str) -> bytes:
    if not _ORIGIN.fullmatch(text):
        raise InvalidOrigin(
            f"--allowed-origin {text!r} is no origin: write https://shop.example.com, in lower case and without a path"
        )
    return text.encode()
