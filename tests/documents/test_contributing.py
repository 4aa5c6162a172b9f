"""CONTRIBUTING.md names what exists, and the hooks and the hosted run do what `make` does."""

from __future__ import annotations

import re

import pytest

from tests.documents.code_names import resolves
from tests.documents.markdown import ROOT, backticked

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PYPROJECT = (ROOT / "pyproject.toml").read_text()
NAMES = sorted({text for text in backticked(PAGE) if re.fullmatch(r"[a-z_]+(\.\w+)*\.[A-Za-z_]+", text)})
PATHS = sorted({text for text in backticked(PAGE) if re.fullmatch(r"[\w./-]*/[\w./-]*|[\w-]+\.(?:md|toml|lock)", text)})
BUILT = {"dist/"}


def recipe_of(target: str) -> list[str]:
    """The commands of a make target, as they run."""
    lines = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert lines is not None, target
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in lines[1].splitlines()]


@pytest.mark.parametrize("path", [path for path in PATHS if path not in BUILT])
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / "src" / "jangteo" / path).exists()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in PATHS and not name.endswith(".py")])
def test_every_name_exists(name: str) -> None:
    assert resolves(name)


def test_every_make_target_exists() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", PAGE, re.MULTILINE))
    assert named - set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)) == set()


def test_every_program_is_one_that_we_install() -> None:
    for program in re.findall(r"\.venv/bin/python -m (\w+)(?= build)", PAGE):
        assert f'"{program}>=' in PYPROJECT


def test_contributing_and_hooks_name_what_make_check_runs() -> None:
    checks = recipe_of("check")
    hooks = re.findall(r"^ +entry: (.*)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.MULTILINE)
    assert hooks == checks
    for check in checks:
        assert f"`{check.removeprefix('.venv/bin/')}`" in PAGE


def test_the_hosted_run_does_what_ours_does_on_every_supported_python() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    commands = re.findall(r"^ +- run: (.*)$", workflow, re.MULTILINE)
    assert commands == re.findall(r"^make .*$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    oldest = re.search(r'requires-python = ">=([\d.]+)"', PYPROJECT)
    assert oldest is not None
    assert re.findall(r'"(3\.\d+)"', workflow)[0] == oldest[1]
