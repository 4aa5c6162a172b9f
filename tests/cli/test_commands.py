from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer.main

from jangteo import __version__
from jangteo.cli.main import app
from tests.cli.conftest import Jangteo
from tests.serving import JANGTEO, audit
from tests.storage.shops import Shop

ROOT = Path(__file__).parents[2]


def commands_of(command: Any) -> Mapping[str, Any]:
    """Return the subcommands of a command."""
    found: Mapping[str, Any] = getattr(command, "commands", {})
    return found


COMMANDS = commands_of(typer.main.get_command(app))
EVENTS = {f"events {name}": command for name, command in commands_of(COMMANDS["events"]).items()}
KEYS = {f"keys {name}": command for name, command in commands_of(COMMANDS["keys"]).items()}
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
    assert set(COMMANDS) == {"serve", "relay", "migrate", "audit", "doctor", "copy", "events", "keys", "top"}
    assert set(EVENTS) == {f"events {name}" for name in ("status", "list", "show", "retry", "replay", "resume")}
    assert set(KEYS) == {"keys create", "keys list", "keys revoke"}
    assert set(TOP) == {"top status", "top rebuild"}


@pytest.mark.parametrize("name", [*COMMANDS, *EVENTS, *KEYS, *TOP])
def test_every_option_has_help_a_variable_and_documentation(name: str, jangteo: Jangteo) -> None:
    chapter = documentation_of(name.partition(" ")[0])
    assert f"jangteo {name}" in chapter
    assert jangteo(*name.split(), "--help").code == 0
    command = {**COMMANDS, **EVENTS, **KEYS, **TOP}[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), parameter.name
        if parameter.param_type_name == "argument":
            continue
        assert parameter.envvar, parameter.name
        for spelled in (*parameter.opts, *parameter.secondary_opts):
            assert spelled in chapter, spelled
        assert f"`{parameter.envvar}`" in chapter, parameter.name


@pytest.mark.parametrize("name", ["", *COMMANDS, *EVENTS, *KEYS, *TOP])
def test_h_is_help_everywhere(name: str, jangteo: Jangteo) -> None:
    short, long = (jangteo(*name.split(), option) for option in ("-h", "--help"))
    assert short == long
    assert (short.code, short.err) == (0, "")
    assert short.out.startswith(f"Usage: jangteo {name}".rstrip())


def test_a_variable_has_one_meaning_in_all_commands() -> None:
    meanings: dict[str, set[str]] = {}
    for command in {**COMMANDS, **EVENTS, **KEYS, **TOP}.values():
        for each in command.params:
            if each.param_type_name == "option" and each.envvar:
                described = (each.opts, each.secondary_opts, each.type_descriptor.annotation, each.default, each.help)
                meanings.setdefault(each.envvar, set()).add(repr(described))
    assert {variable: found for variable, found in meanings.items() if len(found) > 1} == {}


def test_the_port_that_kubernetes_sets_for_a_service_of_this_name_is_ignored(
    jangteo: Jangteo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JANGTEO_PORT", "tcp://10.0.0.7:8000")
    assert jangteo("--version").code == 0
    assert "JANGTEO_PORT" not in os.environ
    monkeypatch.setenv("JANGTEO_PORT", "eighty")
    jangteo("serve").complains("JANGTEO_PORT", "valid integer")


@pytest.mark.parametrize("command", ["audit", "doctor", "events status", "events list", "top status"])
def test_json_is_one_document_and_nothing_else(command: str, jangteo: Jangteo, kept: Shop, tmp_path: Path) -> None:
    platform = ["--platform", f"file:{tmp_path / 'events.jsonl'}"] if command == "doctor" else []
    printed = jangteo(*command.split(), "--json", "--database", kept.database, *platform)
    # The doctor finds that the tests' databases give up durability for speed.
    assert (printed.code, printed.err) == (int(command == "doctor" and printed.code == 1), "")
    assert isinstance(json.loads(printed.out), dict)
    assert printed.out.count("\n") == 1


def test_json_of_a_command_that_cannot_run_is_one_line_on_standard_error(jangteo: Jangteo, tmp_path: Path) -> None:
    for command in ("audit", "events status", "events list", "top status"):
        jangteo(*command.split(), "--json", "--database", f"sqlite:///{tmp_path}/none.db").complains("is not there")


def test_completion_is_shown_and_completes(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "HOME": str(tmp_path)}
    completing = {"_JANGTEO_COMPLETE": "complete_bash", "COMP_WORDS": "jangteo ev", "COMP_CWORD": "1"}
    completed = subprocess.run(
        [JANGTEO], capture_output=True, text=True, check=False, timeout=60, env=environment | completing
    )
    assert (completed.stdout.split(), completed.stderr) == (["events"], "")


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


def test_audit_as_json_says_what_is_broken(sqlite_database: str, jangteo: Jangteo) -> None:
    intact = jangteo("audit", "--json", "--database", sqlite_database)
    assert (intact.code, json.loads(intact.out)["booksAreRight"]) == (0, True)
    with closing(sqlite3.connect(sqlite_database.removeprefix("sqlite:///"))) as raw:
        raw.execute("INSERT INTO users (id, balance, created_at) VALUES (1, 5, 0), (2, 6, 0)")
        raw.commit()
    red = jangteo("audit", "--json", "--show", "1", "--database", sqlite_database)
    found = json.loads(red.out)
    assert (red.code, red.err, found["booksAreRight"]) == (1, "", False)
    assert found["invariants"][0] == {
        "invariant": "every balance is the sum of its ledger",
        "checkedRows": 2,
        "brokenRows": 2,
        "broken": ["user 1: balance 5, ledger 0"],
    }


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
