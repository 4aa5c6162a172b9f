"""The pure room: every business decision, and nothing else.

No input or output, no clock, no randomness; the moment is handed in. Nothing else of Jangteo is imported here.
"""
