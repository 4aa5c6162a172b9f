"""The embedded side of the port: one shop in one SQLite file. Owns what only SQLite does; no rules, no shared SQL."""
