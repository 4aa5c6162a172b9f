"""The drain: a server's last seconds. Readiness fails, so that load balancers go elsewhere; all else is still answered.

Knows no signals: `api.http.shutdown` begins it.
"""

from dataclasses import dataclass


@dataclass
class Drain:
    """How long a server drains, and whether it has begun to."""

    seconds: int
    """0: the server ends without a drain."""
    has_begun: bool = False
