"""Group commit: what arrives together is decided together, and answered once it is on disk."""
