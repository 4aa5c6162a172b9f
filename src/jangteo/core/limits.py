"""The ranges that ids, money and quantities may take, said once.

Everything stays below 2^53, so that every JSON client reads the same integer. The annotations are checked where
JSON comes in, and they describe the fields in the API's own documentation.
"""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

LARGEST: Final = 2**53 - 1
"""The largest id, amount, quantity, balance or stock."""

MAX_ORDER_ITEMS: Final = 100
MAX_NAME_CHARACTERS: Final = 200
MAX_COUPON_VALID_DAYS: Final = 3650

Id = Annotated[int, Meta(ge=1, le=LARGEST)]
Money = Annotated[int, Meta(ge=0, le=LARGEST, description="In the currency's minor unit.")]
PositiveMoney = Annotated[int, Meta(ge=1, le=LARGEST, description="In the currency's minor unit.")]
ChargedMoney = Annotated[
    int,
    Meta(
        ge=-LARGEST,
        le=LARGEST,
        description="In the currency's minor unit.",
        # Whether it is enough is a decision of the shop's, and so an answer that is kept for its key.
        extra_json_schema={"minimum": 1},
    ),
]
Change = Annotated[int, Meta(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
PositiveCount = Annotated[int, Meta(ge=1, le=LARGEST)]
Percent = Annotated[int, Meta(ge=1, le=100)]
Days = Annotated[int, Meta(ge=1, le=MAX_COUPON_VALID_DAYS)]
Timestamp = Annotated[datetime, Meta(tz=True, description="RFC 3339, UTC.")]
# Control characters have no place in a name, and PostgreSQL can't store NUL at all.
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]


def fits(value: int) -> bool:
    """Whether an amount or a quantity that was just computed may be stored and answered."""
    return value <= LARGEST
