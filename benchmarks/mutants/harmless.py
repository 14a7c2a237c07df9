"""Faults that change no result, as somebody who read them found: why, by (module, line, what is changed)."""

HARMLESS: dict[tuple[str, str, str], str] = {}
