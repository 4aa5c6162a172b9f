"""Why the door refuses a request, as problems."""

from typing import Final

from jangteo.api import problems
from jangteo.api.http.messages import Header
from jangteo.api.requests import Rejected

_CHALLENGE: Final = b'Bearer realm="jangteo"'


def unauthenticated(detail: str | None = None) -> Rejected:
    """Make the refusal of a request without a valid key or token; `detail` says what is wrong with the one it has."""
    # RFC 6750: without a credential the challenge names no error.
    challenge = _CHALLENGE if detail is None else _CHALLENGE + b', error="invalid_token"'
    kind = problems.UNAUTHENTICATED
    return Rejected(kind, detail or kind.meaning, headers=(_challenge(challenge),))


def forbidden(scope: str, detail: str) -> Rejected:
    """Make the refusal of a caller without this scope."""
    challenge = _CHALLENGE + b', error="insufficient_scope", scope="' + scope.encode() + b'"'
    return Rejected(problems.FORBIDDEN, detail, facts={"scope": scope}, headers=(_challenge(challenge),))


def not_for_customers(scope: str | None) -> Rejected:
    """Make the refusal of a call that no customer may make."""
    facts = {} if scope is None else {"scope": scope}
    return Rejected(problems.FORBIDDEN, "A customer may not make this call; it needs an API key", facts=facts)


def not_yours(user_id: int) -> Rejected:
    """Make the refusal of a customer who names another user."""
    return Rejected(problems.NOT_YOURS, problems.NOT_YOURS.meaning, facts={"userId": user_id})


def _challenge(value: bytes) -> Header:
    return b"www-authenticate", value
