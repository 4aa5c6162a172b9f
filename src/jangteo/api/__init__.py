"""The HTTP API: JSON in, JSON out. An endpoint turns a request into a command or a query; the rest is shared."""
