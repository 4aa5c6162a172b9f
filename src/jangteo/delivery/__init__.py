"""The relay: delivers every event in the outbox to the data platform, at least once and in order for each order."""
