"""Products and stock over HTTP."""

from msgspec import UNSET, UnsetType

from jangteo.api.bodies import Body
from jangteo.core.entities import CatalogChange, Product, StockMovement
from jangteo.core.limits import Change, Count, Money, Name
from jangteo.core.products import AddProduct, ChangeProduct, MoveStock
from jangteo.core.refusals import ProductNotFound
from jangteo.storage import catalog_changes, products
from jangteo.storage.port import Page, Query


class NewProduct(Body):
    """A new product."""

    name: Name
    price: Money
    stock: Count


class ProductChange(Body):
    """The fields to change; the others stay as they are."""

    name: Name | UnsetType = UNSET
    price: Money | UnsetType = UNSET


class StockChange(Body):
    """The quantity to add to the stock; a negative one removes."""

    quantity: Change

    def __post_init__(self) -> None:
        """Check that the quantity changes something; raises ValueError."""
        if self.quantity == 0:
            raise ValueError("`quantity` must not be 0")


def add_product(body: NewProduct) -> AddProduct:
    """Add a product."""
    return AddProduct(body.name, body.price, body.stock)


def change_product(product_id: int, body: ProductChange) -> ChangeProduct:
    """Change a product's name or price. Orders already placed keep theirs."""
    return ChangeProduct(
        product_id,
        None if body.name is UNSET else body.name,
        None if body.price is UNSET else body.price,
    )


def move_stock(product_id: int, body: StockChange) -> MoveStock:
    """Add stock to a product, or remove it."""
    return MoveStock(product_id, body.quantity)


def read_product(product_id: int) -> Query[Product | ProductNotFound]:
    """Read a product with its current stock."""
    return Query(products.read_product, (product_id,))


def list_movements(product_id: int, limit: int, after: int | None) -> Query[Page[StockMovement] | ProductNotFound]:
    """List what was added to a product's stock by hand, or removed, and by whom, newest first."""
    return Query(catalog_changes.read_movements_of, (product_id, limit, after), cost="page")


def list_changes(product_id: int, limit: int, after: int | None) -> Query[Page[CatalogChange] | ProductNotFound]:
    """List what was set of a product and by whom, newest first."""
    return Query(catalog_changes.read_changes_of_product, (product_id, limit, after), cost="page")


def list_products(limit: int | None, after: int | None) -> Query[Page[Product]]:
    """List the products in order of their ids, each with its current stock. Without a limit: all of them."""
    return Query(products.read_products, (limit, after), cost="page")
