"""The loads: what sends requests or transactions (wrk and pgbench, with their scripts), and what one run came to."""
