"""One sink for each kind of platform: how events reach it. What is sent, when and in which order isn't decided here."""
