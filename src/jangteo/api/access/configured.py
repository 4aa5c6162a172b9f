"""Builds the parts of the door from the settings. All of these raise InvalidSetting, in one line for the operator."""

from jangteo.api.access.browsers import Browsers
from jangteo.api.access.cached_keys import CachedKeys
from jangteo.api.access.client_address import ClientAddresses, read_networks
from jangteo.api.access.customer_tokens import CustomerTokens, Issuer
from jangteo.api.access.customers import Customers
from jangteo.api.access.full_times import RateMemory
from jangteo.api.access.hosts import Hosts
from jangteo.api.access.json_web_keys import InvalidKeySet, read_key_set
from jangteo.api.access.key_source import open_source
from jangteo.api.access.limiter import Limiter
from jangteo.api.access.rate import read_rates
from jangteo.api.access.rate_limits import RateLimits
from jangteo.api.access.shop_tokens import ShopTokens
from jangteo.settings import InvalidSetting, Settings


def browsers_of(settings: Settings) -> Browsers:
    """Return the rules for browsers."""
    return Browsers(Hosts(settings.allowed_hosts, listens_on=settings.host), settings.allowed_origins)


def limiter_of(settings: Settings, memory: RateMemory) -> Limiter:
    """Return the rate limits, kept in this memory."""
    limits = RateLimits(read_rates(settings.rates), memory)
    return Limiter(limits, ClientAddresses(read_networks(settings.trusted_proxies)))


def customers_of(settings: Settings, shop_tokens: ShopTokens) -> Customers:
    """Return what verifies customers' tokens. A key set that is a file is read at once."""
    return Customers(CustomerTokens(shop_tokens.issuer, _provider_of(settings)))


def check_without_customers(settings: Settings) -> None:
    """Check that nothing is set about customers' tokens, which a shop that is open to all doesn't ask for."""
    if settings.customers_jwks or settings.customers_issuer or settings.customers_audience:
        raise InvalidSetting("--customers-… need --access keys: this shop is open to all, and asks nobody for a token")


def _provider_of(settings: Settings) -> Issuer | None:
    source, issuer, audience = settings.customers_jwks, settings.customers_issuer, settings.customers_audience
    if source is None:
        if issuer is not None or audience is not None:
            raise InvalidSetting("--customers-issuer and --customers-audience are for tokens of --customers-jwks")
        return None
    if not issuer or not audience:
        raise InvalidSetting(
            "--customers-jwks needs --customers-issuer and --customers-audience: whose tokens, for whom"
        )
    load = open_source(source)
    if "://" not in source:
        try:
            read_key_set(load())
        except (OSError, ValueError, InvalidKeySet) as error:
            raise InvalidSetting(f"--customers-jwks {source} can't be used: {error}") from None
    return Issuer(CachedKeys(load), issuer, audience, settings.customers_claim)
