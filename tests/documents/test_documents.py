"""The documents agree with the code: calls, variables, links, paths and names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from jangteo.api.routes import ROUTES
from jangteo.cli.main import app
from jangteo.cli.secret_files import SECRET_VARIABLES, SUFFIX
from tests.documents.code_names import is_code_name, resolves
from tests.documents.http_api import render
from tests.documents.markdown import DOCUMENTS, ROOT, anchors, backticked, links

NAMES_OF = {path: str(path.relative_to(ROOT)) for path in DOCUMENTS}


def test_the_page_of_the_http_api_is_rendered_from_the_code() -> None:
    page = (ROOT / "docs" / "http-api.md").read_text()
    assert page == render(), "run: .venv/bin/python -m tests.documents.http_api > docs/http-api.md"
    for route in ROUTES:
        assert f"| {route.method} | `{route.path}` |" in page


def test_documents_name_every_variable_and_no_other() -> None:
    in_documents = {
        variable for path in DOCUMENTS for variable in re.findall(r"JANGTEO_[A-Z_]*[A-Z]", path.read_text())
    }
    files = {name + SUFFIX for name in SECRET_VARIABLES}
    assert in_documents == variables_of(typer.main.get_command(app)) | files


def variables_of(command: Any) -> set[str]:
    """The environment variables of a command and of the commands behind it."""
    own = {parameter.envvar for parameter in command.params if parameter.envvar}
    return own.union(*(variables_of(each) for each in getattr(command, "commands", {}).values()))


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES_OF.get)
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = []
    for link in links(document.read_text()):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES_OF.get)
def test_every_path_and_name_of_the_code_exists(document: Path) -> None:
    missing = [text for text in backticked(document.read_text()) if is_missing(text, document.parent)]
    assert not missing, "\n".join(missing)


def is_missing(text: str, folder: Path) -> bool:
    """Whether this names a file, a module or a name of ours that isn't there."""
    if re.fullmatch(r"[\w./-]+\.(?:py|md|toml|sql|lua|yml)", text):
        known = any((parent / text).exists() for parent in (ROOT, ROOT / "src" / "jangteo", folder))
        return not known and ("/" in text or not any((ROOT / "src").rglob(text)))
    if text.startswith("python -m "):
        module = ROOT / text.split()[2].replace(".", "/")
        return not (module.with_suffix(".py").exists() or (module / "__main__.py").exists())
    return is_code_name(text) and not resolves(text)
