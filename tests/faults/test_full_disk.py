"""A full disk: the operating system refuses to let the server's files grow (`ulimit -f`)."""

from __future__ import annotations

from pathlib import Path

from tests.serving import Http, audit, serve_in_process


def test_a_full_disk_answers_503_and_loses_nothing(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'shop.db'}"
    server = serve_in_process(database, "--demo", file_size_max_kib=1_500)
    acknowledged = 0
    with Http(base_url=server.address, timeout=30) as http:
        before = http.get("/users/1/balance").json()["balance"]
        for _ in range(2_000):
            answer = http.post("/users/1/balance", json={"amount": 1})
            if answer.status_code == 503:
                break
            assert answer.status_code == 201
            acknowledged += 1
        assert answer.json()["type"] == "/problems/unavailable"
        assert answer.headers["retry-after"] == "1"
        # The readiness check writes less than a charge, so a few checks may still fit on the disk.
        for _ in range(10):
            ready = http.get("/health/ready")
            if ready.status_code == 503:
                break
        assert (ready.status_code, ready.headers["retry-after"]) == (503, "1")
        assert http.get("/health/live").status_code == 200
        # Reads still work, and show exactly what was acknowledged.
        assert http.get("/users/1/balance").json() == {"balance": before + acknowledged}
    server.kill()
    assert acknowledged > 0
    server = serve_in_process(database)
    with Http(base_url=server.address, timeout=30) as http:
        assert http.get("/health/ready").status_code == 200
        assert http.get("/users/1/balance").json()["balance"] in (before + acknowledged, before + acknowledged + 1)
    server.interrupt()
    assert audit(database).returncode == 0
