"""What an HTTP platform's answers, and the lack of one, mean: in one line, without any secret."""

import os
import time
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

import aiohttp

LONGEST_WAIT_S: Final = 3_600.0
"""Whatever a platform asks for, it is asked again after this."""
_TOLD_CHARACTERS: Final = 200


class Answer(NamedTuple):
    """A status, its Retry-After as it was sent, and the beginning of the body."""

    status: int
    retry_after: str | None
    body: bytes

    @property
    def told(self) -> str:
        """Like `HTTP 422: the body's text`, in one line."""
        text = "".join(
            character if character.isprintable() else " " for character in self.body.decode(errors="replace")
        )
        return f"HTTP {self.status}: {' '.join(text.split())[:_TOLD_CHARACTERS]}".rstrip(": ")


def wait_asked_for(retry_after: str | None) -> float | None:
    """The seconds of a Retry-After, at most an hour; None where there is none that can be understood."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        # More digits than any sensible wait has are not even read.
        return min(float(text[:9]), LONGEST_WAIT_S) if len(text) <= len("999999999") else LONGEST_WAIT_S
    try:
        seconds = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S)


def why_no_answer(error: Exception) -> str:  # noqa: PLR0911 - one for each kind of trouble
    """In our own words: what a client's error says may lock the URL."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "the host's name can't be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return (
                f"the certificate can't be trusted: {getattr(error.certificate_error, 'verify_message', 'no reason')}"
            )
        case aiohttp.ClientSSLError():
            return "there is no TLS where it was looked for"
        case aiohttp.ClientConnectorError():
            return f"can't connect: {_reason(error.os_error)}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case aiohttp.ClientPayloadError():
            return "the answer was cut off"
        case OSError():
            return f"the connection broke: {_reason(error)}"
        case _:
            return f"no proper HTTP answer ({type(error).__name__})"


def _reason(error: OSError) -> str:
    return type(error).__name__ if error.errno is None else os.strerror(error.errno)
