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
_NEVER_IN_NAMES: Final = (
    "\x00-\x1f\x7f-\x9f"  # control characters; PostgreSQL can't store NUL
    "\u2028\u2029"  # ends of lines and paragraphs
    "\u202a-\u202e\u2066-\u2069"  # overrides of the direction, which let a text look like another
    "\ufdd0-\ufdef\ufff9-\ufffb"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
)
_INVISIBLE: Final = (
    " \xa0\u1680\u2000-\u200f\u202f\u205f\u3000"  # spaces of all widths, zero included, and marks of direction
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2060-\u2065\u206a-\u206f\u2800\u3164\ufeff\uffa0"
    "\ufe00-\ufe0f\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # format characters, fillers, selectors, tags
)
_NAME: Final = f"^[^{_NEVER_IN_NAMES}]*[^{_NEVER_IN_NAMES}{_INVISIBLE}][^{_NEVER_IN_NAMES}]*$(?!\n)"
NAME_RULE: Final = "a name shows at least one character, and has no control characters or overrides of direction"
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_NAME_CHARACTERS,
        pattern=_NAME,
        description="Shows at least one character; no control characters, no overrides of direction.",
    ),
]


def fits(value: int) -> bool:
    """Whether a computed amount or quantity is within the largest value that may be stored and sent to clients."""
    return value <= LARGEST
