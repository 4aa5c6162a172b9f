from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main

from jangteo import __version__
from jangteo.cli.main import app
from tests.cli.conftest import Jangteo
from tests.serving import JANGTEO, audit

ROOT = Path(__file__).parents[2]


def commands_of(command: Any) -> Mapping[str, Any]:
    """Return the subcommands of a command."""
    found: Mapping[str, Any] = getattr(command, "commands", {})
    return found


COMMANDS = commands_of(typer.main.get_command(app))
EVENTS = {f"events {name}": command for name, command in commands_of(COMMANDS["events"]).items()}
TOP = {f"top {name}": command for name, command in commands_of(COMMANDS["top"]).items()}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([JANGTEO, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_version() -> None:
    assert run("--version").stdout == f"jangteo {__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["audit", "--nonsense"], ["audit", "extra"]])
def test_unknown_arguments_are_reported_in_one_line_with_exit_code_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert arguments[-1] in result.stderr


def test_the_commands_are_complete() -> None:
    assert set(COMMANDS) == {"serve", "relay", "migrate", "audit", "doctor", "copy", "events", "top"}
    assert set(EVENTS) == {f"events {name}" for name in ("status", "list", "show", "retry", "replay", "resume")}
    assert set(TOP) == {"top status", "top rebuild"}


@pytest.mark.parametrize("name", [*COMMANDS, *EVENTS, *TOP])
def test_every_option_has_help_a_variable_and_documentation(name: str, jangteo: Jangteo) -> None:
    chapter = documentation_of(name.partition(" ")[0])
    assert f"jangteo {name}" in chapter
    assert jangteo(*name.split(), "--help").code == 0
    command = {**COMMANDS, **EVENTS, **TOP}[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), parameter.name
        if parameter.param_type_name == "argument":
            continue
        assert parameter.envvar, parameter.name
        for spelled in (*parameter.opts, *parameter.secondary_opts):
            assert spelled in chapter, spelled
        assert f"`{parameter.envvar}`" in chapter, parameter.name


def documentation_of(command: str) -> str:
    """Return the chapter about a command, with its heading."""
    _, heading, behind = (ROOT / "docs" / "command-line.md").read_text().partition(f"\n## `jangteo {command}`\n")
    return heading + behind.partition("\n## ")[0]


def test_audit_reports_a_broken_invariant(sqlite_database: str) -> None:
    intact = audit(sqlite_database)
    assert (intact.returncode, intact.stdout.splitlines()[-1]) == (0, "The books are right.")
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


def test_audit_creates_no_files(tmp_path: Path) -> None:
    result = audit(f"sqlite:///{tmp_path / 'shop.db'}")
    assert (result.returncode, "is not there" in result.stderr) == (2, True)
    (tmp_path / "empty.db").touch()
    result = audit(f"sqlite:///{tmp_path / 'empty.db'}")
    assert (result.returncode, "holds no shop yet" in result.stderr) == (2, True)
    assert [each.name for each in tmp_path.iterdir()] == ["empty.db"]


def test_without_a_command_help_is_printed() -> None:
    result = run()
    assert result.returncode == 0
    assert "serve" in result.stdout
    assert "audit" in result.stdout
    assert result.stdout.count("\n") > 5
