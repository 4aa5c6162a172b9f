"""The door: who sent a request, and whether they may make it. Nothing of a refused request is executed."""
