"""The command line: the same shop, for operators."""
