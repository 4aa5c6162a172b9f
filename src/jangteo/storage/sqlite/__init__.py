"""The SQLite side of the port: one shop in one file, served by one server.

Owns what only SQLite does: the file and its lock, connections, and WAL checkpoints. It owns no rule and none of the SQL
that both databases share.
"""
