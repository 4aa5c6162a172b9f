"""The PostgreSQL side of the port: one shop, many processes. Owns what only PostgreSQL does; no rules."""
