from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest
import typer.main

from jangteo import __version__
from jangteo.cli.main import app
from tests.serving import JANGTEO, audit

ROOT = Path(__file__).parents[2]
COMMANDS = typer.main.get_command(app)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([JANGTEO, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_version() -> None:
    assert run("--version").stdout == f"jangteo {__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["audit", "--nonsense"], ["audit", "extra"]])
def test_what_is_unknown_is_one_line_and_exit_code_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert arguments[-1] in result.stderr


def test_every_option_has_help_and_a_variable_and_is_in_the_documentation() -> None:
    documented = (ROOT / "docs" / "command-line.md").read_text()
    commands = COMMANDS.commands if hasattr(COMMANDS, "commands") else {}
    assert set(commands) == {"serve", "migrate", "audit", "copy"}
    for name, command in commands.items():
        assert f"jangteo {name}" in documented
        assert run(name, "--help").returncode == 0
        for option in command.params:
            assert getattr(option, "help", None), option.name
            assert option.envvar, option.name
            assert option.opts[-1] in documented, option.name
            assert str(option.envvar) in documented, option.name


def test_audit_is_green_and_then_red(sqlite_database: str) -> None:
    green = audit(sqlite_database)
    assert (green.returncode, green.stdout.splitlines()[-1]) == (0, "The books are right.")
    raw = sqlite3.connect(sqlite_database.removeprefix("sqlite:///"))
    raw.execute("INSERT INTO users (id, balance, created_at) VALUES (1, 5, 0)")
    raw.commit()
    raw.close()
    red = audit(sqlite_database)
    assert red.returncode == 1
    assert (
        "BROKEN every balance is the sum of its ledger (1 checked)\n         user 1: balance 5, ledger 0" in red.stdout
    )
    assert red.stdout.splitlines()[-1] == "1 invariant(s) broken"


def test_audit_of_nothing_creates_nothing(tmp_path: Path) -> None:
    result = audit(f"sqlite:///{tmp_path / 'shop.db'}")
    assert (result.returncode, "is not there" in result.stderr) == (2, True)
    (tmp_path / "empty.db").touch()
    result = audit(f"sqlite:///{tmp_path / 'empty.db'}")
    assert (result.returncode, "holds no shop yet" in result.stderr) == (2, True)
    assert [each.name for each in tmp_path.iterdir()] == ["empty.db"]


def test_without_a_command_the_help_is_shown() -> None:
    result = run()
    assert result.returncode == 0
    assert "serve" in result.stdout
    assert "audit" in result.stdout
    assert result.stdout.count("\n") > 5
