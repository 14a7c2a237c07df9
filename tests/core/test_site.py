"""What docs/conf.py does to pages and docstrings; `make test-site` builds the whole site."""

from __future__ import annotations

import runpy
import types
from collections.abc import Callable
from typing import Any

import pages
import pytest


@pytest.fixture
def conf(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The configuration, with these variables; it sets KERAS_BACKEND for the tutorials."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")

    def load(source: str = "") -> dict[str, Any]:
        monkeypatch.setenv("SITE_SOURCE", source)
        return runpy.run_path(str(pages.ROOT / "docs" / "conf.py"))

    return load


PAGE = "[a](../examples/plugins), [b](../guide.md#layers), [c](table.md) and [d](../../loggers)"


@pytest.mark.parametrize(
    ("docname", "source", "expected"),
    [
        ("methods/README", "", "[a](../examples/plugins), [b](../guide.md#layers), [c](table.md) and d"),
        (
            "methods/README",
            "https://host/tree",
            "[a](../examples/plugins), [b](../guide.md#layers), [c](table.md) and [d](https://host/tree/loggers)",
        ),
        ("plugins", "", "a, [b](../guide.md#layers), [c](table.md) and d"),
    ],
)
def test_links_that_leave_the_docs(conf: Any, docname: str, source: str, expected: str) -> None:
    page = [PAGE]
    conf(source)["unlink"](None, docname, page)
    assert page == [expected]


def test_stars_and_bars_of_a_docstring_are_no_markup(conf: Any) -> None:
    lines = ["maps (N, *S) of |G|, see `f(*args)` and `a|b`", "plain"]
    conf()["escape"](None, "function", "f", None, None, lines)
    assert lines == ["maps (N, \\*S) of \\|G\\|, see `f(*args)` and `a|b`", "plain"]


def test_pages_are_in_the_order_of_the_contents(conf: Any) -> None:
    env = types.SimpleNamespace(toctree_includes={"index": ["start", "api"], "api": ["api/one", "api/two"]})
    assert conf()["_order"](env, "index") == ["index", "start", "api", "api/one", "api/two"]
