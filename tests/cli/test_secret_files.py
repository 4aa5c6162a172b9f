"""Secrets come from files, too: a variable `…_FILE` names the file that holds what the variable would."""

from __future__ import annotations

from pathlib import Path

import pytest

from jangteo.cli.secret_files import SECRET_VARIABLES, read_secret_files
from jangteo.settings import InvalidSetting
from tests.cli.conftest import Jangteo


@pytest.mark.parametrize("name", SECRET_VARIABLES)
def test_a_secret_is_read_from_the_file_that_its_variable_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("  whsec_abc\nwhsec_def\n")
    environment = {f"{name}_FILE": str(tmp_path / "secret"), "OTHER_FILE": "missing"}
    read_secret_files(environment)
    assert environment[name] == "whsec_abc\nwhsec_def"


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "can't be read: No such file"), (b"\xff", "is no text"), (b" \n", "is empty")]
)
def test_a_file_without_a_secret_is_an_error_that_names_it(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidSetting, match=reason) as error:
        read_secret_files({"JANGTEO_DATABASE_FILE": str(file)})
    assert str(error.value).startswith(f"JANGTEO_DATABASE_FILE names {file}")


def test_a_secret_comes_from_one_place_only(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="are both set; unset one of them"):
        read_secret_files({"JANGTEO_PLATFORM_SECRET": "whsec_abc", "JANGTEO_PLATFORM_SECRET_FILE": str(tmp_path)})


def test_commands_use_what_the_file_holds_and_show_no_secret_of_it(
    jangteo: Jangteo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "database"
    file.write_text("postgresql://ann:pa55-of-the-file@127.0.0.1:1/shop\n")
    # It is unset again after the test, which the command sets it in.
    monkeypatch.setenv("JANGTEO_DATABASE", "")
    monkeypatch.delenv("JANGTEO_DATABASE")
    monkeypatch.setenv("JANGTEO_DATABASE_FILE", str(file))
    failed = jangteo("audit")
    failed.complains("127.0.0.1")
    assert "pa55" not in failed.err
    file.unlink()
    monkeypatch.delenv("JANGTEO_DATABASE")
    jangteo("audit").complains("JANGTEO_DATABASE_FILE names", "can't be read")
