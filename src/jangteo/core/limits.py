"""The ranges of ids, money and quantities, defined once.

Every integer stays below 2^53, so that every JSON client reads it exactly. The annotations are checked where requests
are decoded, and they describe the fields in the API's documentation.
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
        # Amounts below 1 are refused by ChargeBalance, so that the refusal is stored for its idempotency key.
        extra_json_schema={"minimum": 1},
    ),
]
Change = Annotated[int, Meta(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
PositiveCount = Annotated[int, Meta(ge=1, le=LARGEST)]
Percent = Annotated[int, Meta(ge=1, le=100)]
Days = Annotated[int, Meta(ge=1, le=MAX_COUPON_VALID_DAYS)]
Timestamp = Annotated[datetime, Meta(tz=True, description="RFC 3339, UTC.")]
# No control characters: PostgreSQL can't store NUL, and none of them belongs in a name.
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]


def fits(value: int) -> bool:
    """Whether a computed amount or quantity is within the largest value that may be stored and sent to clients."""
    return value <= LARGEST
