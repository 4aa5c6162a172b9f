"""What `make drill` does: a cluster on this machine, customers with keys and retries, faults, and a judgement of them.

Nothing here is part of the product. The cluster is etcd, Patroni, PostgreSQL and HAProxy from Debian's packages, on
loopback and in a folder that is removed at the end; Jangteo is served from this checkout.
"""
