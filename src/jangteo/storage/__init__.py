"""All SQL: the schema and its migrations, loading and saving a batch, queries, the audit, and copying a shop.

`port` is the interface that `sqlite` and `postgres` implement; all other SQL is written once for both. Storage owns no
business rule (`core`).
"""
