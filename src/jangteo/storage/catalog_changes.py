"""What was done to products and campaigns, and who did it, in SQL: changes of their fields, and stock movements."""

from collections.abc import Iterable

from msgspec import json

from jangteo.core.book import Book
from jangteo.core.entities import CatalogChange, CatalogSubject, StockMovement
from jangteo.core.limits import LARGEST
from jangteo.core.refusals import CampaignNotFound, ProductNotFound
from jangteo.storage import schema
from jangteo.storage.pagination import paginate
from jangteo.storage.port import Insert, Page, Row, Session, Snapshot
from jangteo.storage.shared_reads import SharedRead, Steps
from jangteo.storage.timestamps import from_micros, to_micros

_NEW_CHANGES = Insert(schema.catalog_changes, ("subject", "subject_id", "kind", "change", "created_at", "actor"))
_FIND_PRODUCT = "SELECT id FROM products WHERE id IN (:ids)"
_FIND_CAMPAIGN = "SELECT id FROM campaigns WHERE id IN (:ids)"
_NEWEST_CHANGES = """
    SELECT id, subject, subject_id, kind, change, created_at, actor FROM catalog_changes
    WHERE subject = :subject AND subject_id = :subject_id AND id < :before ORDER BY id DESC LIMIT :count
"""
_NEWEST_MOVEMENTS = """
    SELECT id, product_id, quantity, created_at, actor FROM stock_movements
    WHERE product_id = :product_id AND id < :before ORDER BY id DESC LIMIT :count
"""


def save(session: Session, book: Book) -> None:
    """Write the batch's changes of products and campaigns."""
    if book.catalog_changes:
        at = to_micros(book.now)
        session.insert(
            _NEW_CHANGES,
            [
                (each.subject, each.subject_id, each.kind, json.encode(each.values).decode(), at, each.actor)
                for each in book.catalog_changes
            ],
        )


@SharedRead
def read_movements_of(
    snapshot: Snapshot, product_id: int, limit: int, after: int | None
) -> Steps[Page[StockMovement] | ProductNotFound]:
    """Read a page of a product's stock movements, newest first, starting after the movement `after`."""
    products = snapshot.look_up(_FIND_PRODUCT, product_id)
    rows = snapshot.send(_NEWEST_MOVEMENTS, product_id=product_id, before=after or LARGEST, count=limit + 1)
    yield
    return paginate(list(rows), limit, _movement) if any(products) else ProductNotFound(product_id)


@SharedRead
def read_changes_of_product(
    snapshot: Snapshot, product_id: int, limit: int, after: int | None
) -> Steps[Page[CatalogChange] | ProductNotFound]:
    """Read a page of a product's changes, newest first, starting after the change `after`."""
    products = snapshot.look_up(_FIND_PRODUCT, product_id)
    rows = _send_changes(snapshot, "product", product_id, limit, after)
    yield
    return paginate(list(rows), limit, _change) if any(products) else ProductNotFound(product_id)


@SharedRead
def read_changes_of_campaign(
    snapshot: Snapshot, campaign_id: int, limit: int, after: int | None
) -> Steps[Page[CatalogChange] | CampaignNotFound]:
    """Read a page of a campaign's changes, newest first, starting after the change `after`."""
    campaigns = snapshot.look_up(_FIND_CAMPAIGN, campaign_id)
    rows = _send_changes(snapshot, "campaign", campaign_id, limit, after)
    yield
    return paginate(list(rows), limit, _change) if any(campaigns) else CampaignNotFound(campaign_id)


def _send_changes(
    snapshot: Snapshot, subject: CatalogSubject, subject_id: int, limit: int, after: int | None
) -> Iterable[Row]:
    return snapshot.send(
        _NEWEST_CHANGES, subject=subject, subject_id=subject_id, before=after or LARGEST, count=limit + 1
    )


def _movement(row: Row) -> StockMovement:
    movement_id, product_id, quantity, created_at, actor = row
    return StockMovement(product_id, quantity, from_micros(created_at), actor, movement_id)


def _change(row: Row) -> CatalogChange:
    change_id, subject, subject_id, kind, change, created_at, actor = row
    return CatalogChange(subject, subject_id, kind, json.decode(change), from_micros(created_at), actor, change_id)
