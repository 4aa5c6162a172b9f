"""The settings of a session: everything that Jangteo relies on is stated, whatever the server, database or role sets.

The list was made from PostgreSQL's client settings and those that `ALTER ROLE … SET` accepts. What an operator may
decide is left alone: memory, logging, tablespaces, and the synchronous levels above `on`.
"""

from typing import Final

from jangteo.storage.postgres.pipeline import Pipeline

LOCK_TIMEOUT_S: Final = 10.0
"""The longest wait for a lock, also of work that may take minutes."""
_IDLE_IN_TRANSACTION_S: Final = 60

_STATED: Final = {
    # A commit that was not confirmed by the standbys comes back with a warning.
    "client_min_messages": "warning",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "idle_in_transaction_session_timeout": f"{_IDLE_IN_TRANSACTION_S}s",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
}
# The planner's own settings are those the server was built with: a role without index scans would read whole tables.
_AS_BUILT: Final = [
    "cpu_index_tuple_cost",
    "cpu_operator_cost",
    "cpu_tuple_cost",
    "cursor_tuple_fraction",
    "from_collapse_limit",
    "join_collapse_limit",
    "plan_cache_mode",
    "constraint_exclusion",
    "geqo_threshold",
    "jit_above_cost",
    "min_parallel_table_scan_size",
    "parallel_setup_cost",
    "parallel_tuple_cost",
    "random_page_cost",
    "seq_page_cost",
]
# `name` joins with pg_settings, which leaves out what this version of the server doesn't have.
_STATE: Final = """
    SELECT set_config(pg_settings.name, stated.value, FALSE)
    FROM pg_settings JOIN unnest($1::text[], $2::text[]) AS stated (name, value) ON pg_settings.name = stated.name
"""
_SET: Final = "SELECT set_config($1, $2, FALSE)"
_RESTORE: Final = r"""
    SELECT set_config(name, boot_val, FALSE) FROM pg_settings
    WHERE context = 'user' AND setting <> boot_val AND (name LIKE 'enable\_%' OR name = ANY($1))
"""
# Only the schema that the session creates tables in: nothing is found in another one by accident. A commit that comes
# back is on disk, and on the synchronous standbys where there are any.
_NARROW: Final = """
    SELECT set_config('search_path', quote_ident(current_schema()), FALSE),
        set_config('synchronous_commit', CASE current_setting('synchronous_commit')
            WHEN 'remote_apply' THEN 'remote_apply' WHEN 'remote_write' THEN 'remote_write' ELSE 'on' END, FALSE)
"""
_SERVER: Final = """
    SELECT pg_backend_pid()::bigint, current_setting('synchronous_standby_names') <> '', pg_is_in_recovery()
"""
# Batches find and change rows by key only, so a statement is planned once for index scans and the plan is used until
# plan-cache invalidation; planning each time took a third of a lone order's time (measured).
# The idle timeout releases the locks of a host that was cut off within a transaction after seconds.
PLAN_BY_KEYS: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "jit": "off",
    "idle_in_transaction_session_timeout": "5s",
}


def state_settings(pipeline: Pipeline) -> bool:
    """State the session's settings, note its server process, and return whether the server is a standby.

    Statements end on the server when the pipeline no longer waits for them. Raises the driver's errors.
    """
    timeout_ms = str(round(pipeline.timeout_s * 1000))
    lock_timeout_ms = str(round(min(pipeline.timeout_s, LOCK_TIMEOUT_S) * 1000))
    stated = {**_STATED, "lock_timeout": lock_timeout_ms}
    # A standby refuses the isolation that a role may have by default.
    pipeline.send("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
    # Before the others, since a role's timeout may be too short for them.
    pipeline.send(_SET, ["statement_timeout", timeout_ms])
    pipeline.send(_RESTORE, [_AS_BUILT])
    pipeline.send(_STATE, [list(stated), list(stated.values())])
    pipeline.send(_NARROW)
    server = pipeline.send(_SERVER)
    pipeline.send("COMMIT")
    ((pipeline.backend_id, pipeline.has_standbys, is_standby),) = server
    return bool(is_standby)


def check_session(pipeline: Pipeline) -> bool:
    """Note whether there are synchronous standbys now, and return whether the session has its own server process still.

    Raises the driver's errors.
    """
    ((backend_id, pipeline.has_standbys, _),) = pipeline.send(_SERVER)
    return bool(backend_id == pipeline.backend_id)


def plan_by_keys(pipeline: Pipeline) -> None:
    """Plan for rows found by key, as batches need it. Raises the driver's errors."""
    pipeline.send(_STATE, [list(PLAN_BY_KEYS), list(PLAN_BY_KEYS.values())])
    pipeline.sync()
