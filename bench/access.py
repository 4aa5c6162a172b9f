"""What access costs: orders with API keys and with customers' tokens, beside those of a shop that is open to all.

Also while others send forged tokens as fast as they can. `python -m bench.access` measures this alone.
"""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Final

from httpx import Client

from bench.contenders import servers, shops
from bench.contenders.comparisons import ACCESS, CROWD, FLOODED, OPEN, WITH_KEYS, WITH_TOKENS
from bench.contenders.rounds import Comparison, Contender, alternate
from bench.loads import wrk
from bench.loads.load import CannotMeasure, Load
from jangteo.cli.keys import make_key
from jangteo.core.keys import PRESETS
from jangteo.storage.urls import open_storage

_USERS: Final = 1_000
"""As in credentials.lua; each has a token of their own."""
_SCRIPT: Final = "credentials.lua"
_ROUNDS: Final = 3
_SECONDS: Final = 2


class Orders:
    """Orders by users with these credentials; with `flood`, beside as many clients who send those."""

    def __init__(self, address: str, credentials: Path, flood: Path | None = None) -> None:
        self._url = f"{address}/orders"
        self._credentials = credentials
        self._flood = flood
        self.flooded_per_s: list[float] = []
        """The rates of the flood, a second, in each run."""

    def __call__(self, seconds: int) -> Load:
        """Run the load for so many seconds. Raises CannotMeasure."""
        if self._flood is None:
            return self._orders(seconds)
        flooding = wrk.command(self._url, _SCRIPT, connections=CROWD, seconds=seconds, credentials=self._flood)
        with Popen(flooding, stdout=PIPE, stderr=DEVNULL, text=True) as flood:
            load = self._orders(seconds)
            self.flooded_per_s.append(wrk.read_output(flood.communicate()[0]).requests_per_s)
        return load

    def _orders(self, seconds: int) -> Load:
        return wrk.load(self._url, _SCRIPT, connections=CROWD, seconds=seconds, credentials=self._credentials)


def contenders(folder: Path, opened: servers.Server, guarded: servers.Server, database: str) -> list[Contender]:
    """Make the contenders, for two shops of equal goods; `database` is that of the guarded one."""
    key = _key(database)
    tokens = _tokens(guarded.address, key)
    nobody, keys, customers, forged = (
        _write(folder / f"{name}.credentials", lines)
        for name, lines in (
            ("nobody", []),
            ("keys", [key] * _USERS),
            ("customers", tokens),
            ("forged", [_forged(each) for each in tokens]),
        )
    )
    runs = (
        (OPEN, Orders(opened.address, nobody)),
        (WITH_KEYS, Orders(guarded.address, keys)),
        (WITH_TOKENS, Orders(guarded.address, customers)),
        (FLOODED, Orders(guarded.address, customers, flood=forged)),
    )
    return [Contender(name, CROWD, run) for name, run in runs]


def _key(database: str) -> str:
    with closing(open_storage(database)) as storage, closing(storage.connect()) as connection:
        return make_key(connection, "bench", PRESETS["admin"], None)[1]


def _tokens(address: str, key: str) -> list[str]:
    with Client(base_url=address, headers={"authorization": f"Bearer {key}"}) as http:
        answers = [http.post(f"/users/{user}/tokens", json={}) for user in range(1, _USERS + 1)]
    if any(answer.status_code != 201 for answer in answers):
        raise CannotMeasure(f"the shop gives no tokens: {answers[0].text}")
    return [answer.json()["token"] for answer in answers]


def _forged(token: str) -> str:
    """Return the token with another signature, which has to be verified to be found wrong."""
    signed, _, signature = token.rpartition(".")
    return f"{signed}.{signature[::-1]}"


def _write(file: Path, lines: Sequence[str]) -> Path:
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def main() -> int:
    """Measure, and print a line for each contender."""
    build = Path("build")
    build.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="bench-", dir=build) as name:
        folder = Path(name).absolute()
        opened, guarded = (
            shops.make(f"sqlite:///{folder / each}.db", shops.for_orders()) for each in ("opened", "guarded")
        )
        with (
            servers.serving(servers.shop(opened, "--platform", "none")) as open_shop,
            servers.serving(servers.shop(guarded, "--platform", "none", "--access", "keys")) as guarded_shop,
        ):
            contending = contenders(folder, open_shop, guarded_shop, guarded)
            measured = alternate(Comparison(ACCESS, contending), _ROUNDS, _SECONDS, lambda _: None)
    reference = measured.contenders[0]
    for each in measured.contenders:
        figures = f"{each.requests_per_s:>9,.0f} orders/s{each.ratio_to(reference):>7.3f} of open"
        print(f"{each.name:<45}{figures}, {each.failed} not 2xx")
        if isinstance(each.run, Orders) and each.run.flooded_per_s:
            print(f"{'':<45}{min(each.run.flooded_per_s[1:]):>9,.0f} forged tokens/s beside them")
    return 1 if any(each.failed for each in measured.contenders) else 0


if __name__ == "__main__":
    sys.exit(main())
