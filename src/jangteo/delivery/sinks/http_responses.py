"""What an HTTP platform's responses and connection errors mean, in one line and without secrets."""

import os
import time
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

import aiohttp

from jangteo.delivery.sinks.bounded_responses import RESPONSE_MAX_BYTES, TOO_LONG
from jangteo.foreign_text import decode, one_line

RETRY_AFTER_MAX_S: Final = 3_600.0
"""The longest wait that a platform can ask for."""
_DESCRIBED_CHARACTERS: Final = 200


class HttpResponse(NamedTuple):
    """A status, its Retry-After header as it was sent, and the beginning of the body."""

    status: int
    retry_after: str | None
    body: bytes

    def describe(self) -> str:
        """Return a line like `HTTP 422: the body's text`."""
        return f"HTTP {self.status}: {one_line(decode(self.body), _DESCRIBED_CHARACTERS)}".rstrip(": ")


def parse_retry_after(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After header, at most an hour; None if it is missing or can't be parsed."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        # Longer numbers exceed the maximum anyway; converting them could take long.
        return min(float(text[:9]), RETRY_AFTER_MAX_S) if len(text) <= len("999999999") else RETRY_AFTER_MAX_S
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S)


def describe_error(error: Exception) -> str:  # noqa: PLR0911 - one for each kind of error
    """Return why there was no response, in our own words: the client's may quote the URL and its secrets."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the host's name can't be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return (
                f"the certificate can't be trusted: {getattr(error.certificate_error, 'verify_message', 'no reason')}"
            )
        case aiohttp.ClientSSLError():
            return "the server doesn't speak TLS"
        case aiohttp.ClientConnectorError():
            return f"can't connect: {_reason(error.os_error)}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without a response"
        case aiohttp.ClientPayloadError():
            return "the response was cut off"
        case OSError() if error.errno == TOO_LONG:
            return f"the response has more than {RESPONSE_MAX_BYTES // 2**20} MiB"
        case OSError():
            return f"the connection broke: {_reason(error)}"
        case _:
            return f"no valid HTTP response ({type(error).__name__})"


def _reason(error: OSError) -> str:
    return type(error).__name__ if error.errno is None else os.strerror(error.errno)
