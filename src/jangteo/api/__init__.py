"""The HTTP API: JSON in, JSON out.

Owns the routes, reading requests, writing responses, and the documentation. An endpoint only turns a request into a
command or a query: it owns no rule (`core`), no SQL (`storage`), and no transaction (`engine`).
"""
