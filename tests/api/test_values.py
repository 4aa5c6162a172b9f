"""What is taken for a value is what it says it is, and what is refused is quoted."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from jangteo.api import coupons, duplicate_keys, orders, products, wallets
from jangteo.api.bodies import NoBody
from jangteo.api.http.messages import Request
from jangteo.api.problems import UNSUPPORTED_TYPE, Kind
from jangteo.api.rejected_values import shown, shown_at
from jangteo.api.requests import Malformed, read_body, read_headers, read_query, refuse_query
from jangteo.api.routes import ROUTES
from tests.serving import ServedShop

JSON: Final = (b"content-type", b"application/json")
ITEM: Final = b'{"productId":1,"quantity":1}'
BODIES = {route.body: route for route in ROUTES if route.body is not None}


def refused(body: type[Struct], raw: bytes) -> Malformed:
    with pytest.raises(Malformed) as error:
        read_body(BODIES[body], raw)
    return error.value


@pytest.mark.parametrize(
    "name", ["배추김치 5 kg", "a", "é", "e\u0301", "🍊", "👩‍🌾", " a ", "مرحبا", "שלום", "日本", "a\u200db", "x" * 200]
)
def test_a_name_shows_something(name: str) -> None:
    assert read_body(BODIES[wallets.NewUser], json.dumps({"name": name}).encode()).name == name


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "\u3000", "\xa0\u2003", "\u200b", "\ufeff", "\u200d\u200c", "\u2060", "\xad",
        "\u3164", "\u2800", "\ufe0f",
        "\u200e", "\U000e0041", "a\x00", "a\x1f", "a\x7f", "a\x85", "a\x9b31m", "a\u2028", "a\u2029b", "\u202eabc",
        "a\u2066b", "\u202a", "a\ufffe", "a\ufdd0", "a\U0001ffff", "a\U0010fffe", "a\n", "\ufffa", "x" * 201,
    ],
)  # fmt: skip
def test_a_name_in_which_nothing_can_be_seen_or_that_hides_something_is_refused(name: str) -> None:
    assert refused(wallets.NewUser, json.dumps({"name": name}).encode()).field == "name"


@pytest.mark.parametrize(
    ("body", "raw", "field"),
    [
        (wallets.Charge, b'{"amount": 1, "amount": 1000000}', "amount"),
        (wallets.Charge, b'{"amount": 1, "\\u0061mount": 1}', "amount"),
        (wallets.NewUser, b'{"name": "a", "name": null}', "name"),
        (wallets.NewUser, b'{"name": null, "name": "a:b"}', "name"),
        (orders.NewOrder, b'{"userId": 1, "items": [{"productId": 1, "quantity": 1}], "userId": 2}', "userId"),
        (orders.NewOrder, b'{"userId":1,"couponId":null,"couponId":2,"items":[%s]}' % ITEM, "couponId"),
        (orders.NewOrder, b'{"userId":1,"items": [{"productId":1,"quantity":1,"quantity":9}]}', "items[0].quantity"),
        (orders.NewOrder, b'{"userId":1,"items":[%s],"items":[%s]}' % (ITEM, ITEM), "items"),
    ],
)  # fmt: skip
def test_an_object_that_names_a_field_twice_is_refused(body: type[Struct], raw: bytes, field: str) -> None:
    error = refused(body, raw)
    assert (error.field, error.detail) == (field, f"`{field}` must be given once")
    assert error.kind.slug == ("invalid-amount" if field == "amount" else "invalid-request")


MEMBERS: dict[type[Struct], list[tuple[str, Any]]] = {
    wallets.NewUser: [("name", "a: b")],
    wallets.Charge: [("amount", 5)],
    products.NewProduct: [("name", '":'), ("price", 5), ("stock", 5)],
    products.ProductChange: [("name", "a"), ("price", 5)],
    products.StockChange: [("quantity", 5)],
    coupons.NewCampaign: [
        ("name", "a"), ("quantity", 1), ("discount", 1), ("minAmount", 0), ("opensAt", "2026-11-28T00:00:00Z"),
        ("closesAt", None),
    ],
    coupons.Claim: [("userId", 1), ("campaignId", None)],
    orders.NewOrder: [("userId", 1), ("items", [{"productId": 1, "quantity": 1}] * 3), ("couponId", 4)],
}  # fmt: skip


@given(data=st.data(), body=st.sampled_from(sorted(MEMBERS, key=lambda each: each.__name__)))
def test_the_count_finds_every_duplicate_and_nothing_else(data: st.DataObject, body: type[Struct]) -> None:
    required = {each.encode_name for each in msgspec.structs.fields(body) if each.required}
    members = [
        each for each in MEMBERS[body] if each[0] in required or each[0] == "discount" or data.draw(st.booleans())
    ]
    repeated = data.draw(st.none() | st.sampled_from(members)) if members else None
    given_members = data.draw(st.permutations(members if repeated is None else [*members, repeated]))
    raw = "{" + ", ".join(f"{json.dumps(name)} : {json.dumps(value)}" for name, value in given_members) + "}"
    decoded = BODIES[body].decode(raw.encode())
    assert duplicate_keys.find(raw.encode(), decoded) == (None if repeated is None else repeated[0])


class Line(Struct):
    required: int
    optional: int = 0


class Lines(Struct):
    lines: list[Line]


def test_a_field_that_one_line_leaves_out_hides_no_duplicate_of_another() -> None:
    raw = b'{"lines": [{"required": 1, "optional": 1, "optional": 2}, {"required": 1}]}'
    assert duplicate_keys.find(raw, msgspec.json.decode(raw, type=Lines)) == "lines[0].optional"


@pytest.mark.parametrize(
    ("body", "raw", "field", "quoted"),
    [
        (wallets.Charge, b'{"amount": "12"}', "amount", '"12"'),
        (wallets.Charge, b'{"amount": 1.50}', "amount", "1.50"),
        (wallets.Charge, b'{"amount": [1]}', "amount", "[1]"),
        (orders.NewOrder, b'{"userId": 1, "items": [{"productId": 1, "quantity": -3}]}', "items[0].quantity", "-3"),
        (wallets.NewUser, '{"name": "\u202e"}'.encode(), "name", r'"\u202e"'),
        (products.StockChange, b'{"quantity": 0}', "quantity", "0"),
        (wallets.Charge, b'{"amount": "' + b"x" * 500 + b'"}', "amount", '"' + "x" * 59 + "…"),
    ],
)
def test_the_wrong_value_is_quoted(body: type[Struct], raw: bytes, field: str, quoted: str) -> None:
    error = refused(body, raw)
    assert error.field == field
    assert error.detail.endswith(f"; the value is {quoted}")


@pytest.mark.parametrize(
    ("body", "raw", "field"),
    [
        (orders.NewOrder, b'{"userId": 1, "items": [{"productId": 1, "quantity": 1, "price": 1}]}', "items[0].price"),
        (wallets.NewUser, '{"\u202ea\\u001b[31m": 1}'.encode(), r"\u202ea\u001b[31m"),
        (wallets.NewUser, b'{"%s": 1}' % (b"x" * 60_000), "x" * 60 + "…"),
        (wallets.NewUser, b'{"a`b": 1}', "a`b"),
        (wallets.NewUser, b'{"`": 1}', "`"),
    ],
)  # fmt: skip
def test_an_unknown_field_is_named_short_and_escaped(body: type[Struct], raw: bytes, field: str) -> None:
    error = refused(body, raw)
    assert error.field == field
    assert error.detail.partition("; the value")[0] == f"Object contains unknown field `{field}`"


def test_what_is_not_json_is_quoted_from_where_it_cannot_be_read() -> None:
    detail = refused(orders.NewOrder, b'{"userId": NaN, "\xff": ' + b"x" * 500).detail
    assert detail.endswith(r'(byte 11); the text there is NaN, "\ufffd": ' + "x" * 45 + "…")


@pytest.mark.parametrize(
    ("query", "field", "detail"),
    [
        ("method=" + "x" * 8_000, "method", '`method`: Invalid enum value; the value is "' + "x" * 59 + "…"),
        ("method=%E2%80%AE", "method", r'`method`: Invalid enum value; the value is "\u202e"'),
        ("limit=0", "limit", "`limit`: Expected `int` >= 1; the value is 0"),
        ("limit=한", "limit", r'`limit` must be a whole number, not "\ud55c"'),
        ("%1B%E2%80%AE=1", r"\u001b\u202e", r'Unknown query parameter "\u001b\u202e"'),
        ("x" * 8_000, "x" * 60 + "…", 'Unknown query parameter "' + "x" * 59 + "…"),
    ],
)
def test_what_is_wrong_in_a_query_is_quoted_short_and_escaped(query: str, field: str, detail: str) -> None:
    route = next(each for each in ROUTES if each.path == "/products/top")
    assert route.query is not None
    with pytest.raises(Malformed) as error:
        read_query(route.query, query.encode())
    assert (error.value.field, error.value.detail) == (field, detail)


def test_an_unknown_path_is_quoted_short(shop: ServedShop) -> None:
    answer = shop.http.get("/" + "x" * 8_000)
    assert answer.json()["detail"] == f"Nothing has the path /{'x' * 59}…; /schema lists all paths"


@pytest.mark.parametrize("raw", [b'{"userId": "\xed\xa0\x80"}', b'{"userId": "\xff", "userId": 1}'])
def test_a_wrong_value_that_is_no_text_is_refused_all_the_same(raw: bytes) -> None:
    assert refused(orders.NewOrder, raw).field in ("userId", "body")


def test_a_field_that_is_not_there_has_no_value_to_quote() -> None:
    assert "; the value" not in refused(wallets.Charge, b"{}").detail
    assert shown_at(b'{"a": [1]}', "a[1]") is None
    assert shown_at(b"[" * 1_000, "a") is None


def test_what_is_shown_is_printable_ascii_and_short() -> None:
    assert shown("\x1b[31m\u202e\ud800") == r'"\u001b[31m\u202e\ud800"'
    assert len(shown("x" * 10_000)) == 61


@pytest.mark.parametrize(
    "query", [b"nothing=1", b"limit=1&nothing=abc", b"nothing", b"nothing=&limit=2", b"%6eothing=x"]
)
def test_an_unknown_query_parameter_is_called_unknown_whatever_its_value(query: bytes) -> None:
    route = next(each for each in ROUTES if each.path == "/products" and each.query is not None)
    assert route.query is not None
    with pytest.raises(Malformed, match='Unknown query parameter "nothing"') as error:
        read_query(route.query, query)
    assert error.value.field == "nothing"
    refuse_query(b"")
    with pytest.raises(Malformed, match="Unknown query parameter"):
        refuse_query(query)


@pytest.mark.parametrize(
    "path",
    ["/products/1?x=1", "/health/live?x", "/health/ready?x=", "/schema?x=1", "/?x=1", "/problems/out-of-stock?x=1",
     "/users/1/balance?limit=1", "/schema/openapi.json?v=2"],
)  # fmt: skip
def test_no_path_ignores_a_query_parameter(shop: ServedShop, path: str) -> None:
    assert shop.http.product() == shop.http.user() == 1
    answer = shop.http.get(path)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
    assert shop.http.post("/users?dry-run=1").status_code == 400


def asked(*headers: tuple[bytes, bytes], body: bytes = b"{}") -> Request:
    return Request("POST", "/users", b"", [(b"host", b"shop:8000"), *headers], body, keep_alive=True)


@pytest.mark.parametrize(
    ("request_", "field", "kind"),
    [
        (asked(), "Content-Type", UNSUPPORTED_TYPE),
        (asked((b"content-type", b"text/plain")), "Content-Type", UNSUPPORTED_TYPE),
        (asked((b"content-type", b"")), "Content-Type", UNSUPPORTED_TYPE),
        (asked(JSON, (b"content-type", b"text/plain")), "Content-Type", UNSUPPORTED_TYPE),
        (asked((b"content-type", b"application/x-www-form-urlencoded"), body=b""), "Content-Type", UNSUPPORTED_TYPE),
        (asked(JSON, (b"content-encoding", b"gzip")), "Content-Encoding", UNSUPPORTED_TYPE),
        (asked(JSON, (b"content-encoding", b"identity, br")), "Content-Encoding", UNSUPPORTED_TYPE),
    ],
)
def test_a_body_that_is_not_json_is_refused(request_: Request, field: str, kind: Kind) -> None:
    with pytest.raises(Malformed) as error:
        read_headers(request_)
    assert (error.value.field, error.value.kind) == (field, kind)


@pytest.mark.parametrize(
    "request_",
    [
        asked(JSON),
        asked(body=b""),
        asked(JSON, body=b""),
        asked(JSON, (b"content-encoding", b"identity")),
    ],
)
def test_json_as_it_is_and_an_empty_body_are_read(request_: Request) -> None:
    assert read_headers(request_) is None


def test_what_is_refused_by_its_headers_is_a_problem_and_changes_nothing(shop: ServedShop) -> None:
    answer = shop.http.post("/users", content=b"{}")
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-media-type")
    assert shop.http.user() == 1


def test_every_answer_is_what_it_says_it_is_and_true_at_its_moment_only(shop: ServedShop) -> None:
    for answer in (shop.http.post("/users"), shop.http.get("/users/1/balance"), shop.http.get("/users/9/balance")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_a_campaign_that_would_never_be_open_is_refused_by_its_defaults_too(shop: ServedShop) -> None:
    answer = shop.http.post(
        "/campaigns", json={"name": "a", "discount": 1, "quantity": 1, "closesAt": "2026-01-01T00:00:00Z"}
    )
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
    assert answer.json()["field"] == "closesAt"
    assert "close before it opens" in answer.json()["detail"]
    assert read_body(BODIES[NoBody], b"") == NoBody()
