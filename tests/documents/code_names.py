"""Resolves the names of the code that documents use: `core.book.Command.decide` without the leading `jangteo.`."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re

import jangteo

TOP_LEVEL = frozenset(module.name for module in pkgutil.iter_modules(jangteo.__path__))


def is_code_name(text: str) -> bool:
    """Whether this looks like a module, or a name in a module, of ours."""
    return re.fullmatch(r"[a-z_]+(\.\w+)*", text) is not None and text.partition(".")[0] in TOP_LEVEL


def resolves(name: str) -> bool:
    """Whether the longest module in front exists, and has all that the rest names."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if _is_module(".".join(["jangteo", *parts[:length]])):
            return _has(importlib.import_module(".".join(["jangteo", *parts[:length]])), parts[length:])
    return False


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _has(owner: object, path: list[str]) -> bool:
    for part in path:
        # Fields of dataclasses and attributes that only `__init__` sets are annotations, or not on the class at all.
        if part in getattr(owner, "__annotations__", {}):
            return True
        if not hasattr(owner, part):
            return False
        owner = getattr(owner, part)
    return True
