"""JSON in, JSON out. An endpoint turns a request into a command or a question; the rest is the same for all of them."""
