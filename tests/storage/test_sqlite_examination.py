"""Where a SQLite file lies decides whether its commits last."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from jangteo.storage.sqlite import examination
from jangteo.storage.sqlite.examination import examine_durability, file_system_of

MOUNTS = r"""
overlay / overlay rw 0 0
tmpfs /run tmpfs rw 0 0
/dev/sda1 /srv/two\040words ext4 rw 0 0
server:/shops /srv/shops nfs4 rw 0 0
/dev/sdb1 /srv/shops/local ext4 rw 0 0
tmpfs /srv/shops/local tmpfs rw 0 0
""".lstrip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/shop.db", "overlay"),
        ("/run/shop.db", "tmpfs"),
        ("/running/shop.db", "overlay"),
        ("/srv/two words/shop.db", "ext4"),
        ("/srv/shops/shop.db", "nfs4"),
        # The later mount covers the earlier one.
        ("/srv/shops/local/shop.db", "tmpfs"),
    ],
)
def test_the_innermost_latest_mount_holds_a_file(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind


@pytest.mark.parametrize(
    ("kind", "severity"), [("ext4", "ok"), ("tmpfs", "danger"), ("nfs4", "danger"), ("cifs", "danger")]
)
def test_memory_and_network_file_systems_are_a_danger(
    kind: str, severity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"any / {kind} rw 0 0\n")
    monkeypatch.setattr(examination, "_MOUNTS", mounts)
    (found,) = examine_durability(tmp_path / "shop.db")
    assert found.severity == severity


def test_a_real_file_in_memory_is_a_danger() -> None:
    folder = Path("/dev/shm")
    if not folder.is_dir():
        pytest.skip("there is no /dev/shm here")
    (found,) = examine_durability(folder / f"{uuid4().hex}.db")
    assert (found.severity, "tmpfs" in found.found) == ("danger", True)
