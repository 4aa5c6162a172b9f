"""SQL lives in storage, and is never formatted with values."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src/jangteo"
STORAGE = SOURCE / "storage"
KEYWORD = re.compile(r"\b(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|PRAGMA)\b")
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")


def test_only_statement_builders_format_sql() -> None:
    """Elsewhere SQL is put together only from constants and names of tables."""
    formatted = {
        f"{path.relative_to(SOURCE)}:{line}": parts
        for path in STORAGE.rglob("*.py")
        if path.name != "statements.py" and path.parent.name != "versions"
        for line, parts in formatted_sql(ast.parse(path.read_text()))
    }
    assert formatted == {}


def test_only_storage_contains_sql() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in SOURCE.rglob("*.py")
        if STORAGE not in path.parents
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and KEYWORD.search(node.value)
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        'f"SELECT id FROM users WHERE name = {name!r}"',
        'f"PRAGMA busy_timeout = {timeout_ms}"',
        'f"{found} FOR UPDATE OF {_TABLE}"',
        '"DELETE FROM users WHERE id = " + user_id',
        '"SELECT id FROM users" + " WHERE id = " + user_id',
        '"UPDATE users SET balance = %d" % balance',
        '"DELETE FROM {}".format(table)',
        'f"SELECT id" f" FROM {schema.tables}"',
    ],
)
def test_formatted_sql_is_noticed(code: str) -> None:
    assert list(formatted_sql(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        'f"SELECT {_COLUMNS} FROM users WHERE id = :user_id"',
        'f"SELECT COUNT(*) FROM {table.name}"',
        'f"PRAGMA cache_size = -{limits.CACHE_KIB}"',
        '"SELECT id FROM users" + _ORDERED',
        'f"the update of {user} was selected"',
    ],
)
def test_sql_of_constants_and_table_names_is_let_through(code: str) -> None:
    assert list(formatted_sql(ast.parse(code))) == []


def formatted_sql(tree: ast.AST) -> Iterator[tuple[int, list[str]]]:
    """The line of each piece of SQL that is formatted with anything but constants and tables' names, and with what."""
    for node in ast.walk(tree):
        texts, parts = _pieces(node)
        refused = [ast.unparse(part) for part in parts if not _is_name(part)]
        if refused and KEYWORD.search(" ".join(texts)):
            yield getattr(node, "lineno", 0), refused


def _pieces(node: ast.AST) -> tuple[list[str], list[ast.expr]]:
    """The literal texts and the other parts that an expression puts together to a string."""
    parts: list[ast.expr] = []
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        for side in (node.left, node.right):
            texts, others = _pieces(side)
            parts += [*map(ast.Constant, texts), *others] if texts else [side]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        parts = [node.func.value, *node.args, *(keyword.value for keyword in node.keywords)]
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return texts, [part for part in parts if not isinstance(part, ast.Constant)]


def _is_name(part: ast.expr) -> bool:
    """Whether a part is an UPPER_CASE constant or a table's name."""
    if isinstance(part, ast.Attribute):
        return part.attr == "name" or bool(CONSTANT.fullmatch(part.attr))
    return isinstance(part, ast.Name) and bool(CONSTANT.fullmatch(part.id))
