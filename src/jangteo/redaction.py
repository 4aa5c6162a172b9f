"""Redaction: secrets that this process knows appear in nothing that it logs, prints or stores.

Each secret is recognized by its value, in whatever a driver, a library or a platform says. Whoever is given a URL or a
key hides its secrets here before it is used.
"""

import html
import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN: Final = "***"
SHORTEST: Final = 4
"""A shorter text is no secret worth the name, and would be found in every line."""
_LONG: Final = 12
"""From this length on a secret is also found within a word; a shorter one, such as `postgres`, is a word by itself."""
_PERCENT: Final = re.compile(r"%..")
_WORD_START: Final = r"(?:(?<![^\W_])|(?<=\\[nrtf]))"
_WORD_END: Final = r"(?![^\W_])"


class Redaction:
    """Replaces secrets by `***`, as they are, percent-encoded or decoded, or escaped for JSON or HTML."""

    def __init__(self) -> None:
        self._forms: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def hide(self, secrets: Iterable[str]) -> None:
        """From now on hide these secrets, too. May be called in any thread."""
        forms = self._forms | {form for secret in secrets for form in _forms_of(secret) if len(form) >= SHORTEST}
        if forms != self._forms:
            # The longest first: one may be a part of another.
            ordered = sorted(forms, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(map(_pattern_of, ordered)))
            self._forms = forms

    def redact(self, text: str) -> str:
        """Return the text without the secrets."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def redact_values(self, value: object) -> object:
        """Return a value of JSON without the secrets; names of fields are ours. Other objects become texts."""
        match value:
            case str():
                return self.redact(value)
            case None | bool() | int() | float():
                return value
            case list() | tuple():
                return [self.redact_values(each) for each in value]
            case dict():
                return {name: self.redact_values(each) for name, each in value.items()}
            case _:
                return self.redact(repr(value))

    def clear(self) -> None:
        """Hide nothing any more."""
        self._forms, self._pattern = frozenset(), None


redaction: Final = Redaction()
"""The secrets of this process."""


def _forms_of(secret: str) -> Iterable[str]:
    plain = {secret, unquote(secret), unquote_plus(secret)}
    for each in plain:
        for encoded in (quote(each, safe=""), quote_plus(each)):
            yield from (encoded, _PERCENT.sub(lambda found: found[0].lower(), encoded))
        yield each
        yield from (json.dumps(each)[1:-1], json.dumps(each, ensure_ascii=False)[1:-1], html.escape(each))


def _pattern_of(form: str) -> str:
    return re.escape(form) if len(form) >= _LONG else f"{_WORD_START}{re.escape(form)}{_WORD_END}"
