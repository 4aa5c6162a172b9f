"""Jangteo (장터): balances, stock, coupons and orders that stay right in the rush."""

from importlib.metadata import version

__version__ = version("jangteo")
