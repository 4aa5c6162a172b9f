"""HTTP itself: connections, their bytes and bounds, and the server's start and end. Knows no route."""
