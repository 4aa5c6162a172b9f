"""HTTP itself: uvicorn's settings and bounds, and how bytes are written. Knows no call of the shop."""
