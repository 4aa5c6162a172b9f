"""The writer that commits batches: as a child process, as a thread, or as a pool of these.

Owns the process, its protocol and its client in the serving process. What a batch does belongs to `engine.batch`.
"""
