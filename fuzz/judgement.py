"""Which answers are right, whatever was sent."""

import json
from typing import Any, Final

from fuzz.calls import Call
from fuzz.faults import Fault
from fuzz.wire import Answer
from jangteo.api.problems import REFUSALS
from jangteo.core.refusals import KeyReused, Refusal

_SERVER_ERROR: Final = 500
_SUCCESS: Final = range(200, 300)
_PROBLEM: Final = "application/problem+json"
_NOT_SERVED: Final = "/problems/not-implemented"
"""Parts of HTTP that no request needs: CONNECT, and transfer encodings but chunked."""


def judge(answer: Answer) -> None:
    """Raise Fault if no request at all deserves this answer from a server that nothing keeps from working."""
    problem = problem_of(answer)
    if answer.status >= _SERVER_ERROR and problem.get("type") != _NOT_SERVED:
        raise Fault(f"a quiet server answers {answer}")
    if answer.status not in _SUCCESS and answer.body and answer.headers.get("content-type") != _PROBLEM:
        raise Fault(f"no problem but {answer}")


def judge_valid(call: Call, answer: Answer | None) -> dict[str, Any] | None:
    """Raise Fault if a valid call does not deserve this answer. Returns the result of a write that succeeded."""
    if answer is None:
        raise Fault(f"{call.title} is not answered")
    judge(answer)
    refusals: tuple[type[Refusal], ...] = (*call.route.refusals, KeyReused)
    documented = {call.route.status, *(REFUSALS[each].status for each in refusals)}
    is_malformed = problem_of(answer).get("type") == "/problems/invalid-request"
    if answer.status not in documented or is_malformed:
        raise Fault(f"{call.title} is valid, and answered with {answer}")
    if call.route.body is None or answer.status not in _SUCCESS:
        return None
    if call.parts:
        _judge_parts(call, _decoded(answer))
        return None
    result: dict[str, Any] = _decoded(answer)
    return result


def _judge_parts(call: Call, answers: list[dict[str, Any]]) -> None:
    """Judge each call of a bulk request as if it had come alone."""
    for part, each in zip(call.parts, answers, strict=True):
        content_type = "application/json" if each["status"] in _SUCCESS else _PROBLEM
        alone = Answer(each["status"], {"content-type": content_type}, json.dumps(each["body"]).encode())
        judge_valid(part, alone)


def problem_of(answer: Answer) -> dict[str, Any]:
    """Return a problem; empty if it is none."""
    if answer.headers.get("content-type") != _PROBLEM or not answer.body:
        return {}
    problem = _decoded(answer)
    if not isinstance(problem, dict) or problem.get("status") != answer.status:
        raise Fault(f"the problem names another status than {answer}")
    return problem


def _decoded(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError:
        raise Fault(f"this is not JSON: {answer}") from None
