"""Several processes of one host that serve one shop: front ends, writers and a keeper, with a supervisor over them.

Front ends speak HTTP and read; the writers commit what all of them accept; the keeper sends events and keeps the best
sellers. Each may die alone, and is replaced. A server of one front end needs none of this: see `jangteo.app.Shop`.
"""
