"""The PostgreSQL side of the port: one database, used by many processes.

Owns what only PostgreSQL does: connections, pipelines, row locks, and the unknown outcome of a commit. It owns no rule
and none of the SQL that both databases share.
"""
