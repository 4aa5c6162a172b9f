"""The drill's judgement: answers against rows, answers and rows against events."""

from __future__ import annotations

from typing import Any

import pytest

from drill import judgement
from drill.answers import Acknowledged, Identity, Kind, Request
from drill.judgement import Finding, ReceivedEvent, Row

USER = 7
ORDER: Identity = (1, USER, 300)
OTHER_ORDER: Identity = (2, USER, 300)
CHARGE: Identity = (USER, 50)


def acknowledged(identity: Identity, kind: Kind = "order", at: float = 10.0) -> Acknowledged:
    return Acknowledged(kind, identity, USER, at)


def row(identity: Identity, kind: Kind = "order", at: float = 10.0) -> Row:
    return Row(kind, identity, USER, at)


def event(order: Identity = ORDER, event_id: str = "shop-order-1-paid", text: str = "{}") -> ReceivedEvent:
    return ReceivedEvent(event_id, order, text, 10.0)


def unanswered(kind: Kind = "order", owner: int = USER) -> Request:
    return Request(kind, "key", "/", {}, owner)


def times(findings: list[Finding]) -> list[float]:
    return [each.at for each in findings]


@pytest.mark.parametrize(
    ("answers", "rows", "lost"),
    [
        pytest.param([ORDER], [ORDER], 0, id="there"),
        pytest.param([ORDER], [], 1, id="not-there"),
        pytest.param([ORDER], [OTHER_ORDER], 1, id="another-order"),
        pytest.param([ORDER], [(1, 8, 300)], 1, id="its-id-went-to-another-user"),
        pytest.param([ORDER], [(1, USER, 200)], 1, id="its-total-is-another"),
        pytest.param([ORDER, ORDER], [ORDER], 1, id="two-answers-for-one-order"),
    ],
)
def test_an_answer_without_a_row_of_its_own_is_lost(answers: list[Identity], rows: list[Identity], lost: int) -> None:
    found = judgement.lost([acknowledged(each, at=20.0) for each in answers], map(row, rows))
    assert times(found) == [20.0] * lost


def test_equal_identities_of_different_kinds_are_different_things() -> None:
    assert judgement.lost([acknowledged(CHARGE, "charge")], [row(CHARGE, "coupon")])
    assert judgement.doubled([acknowledged(CHARGE, "charge")], [row(CHARGE, "coupon")])


@pytest.mark.parametrize(
    ("answers", "rows", "open_requests", "doubled"),
    [
        pytest.param([ORDER], [ORDER], [], 0, id="once"),
        pytest.param([ORDER], [ORDER, OTHER_ORDER], [], 1, id="a-second-order"),
        pytest.param([ORDER], [], [], 0, id="lost-is-not-doubled"),
        pytest.param([ORDER], [ORDER, OTHER_ORDER], [unanswered()], 0, id="asked-for-and-never-answered"),
        pytest.param([ORDER], [ORDER, OTHER_ORDER, (3, USER, 1)], [unanswered()], 1, id="one-may-explain-one"),
        pytest.param([ORDER], [ORDER, OTHER_ORDER], [unanswered(owner=8)], 1, id="another-user-never-answered"),
        pytest.param([ORDER], [ORDER, OTHER_ORDER], [unanswered("charge")], 1, id="another-kind-never-answered"),
    ],
)
def test_a_row_that_nobody_was_answered_is_doubled(
    answers: list[Identity], rows: list[Identity], open_requests: list[Request], doubled: int
) -> None:
    found = judgement.doubled(map(acknowledged, answers), [row(each, at=30.0) for each in rows], open_requests)
    assert times(found) == [30.0] * doubled


def test_a_charge_done_twice_is_doubled() -> None:
    found = judgement.doubled([acknowledged(CHARGE, "charge")], [row(CHARGE, "charge"), row(CHARGE, "charge")])
    assert len(found) == 1


@pytest.mark.parametrize(
    ("balances", "open_requests", "wrong"),
    [
        pytest.param({USER: 700}, [], 0, id="right"),
        pytest.param({USER: 1_000}, [], 1, id="an-order-was-not-paid"),
        pytest.param({USER: 400}, [], 1, id="an-order-was-paid-twice"),
        pytest.param({}, [], 1, id="the-user-is-gone"),
        pytest.param({USER: 400}, [unanswered()], 0, id="unknown"),
    ],
)
def test_a_balance_is_what_was_charged_less_what_was_paid(
    balances: dict[int | str, int], open_requests: list[Request], wrong: int
) -> None:
    answers = [acknowledged((USER, 1_000), "charge"), acknowledged(ORDER), acknowledged((9, USER, 1), "coupon")]
    assert len(judgement.wrong_balances(answers, balances, open_requests)) == wrong


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        pytest.param([ORDER], 0, id="there"),
        pytest.param([], 1, id="not-there"),
        pytest.param([(1, 8, 300)], 1, id="its-id-went-to-another-order"),
    ],
)
def test_an_event_needs_its_order(rows: list[Identity], wrong: int) -> None:
    assert len(judgement.events_of_lost_orders([event()], map(row, rows))) == wrong


def test_a_charge_is_no_order_for_an_event() -> None:
    assert judgement.events_of_lost_orders([event()], [row(ORDER, "charge")])


@pytest.mark.parametrize(
    ("answers", "missing"),
    [
        pytest.param([acknowledged(ORDER)], 0, id="arrived"),
        pytest.param([acknowledged(ORDER), acknowledged(OTHER_ORDER)], 1, id="one-did-not-arrive"),
        pytest.param([acknowledged(ORDER), acknowledged(CHARGE, "charge")], 0, id="charges-have-none"),
    ],
)
def test_every_acknowledged_order_needs_its_event(answers: list[Acknowledged], missing: int) -> None:
    assert len(judgement.missing_events(answers, [event()])) == missing


@pytest.mark.parametrize(
    ("second", "doubled"),
    [
        pytest.param({}, 0, id="the-same-again"),
        pytest.param({"text": "{ }"}, 1, id="another-text-under-the-same-id"),
        pytest.param({"event_id": "shop-order-1-paid-again"}, 1, id="another-id-for-the-same-order"),
        pytest.param({"event_id": "shop-order-2-paid", "order": OTHER_ORDER}, 0, id="another-order"),
    ],
)
def test_an_event_may_come_again_only_as_it_was(second: dict[str, Any], doubled: int) -> None:
    assert len(judgement.doubled_events([event(), event(**second)])) == doubled


@pytest.mark.parametrize(
    ("request_", "answer", "identity"),
    [
        (Request("order", "k", "/orders", {}, USER), {"orderId": 1, "userId": USER, "total": 300}, ORDER),
        (Request("charge", "k", "/users/7/balance", {"amount": 50}, USER), {"userId": USER, "balance": 90}, CHARGE),
        (Request("coupon", "k", "/coupons", {"campaignId": 4}, USER), {"couponId": 9}, (9, USER, 4)),
        (Request("user", "k", "/users", {"name": "k"}, "k"), {"userId": USER, "balance": 0}, (USER, "k")),
    ],
    ids=["order", "charge", "coupon", "user"],
)
def test_an_answer_promises_what_its_row_must_be(request_: Request, answer: dict[str, Any], identity: Identity) -> None:
    assert request_.identity(answer) == identity


def test_every_kind_of_finding_is_listed() -> None:
    one = [Finding(0, "a")], [Finding(0, "b")], [Finding(0, "c")], [Finding(0, "d")], [Finding(0, "e")]
    assert judgement.Findings(*one, ["f"]).lines() == ["a", "b", "c", "d", "e", "f"]
