"""A whole run of a shop shows none of the secrets that it used: in logs, answers, events, commands and `ps`."""

from __future__ import annotations

import sqlite3
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from tests.api.access.callers import bearer, customer, settings_for_customers
from tests.api.access.provider import AUDIENCE, ISSUER
from tests.certificates import write_certificate
from tests.receiving import RunningReceiver, running_receiver
from tests.serving import JANGTEO, ServerProcess, serve_in_process

OLD, NEW = (f"whsec_{b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))
_LIMIT_S = 60


def run(*command: str) -> str:
    """All that a command prints."""
    done = subprocess.run([JANGTEO, *command], capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    return done.stdout + done.stderr


def command_lines(of: int) -> Iterator[str]:
    """What `ps` shows of a process and of all below it."""
    yield Path(f"/proc/{of}/cmdline").read_text()
    for child in Path(f"/proc/{of}/task/{of}/children").read_text().split():
        yield from command_lines(int(child))


def use(shop: ServerProcess, trusted: object, key: str) -> tuple[dict[str, str], list[str]]:
    """Do what a shop's day has; return the secrets that clients were given, and all other answers."""
    given = {"the key": key.split("_", 2)[2]}
    with httpx.Client(base_url=shop.address, verify=trusted, timeout=_LIMIT_S, headers=bearer(key)) as http:  # type: ignore[arg-type]  # a context
        answers = [
            http.post("/users", json={"name": "ann"}),
            http.post("/users/1/balance", json={"amount": 9_000}, headers={"idempotency-key": "charge"}),
            http.post("/products", json={"name": "rice", "price": 100, "stock": 9}),
        ]
        made = http.post("/keys", json={"name": "made", "scopes": ["read"]}, headers={"idempotency-key": "key"})
        given["the key that was made"] = made.json()["key"].split("_", 2)[2]
        answers.append(
            http.post("/keys", json={"name": "made", "scopes": ["read"]}, headers={"idempotency-key": "key"})
        )
        own = http.post("/users/1/tokens", json={}).json()["token"]
        provided = customer(1)["authorization"].removeprefix("Bearer ")
        forged = f"{provided[:-40]}{'A' * 40}"
        given |= {"the shop's token": own, "the provider's token": provided, "a forged token": forged}
        for credential in (own, provided, forged, made.json()["key"], f"{key[:-20]}{'A' * 20}", "no-credential-at-all"):
            headers = bearer(credential)
            order = {"items": [{"productId": 1, "quantity": 1}]}
            answers.append(http.post("/orders", json=order, headers=headers))
            answers.append(http.get("/users/1/ledger", headers=headers))
            # Whoever misplaces a secret may read it in the answer, and nobody elsewhere.
            http.get(f"/orders/{credential}", headers=headers)
            http.get("/products", params={"limit": credential}, headers=headers)
        answers.append(http.post("/keys/2/revoke"))
        answers += [http.get(path) for path in ("/keys", "/schema", "/schema/openapi.json", "/health/ready", "/keys/x")]
    return given, [f"{each.headers}{each.text}" for each in answers]


def wait_for_events(receiver: RunningReceiver, count: int) -> list[str]:
    give_up_at = monotonic() + _LIMIT_S
    while len(receiver.ids()) < count:
        assert monotonic() < give_up_at
        sleep(0.05)
    return [str(receiver.lines()), str(receiver.state()["headers"].get("webhook-id"))]


@pytest.mark.long
def test_a_whole_run_shows_no_secret_that_it_used(
    sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, log = write_certificate(tmp_path), tmp_path / "log"
    settings_for_customers(tmp_path)
    (tmp_path / "platform-secret").write_text(f"{NEW} {OLD}\n")
    monkeypatch.setenv("JANGTEO_PLATFORM_SECRET_FILE", str(tmp_path / "platform-secret"))
    named = ("--database", sqlite_database)
    key = run("keys", "create", "admin", "--preset", "admin", *named).splitlines()[0]
    with running_receiver(tmp_path / "received.jsonl", OLD) as receiver:
        platform = receiver.url.replace("http://", "http://ann:pa55-of-the-platform@")
        monkeypatch.setenv("JANGTEO_PLATFORM", platform)
        shop = serve_in_process(
            sqlite_database,
            *("--access", "keys", "--workers", "2", *certificate.options),
            *(
                "--customers-jwks",
                f"{tmp_path}/jwks.json",
                "--customers-issuer",
                ISSUER,
                "--customers-audience",
                AUDIENCE,
            ),
            log=log,
        )
        secrets, seen = use(shop, certificate.trusted(), key)
        processes = list(command_lines(shop.process.pid))
        assert len(processes) > 3, "the processes of the host"
        seen += processes
        for command in ("audit", "doctor", "keys list", "keys list --json", "events list", "events status --json"):
            seen.append(run(*command.split(), *named))
        seen += [run("events", "show", "order-1-paid", *named), *wait_for_events(receiver, 1)]
        seen.append(shop.interrupt()[1])
    with closing(sqlite3.connect(sqlite_database.removeprefix("sqlite:///"))) as raw:
        ((seed,),) = raw.execute("SELECT token_seed FROM shops")
        stored = "\n".join(line for line in raw.iterdump() if 'INTO "shops"' not in line)
    key_lines = certificate.key.read_text().splitlines()[1:-1]
    secrets |= {
        "the platform's password": "pa55-of-the-platform",
        "the old secret": OLD.removeprefix("whsec_"),
        "the new secret": NEW.removeprefix("whsec_"),
        "the seed of the shop's tokens": seed,
        "the certificate's key": key_lines[0],
    }
    shown = {name for name, secret in secrets.items() for text in (*seen, log.read_text(), stored) if secret in text}
    assert shown == set()
