"""The cluster that the drill breaks: etcd, PostgreSQL nodes with Patroni, HAProxy, servers and a platform."""
