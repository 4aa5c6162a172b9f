"""The extras of network platforms: how to install what one lacks, into the environment that runs."""

import json
import re
import shlex
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_PACKAGE: Final = "jangteo"


def how_to_install(extra: str) -> str:
    """Return the command that installs the clients of an extra, as far as it is certain how this was installed."""
    try:
        found = distribution(_PACKAGE)
    except PackageNotFoundError:
        return f"it is not installed as a package; install the clients of {extra} in pyproject.toml"
    # Named are the clients and not the extra: that would look for this package in a registry.
    clients = shlex.join(_clients(found, extra))
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").exists():
        return f"pipx inject {_PACKAGE} {clients}"
    folder = _checkout(found)
    what = clients if folder is None else f"-e {shlex.quote(f'{folder}[{extra}]')}"
    if (prefix / "uv-receipt.toml").exists() or (found.read_text("INSTALLER") or "").strip() == "uv":
        return f"uv pip install --python {shlex.quote(sys.executable)} {what}"
    return f"{shlex.quote(sys.executable)} -m pip install {what}"


def _clients(found: Distribution, extra: str) -> list[str]:
    marked = [requirement.partition(";") for requirement in found.requires or ()]
    return [client.strip() for client, _, marker in marked if re.search(rf"extra == ['\"]{extra}['\"]", marker)]


def _checkout(found: Distribution) -> str | None:
    """Return the folder of a checkout that is installed as it is; None if this is no checkout."""
    origin: dict[str, Any] = json.loads(found.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return unquote(urlsplit(origin.get("url", "")).path)
