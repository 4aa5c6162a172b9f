"""Products and their stock in SQL."""

from collections.abc import Collection, Iterable

from jangteo.core.book import Book
from jangteo.core.entities import Product
from jangteo.core.limits import LARGEST
from jangteo.core.refusals import ProductNotFound
from jangteo.storage import schema
from jangteo.storage.pagination import paginate
from jangteo.storage.port import GuardedChange, Insert, Page, Session, Snapshot
from jangteo.storage.shared_reads import SharedRead, Steps
from jangteo.storage.timestamps import to_micros

_NEW_PRODUCTS = Insert(schema.products, ("id", "name", "price", "stock", "created_at"))
_PRODUCTS = GuardedChange(schema.products, ("name", "price", "stock"), ("price", "stock"))
_STOCKS = GuardedChange(schema.products, ("stock",), ("price", "stock"))
_NEW_MOVEMENTS = Insert(schema.stock_movements, ("product_id", "quantity", "created_at", "actor"))


def load(session: Session, product_ids: Collection[int]) -> Iterable[tuple[int, Product]]:
    """Load and lock the products that exist."""
    rows = session.lock(
        schema.products, "SELECT id, name, price, stock FROM products WHERE id IN (:ids) ORDER BY id", product_ids
    )
    return ((row[0], Product(*row)) for row in rows)


def save(session: Session, book: Book) -> None:
    """Write new and changed products, and stock movements."""
    at = to_micros(book.now)
    added = book.products.added()
    if added:
        session.insert(_NEW_PRODUCTS, [(new.id, new.name, new.price, new.stock, at) for new in added])
    replaced = book.products.replaced()
    stocks = [
        (after.stock, after.id, before.price, before.stock)
        for before, after in replaced
        if after.price == before.price and after.name == before.name
    ]
    if stocks:
        session.change(_STOCKS, stocks)
    if len(stocks) < len(replaced):
        session.change(
            _PRODUCTS,
            [
                (after.name, after.price, after.stock, after.id, before.price, before.stock)
                for before, after in replaced
                if after.price != before.price or after.name != before.name
            ],
        )
    if book.stock_movements:
        session.insert(
            _NEW_MOVEMENTS,
            [(movement.product_id, movement.quantity, at, movement.actor) for movement in book.stock_movements],
        )


@SharedRead
def read_product(snapshot: Snapshot, product_id: int) -> Steps[Product | ProductNotFound]:
    """Read one product with its exact stock."""
    found = snapshot.look_up("SELECT id, name, price, stock FROM products WHERE id IN (:ids)", product_id)
    yield
    for row in found:
        return Product(*row)
    return ProductNotFound(product_id)


@SharedRead
def read_products(snapshot: Snapshot, limit: int | None, after: int | None) -> Steps[Page[Product]]:
    """Read a page of products, by id, starting after `after`; all of them if there is no limit."""
    page_size = LARGEST if limit is None else limit
    rows = snapshot.send(
        "SELECT id, name, price, stock FROM products WHERE id > :after ORDER BY id LIMIT :count",
        after=after or 0,
        count=page_size + 1,
    )
    yield
    return paginate(list(rows), page_size, lambda row: Product(*row))
