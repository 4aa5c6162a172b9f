"""What is wrong with a server, as the fuzzing sees it."""

import tempfile
from pathlib import Path
from typing import Final, NamedTuple

_SHOWN_BYTES: Final = 4_000


class Fault(Exception):
    """The server did what it must not do."""


class Finding(NamedTuple):
    """A step that found a fault, with what it takes to repeat it."""

    step: str
    """Its kind and its seed."""
    fault: str
    sent: bytes
    """What was sent on its connection."""

    def __str__(self) -> str:
        return f"{self.step}: {self.fault}\n  after {self._shown()}"

    def _shown(self) -> str:
        if len(self.sent) <= _SHOWN_BYTES:
            return repr(self.sent)
        with tempfile.NamedTemporaryFile(prefix="jangteo-fuzz-", suffix=".bin", delete=False) as file:
            file.write(self.sent)
        return f"{len(self.sent):,} bytes, which are in {Path(file.name)}"
