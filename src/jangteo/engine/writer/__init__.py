"""The writer: the process (or thread) that commits, and the way to it. Owns no rule; it runs `engine.batch`."""
