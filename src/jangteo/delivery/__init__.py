"""The relay: delivers every event in the outbox to the data platform, at least once and in order for each order.

Owns when and in which order events are sent, retried, replayed and purged, and which relay may send. How one kind of
platform is reached belongs to `sinks`, writing the outbox to `storage`; orders never wait for this package.
"""
