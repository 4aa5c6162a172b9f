"""The structure of the repository: import directions, sizes and names of files, and no private code that is unused."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src/jangteo/core"
FILES = [
    path
    for pattern in (
        "src/**/*",
        "tests/**/*",
        "bench/**/*",
        "drill/**/*",
        "fuzz/**/*",
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
PYTHON_FILES = [path for path in FILES if path.suffix == ".py"]


def test_imports_run_one_way() -> None:
    linted = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout


def test_every_module_of_core_has_its_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (
        each["layers"]
        for each in contracts
        if each["type"] == "layers" and all("jangteo.core." in layer for layer in each["layers"])
    )
    named = {module.strip() for layer in layers for module in re.split("[|:]", layer)}
    modules = {path.relative_to(CORE).with_suffix("") for path in CORE.rglob("*.py") if path.name != "__init__.py"}
    assert named == {".".join(("jangteo.core", *module.parts)) for module in modules}


def test_files_are_named_for_one_concept() -> None:
    names = {path.stem for path in PYTHON_FILES}
    assert not names & {"utils", "util", "helpers", "helper", "manager", "service", "services", "common", "misc"}


def test_no_file_is_longer_than_350_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in PYTHON_FILES
        if (lines := len(path.read_text().splitlines())) > 350
    }
    assert long == {}


def test_no_private_code_is_unused() -> None:
    unused = {str(path.relative_to(ROOT)): names for path in PYTHON_FILES if (names := unused_private_names(path))}
    assert unused == {}


def test_unused_private_names_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text("_used = 1\n_unused = _used\n\ndef _recursive() -> None:\n    _recursive()\n\nclass _Dead: pass\n")
    assert unused_private_names(path) == {"_unused", "_recursive", "_Dead"}


def unused_private_names(path: Path) -> set[str]:
    """The private names that a module defines at its top level and doesn't use outside of their own definitions."""
    statements = ast.parse(path.read_text()).body
    uses = [
        {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        for statement in statements
    ]
    return {
        name
        for index, statement in enumerate(statements)
        for name in _defined_names(statement)
        if name.startswith("_") and not name.startswith("__") and name != "_"
        if not any(name in used for other, used in enumerate(uses) if other != index)
    }


def _defined_names(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    return set()


def test_no_file_names_a_machine_or_a_package_host() -> None:
    # Put together here, so that this file doesn't contain them either.
    hosts = "|".join((r"py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.(?:org|com)"))
    homes = "|".join(("/ro" + "ot/", r"/ho" + r"me/\w"))
    forbidden = re.compile(f"{hosts}|{homes}", re.IGNORECASE)
    for path in FILES:
        found = forbidden.search(path.read_text())
        assert found is None, f"{path}: {found}"
