"""Products and stock over HTTP."""

from msgspec import UNSET, UnsetType

from jangteo.api.bodies import Body
from jangteo.core.entities import Product
from jangteo.core.limits import Change, Count, Money, Name
from jangteo.core.products import AddProduct, ChangeProduct, MoveStock
from jangteo.core.refusals import ProductNotFound
from jangteo.storage import products
from jangteo.storage.port import Page, Query


class NewProduct(Body):
    """A product to be sold."""

    name: Name
    price: Money
    stock: Count


class ProductChange(Body):
    """What is to be different; what is left out stays as it is."""

    name: Name | UnsetType = UNSET
    price: Money | UnsetType = UNSET


class StockChange(Body):
    """Stock to put in; negative takes away."""

    quantity: Change

    def __post_init__(self) -> None:
        """Refuse what would change nothing."""
        if self.quantity == 0:
            raise ValueError("`quantity` must not be 0")


def add_product(body: NewProduct) -> AddProduct:
    """Add a product."""
    return AddProduct(body.name, body.price, body.stock)


def change_product(product_id: int, body: ProductChange) -> ChangeProduct:
    """Change a product's name or price, from the next order on."""
    return ChangeProduct(
        product_id,
        None if body.name is UNSET else body.name,
        None if body.price is UNSET else body.price,
    )


def move_stock(product_id: int, body: StockChange) -> MoveStock:
    """Put stock in, or take it away."""
    return MoveStock(product_id, body.quantity)


def read_product(product_id: int) -> Query[Product | ProductNotFound]:
    """Read a product with its exact stock."""
    return Query(products.read_product, (product_id,))


def list_products(limit: int | None, after: int | None) -> Query[Page[Product]]:
    """List the products by id, each with its exact stock; all of them where there is no limit."""
    return Query(products.read_products, (limit, after), cost="page")
