from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

import pytest

from jangteo.cli import main
from tests.storage.shops import Shop


class CommandResult(NamedTuple):
    """A command's exit code and output."""

    code: int
    out: str
    err: str

    def complains(self, *says: str) -> None:
        """Check that it failed with exit code 2 and one line on standard error."""
        assert (self.code, self.out) == (2, ""), self
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("jangteo: ")
        for part in says:
            assert part in self.err


Jangteo = Callable[..., CommandResult]


@pytest.fixture
def jangteo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Jangteo:
    """Run commands in this process, which is several times as fast as in processes of their own."""

    def run(*arguments: str) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["jangteo", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert isinstance(ended.value.code, int)
        return CommandResult(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def kept(database: str) -> Iterator[Shop]:
    """A small shop on either kind of database, not served."""
    with closing(Shop(database)) as shop:
        shop.set_up()
        yield shop
