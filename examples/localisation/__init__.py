"""Localisation on the report's scenes: the tables and the figure of docs/localisation.md.

python -m examples.localisation
"""
