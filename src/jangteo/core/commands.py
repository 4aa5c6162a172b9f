"""Every command as one tagged union: what the writer process decodes. The tag is the name of the command's type."""

from jangteo.core.best_sellers import RefreshBestSellers
from jangteo.core.coupons import ClaimCoupon, StartCampaign
from jangteo.core.health import CheckWritable
from jangteo.core.keys import CreateKey, RecordKeyUse, RevokeKey
from jangteo.core.orders import CancelOrder, PlaceOrder
from jangteo.core.products import AddProduct, ChangeProduct, MoveStock
from jangteo.core.relay import (
    AcquireLease,
    MarkSent,
    PurgeEvents,
    RecordDelivered,
    RecordFailures,
    RecordPlatformStatus,
    RecordReplayProgress,
    ReleaseLease,
    RenewLease,
    ResumePlatform,
    RetryEvents,
    StartReplay,
)
from jangteo.core.wallets import ChargeBalance, RegisterUser

AnyCommand = (
    RegisterUser
    | ChargeBalance
    | AddProduct
    | ChangeProduct
    | MoveStock
    | StartCampaign
    | ClaimCoupon
    | PlaceOrder
    | CancelOrder
    | CreateKey
    | RevokeKey
    | RecordKeyUse
    | CheckWritable
    | MarkSent
    | AcquireLease
    | RenewLease
    | ReleaseLease
    | RecordFailures
    | RecordDelivered
    | RetryEvents
    | StartReplay
    | RecordReplayProgress
    | RecordPlatformStatus
    | ResumePlatform
    | PurgeEvents
    | RefreshBestSellers
)
"""Any command. A test checks that every subclass of `Command` is a member."""
