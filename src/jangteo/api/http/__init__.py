"""HTTP itself: uvicorn's settings, bounds on requests, and how bytes are written. Knows no route."""
