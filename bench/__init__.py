"""What `make bench` measures: the shop over HTTP, beside a bare echo on the same server and pgbench on its database.

The modules here are the runs; `loads` makes requests, `contenders` takes them, `reports` shows the figures.
"""
