"""The clauses, and how a broken one is reported."""

import re
import warnings
from pathlib import Path

import broken_backends
import numpy as np
import pytest
import test_broken_backends
import test_broken_loggers
import test_method_suite
import test_model_sources
from processes import run_code

from xaicore import testing
from xaicore.testing import checks
from xaicore.testing.__main__ import main
from xaicore.testing.clauses import CLAUSES, Clause

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
SUITES = (testing.BackendTests, testing.LoggerTests, testing.MethodTests, testing.ModelSourceTests)


def test_the_page_lists_the_clauses():
    listed = re.findall(r'^\| <a id="([\w-]+)"></a>`([\w-]+)` \| (.*) \|$', PAGE, re.M)
    assert listed == [(clause.id, clause.id, clause.text) for clause in CLAUSES.values()]


def test_the_examples_on_the_page_are_the_files():
    """But for the line that says what each is, and for remarks to the linter."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(), re.S)
    files = sorted((ROOT / "examples" / "plugins").glob("*/tests/*.py"))
    written = {re.sub("  # noqa.*", "", path.read_text().partition("\n\n")[2]) for path in files}
    assert len(blocks) == 4
    assert {*blocks} <= written


def test_every_test_of_a_suite_names_its_clause():
    for suite in SUITES:
        tests = [getattr(suite, name) for name in dir(suite) if name.startswith("test_")]
        assert len(tests) > 5
        assert all(test.clause in CLAUSES for test in tests)
        assert not suite.__name__.startswith("Test")  # pytest collects what inherits it, and not the suite itself


UNBROKEN: dict[str, str] = {}
"""{clause: why no broken plugin in these tests breaks it}."""


def test_every_clause_is_checked():
    checked = {getattr(suite, name).clause for suite in SUITES for name in dir(suite) if name.startswith("test_")}
    assert checked == set(CLAUSES)


def test_every_clause_is_broken_by_a_plugin():
    """Or `UNBROKEN` says why not. Hooks, modules and suites are broken in tests of their own."""
    broken = {
        *test_broken_loggers.BROKEN.values(),
        *broken_backends.BROKEN.values(),
        *test_method_suite.BROKEN.values(),
        *test_model_sources.BROKEN.values(),
        *(clause for _, clause, _ in test_broken_backends.HOOKS),
        *test_broken_backends.ELSEWHERE,
        *test_model_sources.ELSEWHERE,
    }
    assert {*CLAUSES} - broken == {*UNBROKEN}


def test_the_clauses_are_printed(capsys, monkeypatch):
    """All of them, with their texts, for those who have only the wheel; or those whose ids start with what is typed."""
    monkeypatch.setattr("sys.argv", ["xaicore.testing"])
    main()
    printed = capsys.readouterr().out
    blocks = dict(block.split("\n", 1) for block in printed.split("\n\n")[1:])
    texts = {id.partition(" ")[0]: " ".join(text.split()) for id, text in blocks.items()}
    assert texts == {clause.id: clause.text for clause in CLAUSES.values()}
    monkeypatch.setattr("sys.argv", ["xaicore.testing", "state-direction", "kit-"])
    main()
    assert capsys.readouterr().out == (
        f"The contract of plugins, version {testing.KIT_VERSION} of the kit: 2 of {len(CLAUSES)} clauses\n\n"
        f"kit-declared\n    {CLAUSES['kit-declared'].text}\n\nstate-direction\n    {CLAUSES['state-direction'].text}\n"
    )


def test_a_clause_that_is_none_is_told_with_what_ids_start_with(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["xaicore.testing", "kit-", "nan"])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert "no clause starts with 'nan'; ids start with kit-, plugin-, backend-, facts-, state-, powers-" in said


class Suite:
    kit_version = 1

    @checks.checks("backend-batch")
    def test_differs(self):
        checks.close("outputs of image 1 alone", np.float32([[1, 2], [3, 5]]), np.array([[1, 2], [3, 4]]), 0, 1e-3)

    @checks.checks("backend-batch")
    def test_raises(self):
        raise TypeError("no batches")


def test_a_broken_clause_is_named_with_its_place_and_the_values():
    with pytest.raises(testing.ContractError) as caught:
        Suite().test_differs()
    assert caught.value.clause.id == "backend-batch"
    assert str(caught.value) == (
        "backend-batch (docs/plugins.md#backend-batch) is broken: An image gives in a batch what it gives alone, in "
        "the same order.\n  outputs of image 1 alone\n  expected: 4 at (1, 1)\n  came: 5 (1 of 4 values differ)"
    )
    with pytest.raises(testing.ContractError, match="it raised TypeError: no batches"):
        Suite().test_raises()


@pytest.mark.parametrize(
    ("written_for", "clause_since", "test_since", "warns"),
    [(1, 2, None, True), (2, 2, None, False), (1, 1, None, False), (1, 1, 2, True), (2, 1, 2, False)],
)
def test_what_is_new_warns_for_a_release(monkeypatch, written_for, clause_since, test_since, warns):
    """The kit of version 2 with a new clause, or a new test of an old one, and tests written for version 1."""
    monkeypatch.setattr(checks, "KIT_VERSION", 2)
    monkeypatch.setitem(CLAUSES, "backend-batch", Clause("backend-batch", "Batches.", clause_since))

    class Written(Suite):
        kit_version = written_for

        @checks.checks("backend-batch", test_since)
        def test_differs(self):
            checks.same("outputs", 1, 2)

    if warns:
        with pytest.warns(testing.ContractWarning, match=r"backend-batch .*(?s:.)*fails from the next version"):
            Written().test_differs()
    else:
        with warnings.catch_warnings(), pytest.raises(testing.ContractError):
            warnings.simplefilter("error")
            Written().test_differs()


def test_what_warned_for_a_release_is_an_error_in_the_next(monkeypatch):
    monkeypatch.setattr(checks, "KIT_VERSION", 3)
    monkeypatch.setitem(CLAUSES, "backend-batch", Clause("backend-batch", "Batches.", 2))

    class Written(Suite):
        kit_version = 1

        @checks.checks("backend-batch")
        def test_differs(self):
            checks.same("outputs", 1, 2)

    with pytest.raises(testing.ContractError, match="backend-batch"):
        Written().test_differs()


@pytest.mark.parametrize("version", [0, testing.KIT_VERSION + 1, "1"])
def test_a_version_of_the_kit_that_is_none(version):
    suite = type("Written", (testing.MethodTests,), {"kit_version": version})()
    with pytest.raises(testing.ContractError, match=r"kit_version\n  expected: at most 2, the kit of this xaicore"):
        suite.test_what_is_left_out_is_declared()


DIFFERENCES = [
    ([[1, 2]], np.zeros((1, 2)), "expected: a NumPy array (1, 2)\n  came: a list"),
    (np.zeros((2, 1)), np.zeros((1, 2)), "expected: shape (1, 2)\n  came: shape (2, 1)"),
    (np.array([0, np.nan]), np.array([0, 1.0]), "expected: 1 at (1,)\n  came: nan (1 of 2 values differ)"),
    (np.array([0, 7.0]), np.array([0, np.nan]), "expected: nan at (1,)\n  came: 7 (1 of 2 values differ)"),
]


@pytest.mark.parametrize(("came", "expected", "said"), DIFFERENCES)
def test_how_arrays_differ(came, expected, said):
    with pytest.raises(checks.Deviation) as caught:
        checks.close("it", came, expected, 1e-3, 1e-3)
    assert str(caught.value) == f"it\n  {said}"


def test_refusals():
    def fail(error):
        raise error

    checks.refused("it", lambda: fail(ValueError("shape 3")), ValueError, "shape", "3")
    for call, said in (
        (lambda: fail(ValueError("shape 3")), "one without '4': shape 3"),
        (lambda: fail(TypeError("4")), "TypeError: 4"),
        (lambda: 5, "no error, but int"),
    ):
        with pytest.raises(checks.Deviation) as caught:
            checks.refused("it", call, ValueError, "4")
        assert str(caught.value) == f"it\n  expected: a ValueError that says '4'\n  came: {said}"


def test_the_kit_imports_neither_a_framework_nor_pytest():
    brought = set(run_code("import sys, xaicore.testing; print(*sys.modules)").split())
    assert "xaicore.testing.backend" in brought
    assert brought.isdisjoint({"torch", "keras", "tensorflow", "jax", "pytest", "_pytest", "PIL", "matplotlib"})
