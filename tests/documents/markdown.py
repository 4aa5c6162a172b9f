"""Reads what the documents name: backticked text, links, headings."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/*.md", "examples/**/*.md", ".github/**/*.md") for path in ROOT.glob(pattern)
)


def without_fences(text: str) -> str:
    """The text without its fenced code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def backticked(text: str) -> list[str]:
    """Every piece of inline code, in order."""
    return [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", without_fences(text))]


def links(text: str) -> list[str]:
    """The targets of all links and images that lead to our own files."""
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", without_fences(text)))
    return [each for each in targets if "://" not in each]


def anchors(text: str) -> set[str]:
    """The anchors that hosting services make of the headings."""
    headings = re.findall(r"^#+ (.*)$", without_fences(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tables(text: str) -> dict[tuple[str, ...], list[list[str]]]:
    """The rows of all tables, by the tables' heads; tables with the same head are one."""
    found: dict[tuple[str, ...], list[list[str]]] = {}
    for block in re.findall(r"(?:^\|.*\n)+", without_fences(text), re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines())
        found.setdefault(tuple(head), []).extend(rows)
    return found
