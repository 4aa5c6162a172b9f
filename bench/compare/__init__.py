"""`make bench-compare BASE=...`: says what is faster or slower in this working tree than in a commit."""
