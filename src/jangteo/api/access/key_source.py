"""Where an identity provider's keys come from: a file or a URL, read in a thread, within bounds of size and time."""

import http.client
import ipaddress
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final, NoReturn
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from jangteo.settings import InvalidSetting

MAX_BYTES: Final = 262_144
"""The largest key set that is read."""
TIMEOUT_S: Final = 5.0
"""How long one fetch may take, to the end of its body."""
_PIECE_BYTES: Final = 16_384
_OK: Final = 200

Load = Callable[[], bytes]
"""Reads a key set; may take TIMEOUT_S. Raises OSError or ValueError, whose message says what is wrong."""


class InvalidSource(InvalidSetting):
    """The keys can't come from there, as it is named; the message is one line for the operator."""


def open_source(name: str) -> Load:
    """Return what reads the key set of this file or URL. Raises InvalidSource. Reads nothing yet."""
    if "://" not in name:
        path = Path(name)
        return lambda: _read_file(path)
    url = urlsplit(name)
    try:
        secure = url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.hostname or ""))
        usable = bool(url.hostname) and (url.port or 1) > 0
    except ValueError:
        usable = secure = False
    if not (secure and usable) or url.username is not None:
        raise InvalidSource(
            "--customers-jwks must be a file, or a URL https://HOST/PATH without a password; "
            "plain http:// only on loopback, since whoever changes the keys on their way becomes any customer"
        )
    return lambda: _fetch(name)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return _bounded(file.read(MAX_BYTES + 1))


def _fetch(url: str) -> bytes:
    give_up_at = monotonic() + TIMEOUT_S
    request = Request(url, headers={"accept": "application/json", "user-agent": "jangteo"})  # noqa: S310 - http(s) only, see open_source
    try:
        with build_opener(_NoRedirects).open(request, timeout=TIMEOUT_S) as answer:
            if answer.status != _OK:
                raise OSError(f"HTTP {answer.status}")
            body = b""
            while len(body) <= MAX_BYTES and (piece := answer.read1(_PIECE_BYTES)):
                body += piece
                if monotonic() > give_up_at:
                    raise TimeoutError(f"no complete answer within {TIMEOUT_S:g} s")
            return _bounded(body)
    except HTTPError as error:
        error.close()
        raise OSError(f"HTTP {error.code}") from None
    except http.client.HTTPException as error:
        raise OSError(f"the answer is not HTTP: {type(error).__name__}") from None


def _bounded(body: bytes) -> bytes:
    if len(body) > MAX_BYTES:
        raise ValueError(f"a key set of more than {MAX_BYTES:,} bytes is not read")
    return body


class _NoRedirects(HTTPRedirectHandler):
    """A redirect could lead anywhere, to plain HTTP too."""

    def redirect_request(self, *_: object) -> NoReturn:
        raise OSError("redirects are not followed, name the final URL")
