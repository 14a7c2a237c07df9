"""What the tests of a backend may leave out: one list for the kit, the page and new packages."""

from __future__ import annotations

import re
from pathlib import Path

from xaicore import testing
from xaicore.backend import POWERS
from xaicore.testing.lacking import FEATURES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text()


def test_all_that_can_be_lacking_is_described() -> None:
    assert {*FEATURES} == {*testing.BackendTests.can_lack}
    for name, one in FEATURES.items():
        assert one.text, name
        assert not one.by or hasattr(testing.BackendTests, one.by), name
        assert one.needs in {"", *FEATURES, *POWERS} or hasattr(testing.ReferenceBackend, one.needs), name


def test_every_method_that_an_author_may_write_supplies_something() -> None:
    methods = {name for name in dir(testing.BackendTests) if name.startswith("build_")}
    assert methods | {"modes", "freeze"} == {one.by for one in FEATURES.values() if one.by}


def test_the_page_lists_them() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (.*) \| (?:`(\w+)`)? \| (?:[`\"](\w+)[`\"])? \|$", PAGE, re.M)
    assert listed == [(name, one.text, one.by, one.needs) for name, one in FEATURES.items()]
