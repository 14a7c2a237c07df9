"""Targets beyond classes, on real models."""
