"""`make bench-compare BASE=...`: is this working tree faster or slower than a commit, beyond the noise?"""
