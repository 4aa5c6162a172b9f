"""What `make fuzz` and `make soak` do: serve a shop, send it what no client should, and judge every answer.

Requests are valid first, so that the shop is in a deep state; then values, bytes, timing and connections go wrong.
Nothing here is part of the product. `tests/fuzz/` runs some steps of it in `make test`.
"""
