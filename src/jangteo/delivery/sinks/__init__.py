"""One sink for each kind of platform. Owns how events reach it, not what is sent, when, or in which order."""
