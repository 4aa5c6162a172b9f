from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

import pytest

from jangteo.cli import main
from tests.storage.shops import Shop


class SerializedOutcome(NamedTuple):
    """How a command has ended, and what it said."""

    code: int
    out: str
    err: str

    def complains(self, *says: str) -> None:
        """One clear line, and nothing else."""
        assert (self.code, self.out) == (2, ""), self
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("jangteo: ")
        for part in says:
            assert part in self.err


Jangteo = Callable[..., SerializedOutcome]


@pytest.fixture
def jangteo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Jangteo:
    """Run a command in this process, which is several times as fast as in one of its own."""

    def run(*arguments: str) -> SerializedOutcome:
        monkeypatch.setattr(sys, "argv", ["jangteo", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert isinstance(ended.value.code, int)
        return SerializedOutcome(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def kept(database: str) -> Iterator[Shop]:
    """A small shop, not served by anyone unless the test does, on either kind of database."""
    with closing(Shop(database)) as shop:
        shop.set_up()
        yield shop
