"""Options of `jangteo serve` about who may call it, and how: hosts, browsers, rates, customers' tokens, TLS."""

from typing import Annotated

import typer

AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host",
        envvar="JANGTEO_ALLOWED_HOST",
        metavar="NAME",
        help="A name by which clients call this server, or *.NAME; several may be given. Default: loopback's names on "
        "loopback; elsewhere addresses and names without a dot.",
        show_default=False,
    ),
]
AllowedOrigins = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-origin",
        envvar="JANGTEO_ALLOWED_ORIGIN",
        metavar="ORIGIN",
        help="An origin, https://HOST, whose pages may call this server from a browser; several may be given.",
        show_default=False,
    ),
]
TrustedProxies = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        envvar="JANGTEO_TRUSTED_PROXY",
        metavar="NETWORK",
        help="A network, 10.0.0.0/8, or address of proxies that say where requests come from; several may be given.",
        show_default=False,
    ),
]
Rates = Annotated[
    list[str] | None,
    typer.Option(
        "--rate",
        envvar="JANGTEO_RATE",
        metavar="RATE",
        help="How many requests each caller may send: 100/s, 100/s:500 with a burst, or for one kind of callers "
        "key=1000/s, customer=10/s, address=50/s. Default: no limit.",
        show_default=False,
    ),
]
CustomersJwks = Annotated[
    str | None,
    typer.Option(
        "--customers-jwks",
        envvar="JANGTEO_CUSTOMERS_JWKS",
        metavar="FILE|URL",
        help="The public keys (a JWK set) of the identity provider whose tokens customers have.",
        show_default=False,
    ),
]
CustomersIssuer = Annotated[
    str | None,
    typer.Option(
        "--customers-issuer",
        envvar="JANGTEO_CUSTOMERS_ISSUER",
        metavar="TEXT",
        help="What the tokens have as iss; required with --customers-jwks.",
        show_default=False,
    ),
]
CustomersAudience = Annotated[
    str | None,
    typer.Option(
        "--customers-audience",
        envvar="JANGTEO_CUSTOMERS_AUDIENCE",
        metavar="TEXT",
        help="What the tokens have as aud; required with --customers-jwks.",
        show_default=False,
    ),
]
CustomersClaim = Annotated[
    str,
    typer.Option(
        "--customers-claim",
        envvar="JANGTEO_CUSTOMERS_CLAIM",
        metavar="NAME",
        help="The claim of the tokens that is the user's id in this shop.",
    ),
]
TlsCertificate = Annotated[
    str | None,
    typer.Option(
        "--tls-certificate",
        envvar="JANGTEO_TLS_CERTIFICATE",
        metavar="FILE",
        help="Serve HTTPS with this certificate, in PEM with those between it and its authority's; needs --tls-key.",
        show_default=False,
    ),
]
TlsKey = Annotated[
    str | None,
    typer.Option(
        "--tls-key",
        envvar="JANGTEO_TLS_KEY",
        metavar="FILE",
        help="The key of --tls-certificate, in PEM without a password.",
        show_default=False,
    ),
]
