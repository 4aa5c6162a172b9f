r"""Text that others wrote (platforms, servers, libraries, customers), made fit for a terminal and a column.

Control characters would act on a terminal, and others mislead the eye; each is shown escaped, as `\x1b`.
"""

import json
import re
from collections.abc import Callable
from typing import Final

from jangteo.redaction import redaction

LINE_MAX: Final = 1_000
"""The most characters of a line, unless a caller wants fewer."""
_NOT_PLAIN: Final = re.compile(r"[^ -~]")
_LINE_BREAKS: Final = frozenset("\n\t")


def one_line(text: str, characters_max: int = LINE_MAX) -> str:
    """Return a text as one line of printable characters, without secrets, and no longer than this."""
    # Redacted before anything else: a part of a secret would not be recognized.
    line = " ".join(redaction.redact(text).split())
    return escape(line[:characters_max])[:characters_max]


def escape(text: str) -> str:
    """Return a text whose characters can be printed; line breaks and tabs are kept."""
    return _replace(text, lambda character: character.encode("unicode_escape").decode())


def escape_json(text: str) -> str:
    """Return the same JSON without characters that can't be printed: outside of strings it has none."""
    return _replace(text, lambda character: json.dumps(character)[1:-1])


def decode(data: bytes) -> str:
    r"""Return a text for bytes that should be UTF-8; those that aren't are shown as `\xff`."""
    return data.decode(errors="backslashreplace")


def _replace(text: str, escaped: Callable[[str], str]) -> str:
    def replacement(found: re.Match[str]) -> str:
        character = found[0]
        return character if character.isprintable() or character in _LINE_BREAKS else escaped(character)

    return _NOT_PLAIN.sub(replacement, text)
