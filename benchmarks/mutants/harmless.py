"""Faults that change no result, as somebody who read them found: why, by (module, unparsed line, kind).

A line that has several changes of a kind, one of which matters, has no place here.
"""

HARMLESS: dict[tuple[str, str, str], str] = {
    ("backend.py", "self._surveys.runs.update(recorded.runs)", "statement"): (
        "a pass that finds other runs than expected is repeated; what it saw saves the next one that"
    ),
}
