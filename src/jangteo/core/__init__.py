"""Business rules: entities, commands and refusals.

Core is pure: no I/O, no clock, no randomness; the current time is passed in with the book. It imports no other package
of Jangteo. It doesn't load or store anything (`storage`), and it doesn't know HTTP (`api`).
"""
