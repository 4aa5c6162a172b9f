"""The house stands as it is drawn: import directions, file sizes, and nothing of any one machine in our files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = [
    path
    for pattern in (
        "src/**/*",
        "tests/**/*",
        "bench/**/*",
        "docs/**/*",
        "examples/**/*",
        "*.md",
        "*.toml",
        "*.lock",
        "Makefile",
        ".ci/*",
        ".github/**/*",
        ".pre-commit-config.yaml",
    )
    for path in ROOT.glob(pattern)
    if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".png"
]


RENDERED = {
    "table",
    "table.name",
    "insert.table.name",
    "change.table.name",
    "', '.join(insert.columns)",
    "values",
    "columns",
    "found",
    "place",
    "sequence",
    "steps",
    "texts",
    "unchanged",
    "', '.join(write.columns)",
    "arrays",
    "number",
    "changes",
    "names",
    "key",
}


def test_imports_run_one_way() -> None:
    linted = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout


def test_no_room_is_a_lumber_room() -> None:
    names = {path.stem for path in OURS if path.suffix == ".py"}
    assert not names & {"utils", "util", "helpers", "helper", "manager", "service", "services", "common", "misc"}


def test_no_file_needs_scrolling_for_minutes() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in OURS
        if path.suffix == ".py" and (lines := len(path.read_text().splitlines())) > 350
    }
    assert long == {}


def test_sql_is_bound_and_never_formatted_with_values() -> None:
    """f-strings with SQL lock only constants, and the names of the schema's own tables and columns."""
    for path in (ROOT / "src/jangteo/storage").glob("*.py"):
        for sql in re.findall(r'f"""(?:.|\n)*?"""|f"[^"\n]*(?:SELECT|FROM|WHERE)[^"\n]*"', path.read_text()):
            if re.search(r"SELECT|INSERT|UPDATE|DELETE", sql):
                put_in = set(re.findall(r"{([^}]*)}", sql))
                assert {name for name in put_in if not re.fullmatch("_[A-Z_]+", name)} <= RENDERED, (
                    f"{path.name}: {sql}"
                )


def test_no_file_names_a_machine_or_where_packages_come_from() -> None:
    # Put together here, so that this file doesn't name them either.
    hosts = "|".join((r"py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.(?:org|com)"))
    homes = "|".join(("/ro" + "ot/", r"/ho" + r"me/\w"))
    forbidden = re.compile(f"{hosts}|{homes}", re.IGNORECASE)
    for path in OURS:
        found = forbidden.search(path.read_text())
        assert found is None, f"{path}: {found}"
