"""A rate, as an operator writes it: `100/s`, `100/s:500` with a burst, `customer=20/s` for one kind of caller."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final, Literal, cast, get_args

from jangteo.settings import InvalidSetting

LimitedKind = Literal["key", "customer", "address"]
KINDS: Final[tuple[LimitedKind, ...]] = get_args(LimitedKind)

_RATE: Final = re.compile(r"(?:(?P<kind>\w+)=)?(?P<count>[0-9]{1,9})/(?P<unit>[smh])(?::(?P<burst>[0-9]{1,9}))?")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600}


class InvalidRate(InvalidSetting):
    """A text is no rate; the message is one line for the operator."""


@dataclass(frozen=True)
class Rate:
    """How many requests a caller may send, on average and at once."""

    per_s: float
    burst: int
    """The most at once, after a pause."""

    @property
    def window_s(self) -> int:
        """The seconds, rounded up, after which a caller who has used all of it has all of it again."""
        return ceil(self.burst / self.per_s)


def read_rates(texts: Iterable[str]) -> Mapping[LimitedKind, Rate]:
    """Read the rates of all kinds of callers; those that are not named have none. Raises InvalidRate."""
    for_all: Rate | None = None
    rates: dict[LimitedKind, Rate] = {}
    for text in texts:
        kind, rate = _read(text)
        if kind is None:
            for_all = rate
        else:
            rates[kind] = rate
    return rates if for_all is None else {kind: rates.get(kind, for_all) for kind in KINDS}


def _read(text: str) -> tuple[LimitedKind | None, Rate]:
    parts = _RATE.fullmatch(text)
    if parts is None or (parts["kind"] not in (None, *KINDS)) or not int(parts["count"]):
        raise InvalidRate(
            f"--rate {text!r} is no rate: write 100/s, 100/s:500 with a burst of 500, or key=, customer= or address= "
            "before it; the units are s, m and h"
        )
    count = int(parts["count"])
    burst = count if parts["burst"] is None else int(parts["burst"])
    return cast("LimitedKind | None", parts["kind"]), Rate(count / _UNITS_S[parts["unit"]], max(burst, 1))
