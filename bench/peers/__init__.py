"""What a shop would be made of otherwise, measured by the same requests: `make bench ARGS=--peers`.

`apps` are the shops, which run in an environment of their own; the other modules start, load, kill and judge them.
"""
