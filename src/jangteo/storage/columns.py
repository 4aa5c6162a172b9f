"""Kinds of columns, constraints and indexes that the tables of `storage.schema` have in common."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, Integer, Text, text

from jangteo.core.actors import OPEN_ACTOR
from jangteo.core.limits import LARGEST

# SQLite generates ids only for a column spelled INTEGER.
WholeNumber = BigInteger().with_variant(Integer(), "sqlite")


def number(name: str, *, null: bool = False) -> Column[int]:
    """A whole number."""
    return Column(name, WholeNumber, nullable=null)


def assigned_id() -> Column[int]:
    """An id that a batch reserves before it decides (`Session.new_ids`)."""
    return Column("id", WholeNumber, primary_key=True, autoincrement=False)


def external_id() -> Column[int]:
    """An id that no sequence counts: that of a table with one row, another table's id, or one its writer chooses."""
    return Column("id", WholeNumber, primary_key=True, autoincrement=False, info={"external": True})


def generated_id() -> Column[int]:
    """An id that the database generates."""
    return Column("id", WholeNumber, Identity(), primary_key=True)


def actor() -> Column[str]:
    """Who did it. Rows of versions that knew no actors have the default: anyone who reached the port."""
    return Column("actor", Text, nullable=False, server_default=OPEN_ACTOR)


def within(column: str, lowest: int = 0) -> CheckConstraint:
    """A check that a number is in its range."""
    return CheckConstraint(f"{column} BETWEEN {lowest} AND {LARGEST}", name=f"{column}_in_range")


def unique_where(name: str, column: str, condition: str) -> Index:
    """A unique index of the rows that meet the condition only."""
    where = text(condition)
    return Index(name, column, unique=True, sqlite_where=where, postgresql_where=where)
