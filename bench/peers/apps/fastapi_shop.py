"""A careful shop as one writes it today: FastAPI, SQLAlchemy on asyncpg, one transaction and row locks for each call.

It uses SQLAlchemy's Core, the faster half, and locks rows in a fixed order, so that nothing deadlocks.
"""

import json
import os

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from sqlalchemy import BigInteger, Column, MetaData, SmallInteger, Table, Text, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_ignore
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

metadata = MetaData()


def _table(name: str, *columns: str) -> Table:
    return Table(
        name, metadata, Column("id", BigInteger, primary_key=True), *(Column(each, BigInteger) for each in columns)
    )


users = _table("users", "balance")
products = _table("products", "price", "stock")
campaigns = _table("campaigns", "quantity", "issued")
orders = _table("orders", "user_id", "total")
ledger = _table("ledger", "user_id", "amount", "balance_after", "order_id")
coupons = _table("coupons", "campaign_id", "user_id")
outbox = Table("outbox", metadata, Column("order_id", BigInteger), Column("event", Text))
order_lines = Table(
    "order_lines",
    metadata,
    Column("order_id", BigInteger),
    Column("position", SmallInteger),
    *(Column(each, BigInteger) for each in ("product_id", "quantity", "unit_price")),
)
take_stock = (
    update(products).where(products.c.id == bindparam("product")).values(stock=products.c.stock - bindparam("quantity"))
)

engine = create_async_engine(
    os.environ["PEER_DATABASE"].replace("postgresql:", "postgresql+asyncpg:"),
    pool_size=int(os.environ["PEER_CONNECTIONS"]),
    max_overflow=0,
)
app = FastAPI()


class Body(BaseModel):
    """JSON in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Item(Body):
    """What is bought, and how much of it."""

    product_id: int
    quantity: int = Field(ge=1)


class NewOrder(Body):
    """An order as it arrives."""

    user_id: int
    items: list[Item] = Field(min_length=1)


class PlacedOrder(Body):
    """An order that is paid."""

    order_id: int
    user_id: int
    total: int


class NewClaim(Body):
    """A claim as it arrives."""

    user_id: int
    campaign_id: int


class Coupon(Body):
    """A coupon that was claimed."""

    coupon_id: int


@app.get("/health/live")
async def live() -> dict[str, str]:
    """Answer that the server runs."""
    return {"status": "up"}


@app.post("/orders", status_code=201)
async def place_order(order: NewOrder) -> PlacedOrder:
    """Check, take and write everything in one transaction."""
    async with engine.begin() as connection:
        balance = await connection.scalar(
            select(users.c.balance).where(users.c.id == order.user_id).with_for_update(key_share=True)
        )
        if balance is None:
            raise HTTPException(404, "no such user")
        prices = await _lock_products(connection, order.items)
        total = sum(prices[each.product_id] * each.quantity for each in order.items)
        if balance < total:
            raise HTTPException(409, "insufficient balance")
        await connection.execute(update(users).where(users.c.id == order.user_id).values(balance=balance - total))
        await connection.execute(
            take_stock, [{"product": each.product_id, "quantity": each.quantity} for each in order.items]
        )
        order_id = await _insert(connection, order, prices, total, balance - total)
    return PlacedOrder(order_id=order_id, user_id=order.user_id, total=total)


async def _lock_products(connection: AsyncConnection, items: list[Item]) -> dict[int, int]:
    """Lock the products in the order of their ids, check their stock, and return their prices."""
    wanted = {each.product_id: each.quantity for each in items}
    rows = await connection.execute(
        select(products).where(products.c.id.in_(wanted)).order_by(products.c.id).with_for_update(key_share=True)
    )
    found = rows.all()
    if len(found) < len(items):
        raise HTTPException(404, "no such product")
    if any(row.stock < wanted[row.id] for row in found):
        raise HTTPException(409, "out of stock")
    return {row.id: row.price for row in found}


async def _insert(
    connection: AsyncConnection, order: NewOrder, prices: dict[int, int], total: int, balance_after: int
) -> int:
    order_id = await connection.scalar(insert(orders).values(user_id=order.user_id, total=total).returning(orders.c.id))
    assert order_id is not None
    lines = [
        {
            "order_id": order_id,
            "position": position,
            "product_id": item.product_id,
            "quantity": item.quantity,
            "unit_price": prices[item.product_id],
        }
        for position, item in enumerate(order.items)
    ]
    await connection.execute(insert(order_lines), lines)
    entry = {"user_id": order.user_id, "amount": -total, "balance_after": balance_after, "order_id": order_id}
    await connection.execute(insert(ledger).values(entry).inline())
    event = json.dumps({"type": "order.paid", "orderId": order_id, "userId": order.user_id, "total": total})
    await connection.execute(insert(outbox).values(order_id=order_id, event=event))
    return int(order_id)


@app.post("/coupons", status_code=201)
async def claim_coupon(claim: NewClaim) -> Coupon:
    """Claim one coupon; the campaign's row, which everyone wants, is locked last and so for the shortest time."""
    async with engine.begin() as connection:
        claimed = insert_or_ignore(coupons).values(campaign_id=claim.campaign_id, user_id=claim.user_id)
        coupon_id = await connection.scalar(claimed.on_conflict_do_nothing().returning(coupons.c.id))
        if coupon_id is None:
            raise HTTPException(409, "already claimed")
        issued = await connection.execute(
            update(campaigns)
            .where(campaigns.c.id == claim.campaign_id, campaigns.c.issued < campaigns.c.quantity)
            .values(issued=campaigns.c.issued + 1)
        )
        if issued.rowcount == 0:
            raise HTTPException(409, "sold out")
    return Coupon(coupon_id=coupon_id)
