"""The documentation matches the routes, the types and the problems."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from jangteo.api import examples, problems
from jangteo.api.openapi import document
from jangteo.api.routes import ROUTES
from jangteo.core.refusals import Refusal
from tests.serving import ServedShop

OPENAPI = document(ROUTES, "1")


def test_the_document_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(msgspec.json.decode(msgspec.json.encode(OPENAPI))).validate()


def test_every_route_is_documented_with_its_refusals_and_examples() -> None:
    for route in ROUTES:
        operation = OPENAPI["paths"][route.path][route.method.lower()]
        assert operation["summary"]
        success = operation["responses"][str(route.status)]["content"]["application/json"]
        assert success["example"] is not None
        for refusal in route.refusals:
            kind = problems.REFUSALS[refusal]
            content = operation["responses"][str(kind.status)]["content"]["application/problem+json"]
            assert content["examples"][kind.slug]["value"]["type"] == f"/problems/{kind.slug}"


def test_every_route_documents_what_its_headers_and_parameters_are_refused_for() -> None:
    for route in ROUTES:
        responses = OPENAPI["paths"][route.path][route.method.lower()]["responses"]
        assert "invalid-request" in responses["400"]["content"]["application/problem+json"]["examples"]
        assert ("415" in responses) == (route.method != "GET")
        assert ("401" in responses) == (route.access.public != "always")
        assert ("403" in responses) == (route.method != "GET" or route.access.public != "always")


def test_every_route_documents_who_may_make_it() -> None:
    for route in ROUTES:
        security = OPENAPI["paths"][route.path][route.method.lower()]["security"]
        scopes = [] if route.access.scope is None else [route.access.scope]
        assert ({"apiKey": scopes} in security) == (route.access.public != "always")
        assert ({"customerToken": []} in security) == (route.access.customers != "none")
        assert ({} in security) == (route.access.public == "reads")
    assert set(OPENAPI["components"]["securitySchemes"]) == {"apiKey", "customerToken"}


def named(example: object) -> str:
    """The same in every process: the representation of encoded JSON has its address."""
    return msgspec.json.encode(example).decode()


@pytest.mark.parametrize("example", [*examples.BODIES.values(), *examples.RESULTS.values()], ids=named)
def test_every_example_decodes_as_its_type(example: Any) -> None:
    assert msgspec.json.decode(msgspec.json.encode(example), type=type(example)) == example


def test_every_refusal_has_a_problem_and_an_example() -> None:
    assert set(problems.REFUSALS) == set(examples.REFUSALS) == set(Refusal.__subclasses__())
    assert {refusal for route in ROUTES for refusal in route.refusals} <= set(problems.REFUSALS)


def test_browsers_get_html_and_programs_get_openapi(shop: ServedShop) -> None:
    http = shop.http
    root = http.get("/")
    assert (root.status_code, root.headers["location"]) == (307, "/schema")
    page = http.get("/schema", headers={"accept": "text/html,*/*"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for route in ROUTES:
        assert route.path in page.text
    assert "<script" not in page.text
    assert http.get("/schema").json() == http.get("/schema/openapi.json").json()
    assert http.get("/schema").json()["openapi"] == "3.1.0"


def test_the_type_of_a_problem_is_the_path_of_its_explanation(shop: ServedShop) -> None:
    problem = shop.http.get("/users/9/balance").json()
    page = shop.http.get(problem["type"])
    assert page.status_code == 200
    assert "There is no user with this id." in page.text
