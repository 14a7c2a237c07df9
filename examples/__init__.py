"""Things that run: the demo and its model."""
