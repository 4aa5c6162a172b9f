"""Products: names, prices, and stock that is added or removed by hand. Selling belongs to `core.orders`."""

from msgspec.structs import replace

from jangteo.core.book import Book, Command, Needs
from jangteo.core.entities import Product
from jangteo.core.limits import Id, fits
from jangteo.core.refusals import LimitExceeded, OutOfStock, ProductNotFound


class AddProduct(Command, frozen=True):
    """Add a product with its initial stock; `price` is in minor units."""

    name: str
    price: int
    stock: int

    def name_needs(self, needs: Needs) -> None:
        """Need one new product id."""
        needs.new_products += 1

    def decide(self, book: Book) -> Product:
        """Add the product; never refused."""
        product = Product(next(book.products.new_ids), self.name, self.price, self.stock)
        book.products.put(product.id, product)
        book.move_stock(product.id, self.stock)
        book.record_change("product", product.id, "added", {"name": self.name, "price": self.price})
        return product


class ChangeProduct(Command, frozen=True):
    """Change a product's name or price from the next order on. None leaves a value unchanged."""

    product_id: Id
    name: str | None
    price: int | None

    def name_needs(self, needs: Needs) -> None:
        """Need the product."""
        needs.products.add(self.product_id)

    def decide(self, book: Book) -> Product | ProductNotFound:
        """Change the product. Refused with ProductNotFound."""
        product = book.products.get(self.product_id)
        if product is None:
            return ProductNotFound(self.product_id)
        changed = replace(
            product,
            name=product.name if self.name is None else self.name,
            price=product.price if self.price is None else self.price,
        )
        book.products.put(product.id, changed)
        given = {"name": self.name, "price": self.price}
        values: dict[str, str | int | None] = {name: value for name, value in given.items() if value is not None}
        if values:
            book.record_change("product", product.id, "changed", values)
        return changed


class MoveStock(Command, frozen=True):
    """Add units to a product's stock, or remove them if the quantity is negative."""

    product_id: Id
    quantity: int

    def name_needs(self, needs: Needs) -> None:
        """Need the product."""
        needs.products.add(self.product_id)

    def decide(self, book: Book) -> Product | ProductNotFound | OutOfStock | LimitExceeded:
        """Change the stock.

        Refused with ProductNotFound, OutOfStock if more units would be removed than are left, or LimitExceeded.
        """
        product = book.products.get(self.product_id)
        if product is None:
            return ProductNotFound(self.product_id)
        stock = product.stock + self.quantity
        if stock < 0:
            return OutOfStock(product.id, product.stock, -self.quantity)
        if not fits(stock):
            return LimitExceeded("stock")
        changed = replace(product, stock=stock)
        book.products.put(product.id, changed)
        book.move_stock(product.id, self.quantity)
        return changed
