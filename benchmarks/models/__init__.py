"""`python -m benchmarks.models`: which layer and which grid xaicore finds in published architectures."""
