"""From the outbox to the data platform, outside: at once, every event, in order, however often it takes."""
