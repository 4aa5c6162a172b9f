"""Running commands and queries: group commit, idempotency, worker pools, and the best-seller refreshes.

The engine batches commands, commits each batch in one transaction and answers once it is durable; it answers queries
from snapshots. It owns no business rule (`core`) and no SQL (`storage`), and it doesn't know HTTP (`api`).
"""
