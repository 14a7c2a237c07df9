"""Backends that are broken on purpose are caught, by the clause that names the fault."""

from __future__ import annotations

import re
import unittest
from dataclasses import replace
from typing import Any

import broken_in_agreement  # noqa: F401 (it adds its own)
import broken_on_forms  # noqa: F401
import broken_on_masks  # noqa: F401
import broken_on_other_nets  # noqa: F401
import broken_on_sizes  # noqa: F401
import pytest
from broken_backends import BROKEN, ONLY_BY, OtherFacts
from framework import Model, Plugin, Sound, Suite, failures

from xaicore import LayerFacts, hookimpl, testing


class TestSound(Suite):
    """The backend that all of them derive from is in order."""


def suite_of(plugin: Any) -> Suite:
    suite = Suite()
    suite.plugin = plugin
    return suite


@pytest.mark.parametrize(("backend", "clause"), BROKEN.items(), ids=lambda one: getattr(one, "__name__", one))
def test_each_fault_is_named(backend: type, clause: str) -> None:
    found = failures(suite_of(Plugin(backend)), clause)
    assert {error.clause.id for error in found} == {clause}
    assert all(testing.CLAUSES[clause].place in str(error) for error in found)


@pytest.mark.parametrize(("backend", "test"), ONLY_BY.items(), ids=lambda one: getattr(one, "__name__", one))
def test_each_newer_test_finds_what_no_older_one_does(backend: type, test: str) -> None:
    suite = suite_of(Plugin(backend))
    tests = [name for name in dir(suite) if getattr(getattr(suite, name), "clause", None) == BROKEN[backend]]
    assert test in tests
    assert [name for name in tests if fails(suite, name)] == [test]


def fails(suite: Suite, test: str) -> bool:
    try:
        getattr(suite, test)()
    except unittest.SkipTest:
        return False
    except testing.ContractError:
        return True
    return False


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) > 60


class TakesNothing(OtherFacts):
    def of_layer(self, layer: LayerFacts) -> LayerFacts:
        return replace(layer, takes=())


class AcceptsAnything:
    @hookimpl
    def xaicore_backend(self, model: Any) -> Any:
        return Sound(model if isinstance(model, Model) else Model(testing.ConvNet()))


class TakesMocksForModels:
    @hookimpl
    def xaicore_backend(self, model: Any) -> Any:
        return Sound(model) if hasattr(model, "training") else None


class RaisesForForeignObjects:
    @hookimpl
    def xaicore_backend(self, model: Any) -> Any:
        return Sound(model) if len(model.hooks) == 0 else None


class ReturnsSomethingElse:
    @hookimpl
    def xaicore_backend(self, model: Any) -> Any:
        return {"model": model}


class HasAMisspelledHook:
    @hookimpl
    def xaicore_backends(self, model: Any) -> Any:
        return Sound(model)


class IsNotDecorated:
    def xaicore_backend(self, model: Any) -> Any:
        return Sound(model)


HOOKS = [
    (AcceptsAnything, "plugin-declines", "NoneType|builtins|expected: None"),
    (TakesMocksForModels, "plugin-declines", "Obliging"),
    (RaisesForForeignObjects, "plugin-declines", "AttributeError"),
    (ReturnsSomethingElse, "plugin-hook", "expected: an xaicore.Backend"),
    (HasAMisspelledHook, "plugin-hook", "xaicore_backends"),
    (IsNotDecorated, "plugin-hook", "decorated with @xaicore.hookimpl"),
]


@pytest.mark.parametrize(("plugin", "clause", "said"), HOOKS)
def test_each_broken_hook_is_named(plugin: type, clause: str, said: str) -> None:
    (error,) = failures(suite_of(plugin()), clause)
    assert error.clause.id == clause
    assert re.search(said, str(error))


MODULES = {
    "prints": "print('hello')",
    "warns": "import warnings; warnings.warn('old')",
    "imports its framework": "import frame_of_toys",
    "needs its framework": "from frame_of_toys import Net",
}


@pytest.mark.parametrize("code", MODULES.values(), ids=list(MODULES))
def test_each_loud_import_is_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (tmp_path / "frame_of_toys.py").write_text("class Net: pass")
    (tmp_path / "loud_plugin.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    import loud_plugin  # type: ignore[import-not-found]  # as it was written

    suite = suite_of(loud_plugin)
    suite.frameworks = ("frame_of_toys",)  # type: ignore[misc]  # of this instance alone
    if code == MODULES["prints"]:
        assert failures(suite, "plugin-silent") == []
    (tmp_path / "loud_plugin.py").write_text(code)
    (error,) = failures(suite, "plugin-silent")
    assert "what import loud_plugin" in str(error)


ELSEWHERE = ("plugin-silent", "kit-declared")
"""Clauses that are broken here by modules and by what an author forgot."""


class WithoutState(Suite):
    def state(self, model: Any) -> Any:
        return testing.BackendTests.state(self, model)


class WithoutATokensNet(Suite):
    def build_tokens(self, net: Any) -> Any:
        return testing.BackendTests.build_tokens(self, net)


class LacksWhatItHas(Suite):
    lacks = {"tokens": "no transformers"}  # noqa: RUF012


class LacksAnUnknownThing(Suite):
    lacks = {"time": "none left"}  # noqa: RUF012


class LacksWithoutAReason(Suite):
    lacks = {"pair": ""}  # noqa: RUF012


class NamesUnknownLayers(Suite):
    def build_conv(self, net: Any) -> Any:
        return Model(net), {"conv3": "conv1", **{name: name for name in net.layers}}


class WithoutAResidualBlock(Suite):
    build_residual = testing.BackendTests.build_residual


class WithoutModes(Suite):
    modes = testing.BackendTests.modes


class WithoutFreezing(Suite):
    freeze = testing.BackendTests.freeze


class SeesNotWhatLayersTake(Suite):
    plugin = Plugin(TakesNothing)


class WithoutSeveral(WithoutAResidualBlock):
    modes, build_words = testing.BackendTests.modes, testing.BackendTests.build_words
    alias = testing.BackendTests.alias


class LacksWhatItSees(Suite):
    lacks = {"words": "no sentences"}  # noqa: RUF012


SUITES = [
    (WithoutAResidualBlock, "a method build_residual, or lacks = {'residual': 'why the framework has no such net'}"),
    (
        WithoutSeveral,
        "the residual net, the words net, modes, alias\n"
        "  expected: a method build_residual, or lacks = {'residual': 'why the framework has no such net'}\n"
        "    a method build_words, or lacks = {'words': 'why the framework has no such net'}\n"
        "    a method modes, or lacks = {'modes': 'why the framework has no such thing'}\n"
        "    a method alias, or lacks = {'alias': 'why the framework has no such thing'}\n  came: neither",
    ),
    (WithoutModes, "a method modes, or lacks = {'modes': 'why"),
    (WithoutFreezing, "a method freeze, or lacks = {'frozen': 'why"),
    (SeesNotWhatLayersTake, "the fact 'takes'\n  expected: what was seen, or lacks = {'takes': 'why'}\n  came: ()"),
    (LacksWhatItSees, "no 'words' in `lacks`, since a method build_words supplies it"),
    (WithoutATokensNet, "a method build_tokens, or lacks = {'tokens': 'why the framework has no such net'}"),
    (LacksWhatItHas, "no 'tokens' in `lacks`, since there is such a net"),
    (
        LacksAnUnknownThing,
        "one of gradients, facts, heads, logits, bias, residual, segments, shares, half, turned, leaky, ",
    ),
    (LacksWithoutAReason, "why that cannot be checked, in words"),
    (NamesUnknownLayers, "unknown layers of the conv net"),
]


@pytest.mark.parametrize(("suite", "said"), SUITES)
def test_what_an_author_forgot_is_named(suite: type[Suite], said: str) -> None:
    errors = failures(suite(), "kit-declared")
    assert any(said in str(error) for error in errors)


def test_a_suite_without_state_says_so() -> None:
    with pytest.raises(testing.ContractError, match=r"kit-declared.*(?s:.)*expected: a method state"):
        WithoutState().test_every_call_leaves_the_model_as_it_was()
