"""docs/glossary.md and the code use the same names: what the page names exists, and words not used don't occur."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents.code_names import resolves
from tests.documents.markdown import ROOT, backticked, tables

TABLES = tables((ROOT / "docs" / "glossary.md").read_text())
TERMS = TABLES["term", "what it means here", "where it lives"]
NOT_USED = [word.strip() for words, _ in TABLES["not", "but"] for word in words.split(",")]

SRC = ROOT / "src" / "jangteo"
# What was released keeps its words: these migrations are never edited.
HISTORY = {"0001_the_market_opens.py", "0002_every_event_arrives.py", "0003_best_sellers_at_once.py"}

PRIVATE_TERMS: dict[str, tuple[str, ...]] = {
    "telling": ("telling",),
    "tell": ("tell", "tells"),
    "told": ("told of", "told outcome", "told outcomes", "told reply"),
    "chores": ("chore", "chores"),
    "turn (of a relay)": ("relay turn", "relay turns", "leased turn", "turns"),
    "hold the relay": ("hold relay",),
    "trial": ("trial", "trials"),
    "try again": ("try again", "tried again", "next try", "tries"),
    "set aside": ("set aside",),
    "rejection": ("rejection", "rejections"),
    "patience": ("patience", "patient"),
    "farewell": ("farewell", "farewells"),
    "bundle": ("bundle", "bundles"),
    "bite": ("bite", "bites"),
    "held up": ("held up", "hold up", "holds up"),
    "place (of a row or an item)": ("outbox place", "item place", "before place", "place of"),
    "forget": ("forget events", "forgetting", "forgotten", "forgotten events"),
    "pruning": ("pruning", "prunings", "prune", "pruned"),
    "notes of sales": ("uncounted sales", "uncounted", "sales note", "sales notes"),
    "tally": ("tally",),
    "building": ("building",),
    "let go": ("let go",),
    "question": ("question", "questions"),
    "otherwise": ("otherwise",),
    "lane": ("lane", "lanes"),
    "hold rows": ("hold rows", "hold row", "rows held", "held rows"),
    "moment": ("moment us", "by moment", "batch moment"),
    "folding the log": ("fold", "folds", "folding", "folded"),
    "renewing plans": ("renew plans", "renewing plans", "plans renewed"),
}
"""For each word of the glossary's last table: the parts of an identifier that give away its private sense.

Words that are ordinary English otherwise (told, place, moment, forget) are only looked for beside another word.
"""


@pytest.mark.parametrize("row", TERMS, ids=lambda row: row[0].replace(" ", "-"))
def test_every_term_lives_where_the_glossary_says(row: list[str]) -> None:
    named = backticked(row[-1])
    assert named
    assert not (missing := [name for name in named if not resolves(name)]), missing


def test_terms_are_named_once() -> None:
    names = [term for term, *_ in TERMS]
    assert len(names) == len(set(names))


def test_every_word_not_used_is_looked_for() -> None:
    assert set(NOT_USED) == set(PRIVATE_TERMS)


def test_no_identifier_is_made_of_words_not_used() -> None:
    private = {term for terms in PRIVATE_TERMS.values() for term in terms}
    pattern = re.compile(rf"(?:^| )({'|'.join(sorted(private, key=len, reverse=True))})(?: |$)")
    offenders: dict[str, dict[str, int]] = {}
    for path in sorted(SRC.rglob("*.py")):
        if path.name in HISTORY:
            continue
        for name, line in identifiers(path):
            if pattern.search(words_of(name)):
                offenders.setdefault(str(path.relative_to(SRC)), {}).setdefault(name, line)
    listed = "\n".join(
        f"{path}: {', '.join(f'{name} (line {line})' for name, line in names.items())}"
        for path, names in offenders.items()
    )
    if offenders:
        pytest.fail(f"Words that docs/glossary.md says are not used:\n{listed}", pytrace=False)


def identifiers(path: Path) -> Iterator[tuple[str, int]]:
    """Every name that a module gives or uses, and its own, each with its line."""
    yield path.stem, 1
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.Name():
                yield node.id, node.lineno
            case ast.Attribute():
                yield node.attr, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.keyword() if node.arg is not None:
                yield node.arg, node.lineno
            case _:
                pass


def words_of(name: str) -> str:
    """`RetryQueue`, `retry_queue` and `RETRY_QUEUE` are all "retry queue"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(spaced.replace("_", " ").lower().split())
