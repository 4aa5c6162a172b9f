"""What the fuzzing sends and how it judges: valid requests are valid in every variation, and wrong answers are seen."""

from __future__ import annotations

import json
from random import Random
from urllib.parse import parse_qsl

import pytest

from fuzz.calls import Call, Calls, route_to
from fuzz.faults import Fault
from fuzz.garbling import garble
from fuzz.judgement import judge, judge_valid
from fuzz.known import Known
from fuzz.values import wrong_values
from fuzz.variations import pieces, vary
from fuzz.wire import Answer, encode
from jangteo.api import problems
from jangteo.api.http.allowance import Allowance
from jangteo.api.http.bounds import Bounds
from jangteo.api.http.parsing import RequestParser
from jangteo.api.requests import read_body, read_headers, read_query
from jangteo.api.routes import ROUTES

JSON = {"content-type": "application/json"}
ORDER = Call(route_to("POST", "/orders"), "/orders", {}, {"userId": 1, "items": []}, None)


def problem(kind: problems.Kind) -> Answer:
    body = json.dumps(problems.problem(kind)).encode()
    return Answer(kind.status, {"content-type": "application/problem+json"}, body)


@pytest.mark.parametrize("seed", range(300))
def test_a_valid_call_is_the_same_request_in_every_variation(seed: int) -> None:
    random = Random(seed)
    call = Calls(random, Known(), "key").any_route()
    parser = RequestParser(Bounds(), Allowance(0))
    for piece in pieces(vary(call, random), random):
        parser.feed(piece)
    assert parser.refused is None
    (request,) = parser.requests
    assert (request.method, request.path) == (call.route.method, call.path)
    assert dict(parse_qsl(request.query.decode())) == {name: str(value) for name, value in call.query.items()}
    assert request.body == call.content()
    if call.route.body is not None:
        assert read_headers(request) == call.key
        read_body(call.route, request.body)
    if call.route.query is not None:
        read_query(call.route.query, request.query)


def test_every_route_is_called() -> None:
    calls = Calls(Random(1), Known(), "key")
    called = {(call.route.method, call.route.path) for call in (calls.any_route() for _ in range(1_000))}
    assert called == {(route.method, route.path) for route in ROUTES}


def _sent(seed: int) -> list[bytes]:
    random = Random(seed)
    calls = Calls(random, Known(), "key")
    made = [wrong_values(calls.any_route(), random) for _ in range(100)]
    return [*made, *(garble(each, vary(calls.any_route(), random), random) for each in made)]


def test_a_seed_repeats_what_is_sent() -> None:
    assert _sent(1) == _sent(1)
    assert _sent(1) != _sent(2)


def test_the_bytes_of_a_call_name_its_key_and_length() -> None:
    call = ORDER._replace(key="a")
    assert b"\r\nidempotency-key: a\r\n" in encode(call)
    assert encode(call).endswith(b"content-length: 26\r\n\r\n" + call.content())


@pytest.mark.parametrize(
    "answer",
    [
        problem(problems.INTERNAL),
        problem(problems.OVERLOADED),
        problem(problems.UNAVAILABLE),
        Answer(500, {"content-type": "text/plain"}, b"Internal Server Error"),
        Answer(400, {"content-type": "text/plain"}, b"Invalid HTTP request received."),
        problem(problems.NOT_FOUND)._replace(status=400),
        problem(problems.NOT_FOUND)._replace(body=b"{"),
    ],
)
def test_what_no_request_deserves_is_a_fault(answer: Answer) -> None:
    with pytest.raises(Fault):
        judge(answer)


@pytest.mark.parametrize("kind", [problems.INVALID_REQUEST, problems.NOT_IMPLEMENTED, problems.BODY_TOO_LARGE])
def test_a_refusal_of_a_wrong_request_is_no_fault_but_one_of_a_valid_call_is(kind: problems.Kind) -> None:
    judge(problem(kind))
    with pytest.raises(Fault):
        judge_valid(ORDER, problem(kind))


@pytest.mark.parametrize("kind", ["out-of-stock", "idempotency-key-reused", "user-not-found"])
def test_a_documented_refusal_of_a_valid_call_is_no_fault(kind: str) -> None:
    (refused,) = (each for each in problems.REFUSALS.values() if each.slug == kind)
    assert judge_valid(ORDER, problem(refused)) is None


def test_a_valid_call_without_an_answer_is_a_fault_and_with_one_has_its_result() -> None:
    assert judge_valid(ORDER, Answer(201, JSON, b'{"orderId": 1}')) == {"orderId": 1}
    with pytest.raises(Fault):
        judge_valid(ORDER, None)
