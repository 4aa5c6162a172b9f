"""HTTP itself: uvicorn's settings, bounds on requests, how bytes are written, and what signals do. Knows no route."""
