"""The command line: the same shop, for operators.

Owns options, what a command prints, and its exit code. What a command does belongs to the packages below.
"""
