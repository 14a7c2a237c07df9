"""docs/errors.md cannot drift from the classes of errors; its examples run in tests/torch."""

from __future__ import annotations

import inspect
import re

import pages

from xaicore import errors

CLASSES = [value for name in errors.__all__ if isinstance(value := getattr(errors, name), type)]


def test_the_table_says_what_the_classes_say() -> None:
    """Each class in its order, with its bases but the common one, and its docstring."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\| (.*) \|$", pages.text("docs/errors.md", "The classes"), re.M)
    names = {row[0]: re.findall(r"`(\w+)`", row[1]) for row in rows}
    bases = {
        one.__name__: [base.__name__ for base in one.__bases__ if base is not errors.XaicoreError] for one in CLASSES
    }
    assert names == bases
    assert {row[0]: row[2] for row in rows} == {one.__name__: inspect.getdoc(one) for one in CLASSES}


def test_every_class_has_its_page_of_the_reference() -> None:
    assert "automodule:: xaicore.errors" in pages.text("docs/api/errors.md")
