"""The command for a missing extra fits how Jangteo was installed, and asks no registry for Jangteo itself."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from jangteo.delivery.sinks import extras
from jangteo.delivery.sinks.extras import how_to_install

METADATA = """Metadata-Version: 2.4
Name: jangteo
Version: 0.1.0
Requires-Dist: msgspec>=0.20
Requires-Dist: aiohttp>=3.12; extra == 'http'
Requires-Dist: nats-py>=2.16; extra == "nats"
"""
PYTHON = "/opt/its place/bin/python"


def install(monkeypatch: pytest.MonkeyPatch, prefix: Path, installer: str, origin: object = None) -> None:
    """Have Jangteo installed in this environment."""
    info = prefix / "jangteo-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "INSTALLER").write_text(f"{installer}\n")
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.setattr(extras, "distribution", lambda _: PathDistribution(info))
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "executable", PYTHON)


CHECKOUT = {"dir_info": {"editable": True}, "url": "file:///srv/shop%20core"}
WHEEL = {"archive_info": {}, "url": "file:///tmp/jangteo-0.1.0-py3-none-any.whl"}


@pytest.mark.parametrize(
    ("installer", "origin", "file", "command"),
    [
        ("pip", None, None, f"'{PYTHON}' -m pip install 'aiohttp>=3.12'"),
        ("pip", WHEEL, None, f"'{PYTHON}' -m pip install 'aiohttp>=3.12'"),
        ("pip", CHECKOUT, None, f"'{PYTHON}' -m pip install -e '/srv/shop core[http]'"),
        ("uv", None, None, f"uv pip install --python '{PYTHON}' 'aiohttp>=3.12'"),
        ("uv", CHECKOUT, None, f"uv pip install --python '{PYTHON}' -e '/srv/shop core[http]'"),
        ("uv", WHEEL, "uv-receipt.toml", f"uv pip install --python '{PYTHON}' 'aiohttp>=3.12'"),
        ("pip", WHEEL, "pipx_metadata.json", "pipx inject jangteo 'aiohttp>=3.12'"),
    ],
)
def test_the_command_fits_the_installation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installer: str, origin: object, file: str | None, command: str
) -> None:
    install(monkeypatch, tmp_path, installer, origin)
    if file is not None:
        (tmp_path / file).touch()
    assert how_to_install("http") == command


def test_every_extra_has_its_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, tmp_path, "pip")
    assert how_to_install("nats").endswith("-m pip install 'nats-py>=2.16'")
