"""What the examination of a shop finds: one diagnosis for each check."""

from typing import Literal

from msgspec import Struct

Severity = Literal["ok", "note", "danger"]
"""danger: data that was or will be acknowledged may be lost, or the shop can't be used. note: worth knowing."""


class Diagnosis(Struct, frozen=True):
    """What one check found, in one line."""

    severity: Severity
    subject: str
    """What was checked."""
    found: str
    advice: str = ""
    """What to do, if there is something to do."""

    @property
    def line(self) -> str:
        """What was found, and what to do."""
        return f"{self.found}: {self.advice}" if self.advice else self.found


def ok(subject: str, found: str) -> Diagnosis:
    """Return that all is well."""
    return Diagnosis("ok", subject, found)


def note(subject: str, found: str, advice: str = "") -> Diagnosis:
    """Return what is worth knowing, and endangers nothing."""
    return Diagnosis("note", subject, found, advice)


def danger(subject: str, found: str, advice: str = "") -> Diagnosis:
    """Return what may lose data, or keeps the shop from being used."""
    return Diagnosis("danger", subject, found, advice)
