"""Words about a row, and untrusted text made fit for names: ids, names of classes, layers, methods and runs.

A row is a dict as `Explanation.row` gives it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    *(
        "caption",
        "digest",
        "escape_surrogates",
        "evidence",
        "finite",
        "headline",
        "known",
        "safe_name",
        "scored",
        "slug",
    ),
    *("verdict", "views"),
]

HASHED = re.compile(r"-[0-9a-f]{16}$")


def verdict(right: bool | None) -> str:
    """Return "right" or "wrong"; "" where a row's `right` is unknown."""
    return "" if right is None else "right" if right else "wrong"


def caption(row: Mapping[str, Any]) -> str:
    """One line about a map: "cat.png | dog 0.870 | predicted dog | truth cat | wrong | gradcam at conv".

    Unknown values are left out. A signed map is called so. Where an image has several views, the line ends in their
    names. The result can be encoded as UTF-8.
    """
    words = [row["id"], scored(row), *known(row), f"{row['method']} at {row['layer']}"]
    words += ["signed"] if row.get("signed") else []  # a logger of one's own may have made the row
    words += filter(None, [views(row)])
    return escape_surrogates(" | ".join(words))


def known(row: Mapping[str, Any]) -> list[str]:
    """What is known of a row's image: ["predicted dog", "truth cat", "wrong"]; unknown values are left out."""
    words = [f"{name} {row[f'{name}_name']}" for name in ("predicted", "truth") if row[f"{name}_name"] is not None]
    return [*words, *filter(None, [verdict(row["right"])])]


def headline(row: Mapping[str, Any]) -> str:
    """A row's target, its score, and the verdict if the target is the prediction: "dog 0.870, wrong"."""
    is_predicted = row["predicted"] is not None and row["predicted"] == row["target"]
    return ", ".join(filter(None, [scored(row), verdict(row["right"]) if is_predicted else ""]))


def scored(row: Mapping[str, Any]) -> str:
    """A row's target and its score: "dog 0.870". The result can be encoded as UTF-8."""
    score = f" {row['score']:.3f}" if math.isfinite(row["score"]) else ""
    return escape_surrogates(f"{row['target_name'] or row['asked']}{score}")


def evidence(row: Mapping[str, Any], diverging: str = "blue-red") -> str:
    """What a reader must know of a map's colours: "no evidence", or "blue against, red for the target"; else "".

    Args:
        row: of the map.
        diverging: the colour map of signed maps, as in `Drawing`.
    """
    if row["empty"]:
        return "no evidence" if row.get("signed") else "no positive evidence"
    against, favour = diverging.split("-")
    return f"{against} against, {favour} for the target" if row.get("signed") else ""


def views(row: Mapping[str, Any]) -> str:
    """The names of a row's views as they lie side by side: "left to right: frame 0, frame 1, ... frame 15".

    Those of several lines: "8 per line: slice 0, slice 2, ... slice 126". "" where there is one view.
    """
    names = list(row.get("views") or ())
    columns = row.get("columns") or len(names)
    listed = names if len(names) <= 4 else [*names[:2], f"... {names[-1]}"]
    how = "left to right" if columns >= len(names) else f"{columns} per line"
    return f"{how}: {', '.join(listed)}" if names else ""


def slug(text: str, length: int = 80, allowed: str = "A-Za-z0-9_-", keep: str = "start") -> str:
    """The readable rest of a text: each run of other characters becomes "_". May be empty; texts may share a slug.

    Args:
        text: any text.
        length: the number of characters to keep at most.
        allowed: the characters to keep, as in a regular expression's brackets.
        keep: which end of a long text to keep, "start" or "end".
    """
    safe = re.sub(f"[^{allowed}]+", "_", text)
    return safe[-length:] if keep == "end" else safe[:length]


def safe_name(text: str, length: int = 60, allowed: str = "A-Za-z0-9_.-") -> str:
    """A name for a text, never empty; different texts have different names.

    The text itself where it is harmless, else the slug of its end, a hyphen, and 16 hexadecimal digits of its hash.

    Args:
        text: any text.
        length: the number of characters to keep at most, the hash apart.
        allowed: the harmless characters, as in a regular expression's brackets. Without "/", a name is one part of a
            path or tag.
    """
    safe = slug(text, length, allowed, keep="end").strip()
    if safe == text and text and not HASHED.search(text):
        return text
    return f"{safe}-{hashlib.blake2b(_encoded(text), digest_size=8).hexdigest()}"


def digest(*parts: str | bytes) -> str:
    """16 hexadecimal digits of the parts' hash; ("ab", "c") and ("a", "bc") differ."""
    hashed = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = _encoded(part) if isinstance(part, str) else part
        hashed.update(len(data).to_bytes(8, "little"))
        hashed.update(data)
    return hashed.hexdigest()


def escape_surrogates(text: str) -> str:
    r"""The text in a form that UTF-8 can encode: a byte of a file name that is no UTF-8 reads `\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode()


def finite(value: float | None) -> float | None:
    """The value, None where it is infinite or NaN, for which JSON has no form."""
    return value if value is not None and math.isfinite(value) else None


def _encoded(text: str) -> bytes:
    """UTF-8. Python reads a file name that is no UTF-8 as lone surrogates; they are encoded like other characters."""
    return text.encode("utf-8", "surrogatepass")
