"""Secrets from files: a variable `…_FILE` names the file that holds what the variable without it would.

So orchestrators hand them over, and the environment, which children and crash reports carry on, doesn't have them.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from jangteo.settings import InvalidSetting

SECRET_VARIABLES: Final = (
    "JANGTEO_DATABASE",
    "JANGTEO_PLATFORM",
    "JANGTEO_PLATFORM_SECRET",
    "JANGTEO_FROM",
    "JANGTEO_TO",
)
"""The variables that may hold a secret."""
SUFFIX: Final = "_FILE"
_MAX_BYTES: Final = 65_536


def read_secret_files(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set each variable whose `…_FILE` is set to what the file holds, without white space around it.

    Raises InvalidSetting, which names the file, where it can't be read or the variable is set, too.
    """
    for name in SECRET_VARIABLES:
        file = environment.get(name + SUFFIX)
        if file is None:
            continue
        if name in environment:
            raise InvalidSetting(f"{name} and {name + SUFFIX} are both set; unset one of them")
        environment[name] = _read(name + SUFFIX, Path(file))


def _read(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode().strip()
    except OSError as error:
        raise InvalidSetting(f"{variable} names {path}, which can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidSetting(f"{variable} names {path}, which is no text") from None
    if not text:
        raise InvalidSetting(f"{variable} names {path}, which is empty")
    return text
