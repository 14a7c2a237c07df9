"""Whether a JPEG file is whole. OpenCV 4 decodes a part of one without an error, and draws what is missing grey."""

from __future__ import annotations

import re

__all__ = ["is_cut_jpeg"]

START, END = b"\xff\xd8", 0xD9
MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
"""In the pixels, 0xff is followed by 0 or a restart marker; any other byte begins a segment, or is the end."""


def is_cut_jpeg(data: bytes) -> bool:
    """Whether the data begin as a JPEG file and stop before its end marker; what follows the marker does not count."""
    if not data.startswith(START):
        return False
    found = MARKER.search(data, len(START))
    while found is not None and found[1][0] != END:
        length = data[found.end() : found.end() + 2]  # it counts itself
        found = MARKER.search(data, found.end() + int.from_bytes(length, "big"))
    return found is None
