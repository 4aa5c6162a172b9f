"""A shop's files on SQLite: which ones are refused at the start, and what every transaction notices afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jangteo.core.wallets import RegisterUser
from jangteo.engine.batch import Failed, Submission, commit
from jangteo.storage.errors import CannotOpen, FileLost
from jangteo.storage.port import Session, Storage
from jangteo.storage.sqlite import locks
from jangteo.storage.sqlite.files import ShopFiles
from jangteo.storage.urls import open_storage, storage_of

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def path(sqlite_database: str) -> Path:
    return Path(sqlite_database.removeprefix("sqlite:///"))


@pytest.fixture
def taken(sqlite_database: str) -> Iterator[Storage]:
    with closing(open_storage(sqlite_database)) as storage:
        storage.prepare()
        yield storage


def test_a_file_with_two_names_is_refused_by_either(path: Path) -> None:
    other = path.with_name("other.db")
    other.hardlink_to(path)
    for each in (path, other):
        with pytest.raises(CannotOpen, match=r"has 2 names \(hard links\)"):
            open_storage(f"sqlite:///{each}")


def test_a_symbolic_link_leads_to_the_shop(path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    with closing(open_storage(f"sqlite:///{link}")) as storage:
        storage.prepare()
        with closing(storage.connect()) as connection, connection.transaction() as session:
            assert session.rows("SELECT 1") == [(1,)]


def test_a_taken_file_is_refused_under_a_name_that_it_was_given_since(
    taken: Storage, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_PAUSE_S", 0)
    path.rename(path.with_name("moved.db"))
    with closing(open_storage(f"sqlite:///{path.with_name('moved.db')}")) as other:
        with pytest.raises(CannotOpen, match="is being served by another process"):
            other.prepare()
        taken.close()
        other.prepare()


def test_a_new_shop_is_not_created_beside_the_log_of_a_file_that_was_moved_away(taken: Storage, path: Path) -> None:
    with closing(taken.connect()) as connection:
        commit(connection, [Submission(RegisterUser(None))], lambda: NOW)
        path.rename(path.with_name("moved.db"))
        with pytest.raises(CannotOpen, match="put the file back"):
            open_storage(f"sqlite:///{path}")


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_commit_during_which_a_file_is_lost_is_not_acknowledged(taken: Storage, path: Path, suffix: str) -> None:
    def lose_and_read_the_time() -> datetime:
        Path(f"{path}{suffix}").unlink()
        return NOW

    with closing(taken.connect()) as connection:
        assert commit(connection, [Submission(RegisterUser(None))], lambda: NOW).outcomes
        (outcome,) = commit(connection, [Submission(RegisterUser(None))], lose_and_read_the_time).outcomes
    assert isinstance(outcome, Failed)
    assert f"{path}{suffix} is gone" in outcome.reason


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock"])
def test_while_a_file_is_elsewhere_nothing_begins_and_when_it_is_back_all_goes_on(
    taken: Storage, path: Path, suffix: str
) -> None:
    file, elsewhere = Path(f"{path}{suffix}"), path.with_name("elsewhere")
    with closing(taken.connect()) as connection:

        def begin() -> Session:
            with connection.transaction() as session:
                return session

        begin()
        file.rename(elsewhere)
        with pytest.raises(FileLost, match="is gone"):
            until_raised(begin)
        elsewhere.rename(file)
        begin()


def test_a_writer_process_never_opens_another_file_than_the_server_has_taken(taken: Storage, path: Path) -> None:
    path.rename(path.with_name("moved.db"))
    writer = storage_of(f"sqlite:///{path}")
    writer.expect(taken.identity())
    with closing(writer.connect()) as connection, pytest.raises(FileLost), connection.transaction():
        pass
    assert not path.exists()


def test_only_the_database_file_itself_is_a_loss(taken: Storage, path: Path) -> None:
    for suffix in ("-wal", "-shm", ".lock"):
        Path(f"{path}{suffix}").unlink()
        assert taken.loss() is None
    path.unlink()
    assert "is gone" in (taken.loss() or "")


def test_a_file_that_was_replaced_by_a_symbolic_link_to_itself_is_lost(path: Path) -> None:
    """SQLite would look for the log beside the link's target."""
    files = ShopFiles(path)
    files.record({}, ("",))
    path.rename(path.with_name("moved.db"))
    path.symlink_to(path.with_name("moved.db"))
    with pytest.raises(FileLost, match="was replaced"):
        files.check()


def until_raised(call: Callable[[], object]) -> None:
    """Call until it raises: files are compared ten times a second."""
    while True:
        call()
