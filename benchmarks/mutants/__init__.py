"""Faults put into a backend, one at a time: which of them the kit finds, and which the backend's own tests."""
