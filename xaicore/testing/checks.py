"""What a check says: the clause that is broken, what was expected, and what came."""

from __future__ import annotations

import functools
import unittest
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, Protocol, TypeVar

import numpy as np

from xaicore.errors import XaicoreError
from xaicore.testing.clauses import CLAUSES, KIT_VERSION, Clause

__all__ = ["ContractError", "ContractWarning", "Deviation", "checks", "close", "deviate", "refused", "same"]


class ContractWarning(UserWarning):
    """A clause that is newer than the version of the kit that a plugin was written for is broken."""


class Deviation(AssertionError):
    """Something else came than was expected.

    Args:
        what: what was looked at.
        expected: what the contract asks for.
        came: what the plugin gave.
    """

    def __init__(self, what: str, expected: object, came: object) -> None:
        super().__init__(f"{what}\n  expected: {expected}\n  came: {came}")


class ContractError(AssertionError):
    """A plugin breaks a clause of the contract.

    Attributes:
        clause: which one.
    """

    def __init__(self, clause: Clause, found: Exception) -> None:
        self.clause = clause
        said = found if isinstance(found, Deviation) else f"it raised {type(found).__name__}: {found}"
        super().__init__(f"{clause.id} ({clause.place}) is broken: {clause.text}\n  {said}")


class _Versioned(Protocol):
    kit_version: ClassVar[int]


Suite = TypeVar("Suite", bound=_Versioned)


def checks(clause: str, since: int | None = None) -> Callable[[Callable[[Suite], None]], Callable[[Suite], None]]:
    """Decorate a test, so that whatever fails in it names this clause.

    A test that is as new as the kit only warns where the plugin's tests were written for an earlier kit.

    Args:
        clause: its id.
        since: the version of the kit that brought this test, where the clause is older.
    """
    known = CLAUSES[clause]
    brought = since or known.since

    def decorate(test: Callable[[Suite], None]) -> Callable[[Suite], None]:
        @functools.wraps(test)
        def checked(self: Suite) -> None:
            try:
                test(self)
            except (unittest.SkipTest, ContractError):
                raise
            except Exception as exc:
                if not (self.kit_version in range(1, brought) and brought == KIT_VERSION):
                    raise ContractError(known, exc) from exc
                text = f"{ContractError(known, exc)}\n  This fails from the next version of the kit on."
                warnings.warn(text, ContractWarning, stacklevel=2)

        checked.clause = clause  # type: ignore[attr-defined]  # for those who list the clauses of a suite
        return checked

    return decorate


def deviate(what: str, expected: object, came: object) -> NoReturn:
    """Fail.

    Raises:
        Deviation: always.
    """
    raise Deviation(what, expected, came)


def same(what: str, came: object, expected: object) -> None:
    """Compare plain values.

    Raises:
        Deviation: they differ.
    """
    if came != expected:
        deviate(what, repr(expected), repr(came))


def close(what: str, came: Any, expected: np.ndarray, rtol: float, atol: float) -> None:
    """Compare arrays: the same shape, and values within atol + rtol * |expected|; NaN equals NaN.

    Raises:
        Deviation: they differ; it names the place of the largest difference.
    """
    if not isinstance(came, np.ndarray):
        deviate(what, f"a NumPy array {expected.shape}", f"a {type(came).__name__}")
    if came.shape != expected.shape:
        deviate(what, f"shape {expected.shape}", f"shape {came.shape}")
    fits = np.isclose(came, expected, rtol, atol, equal_nan=True)
    if not fits.all():
        with np.errstate(invalid="ignore"):
            distance = np.where(fits, -1, np.nan_to_num(np.abs(came - expected), nan=np.inf))
        worst = tuple(map(int, np.unravel_index(np.argmax(distance), came.shape)))
        also = f" ({np.logical_not(fits).sum()} of {fits.size} values differ)"
        deviate(what, f"{expected[worst]:.6g} at {worst}", f"{came[worst]:.6g}{also}")


def refused(what: str, call: Callable[[], object], error: type[Exception] = XaicoreError, *words: str) -> BaseException:
    """Call what must raise this error, whose message has these words; return the error.

    Raises:
        Deviation: nothing was raised, another error, or one with another message.
    """
    named = error.__name__ + (f" that says {', '.join(map(repr, words))}" if words else "")
    try:
        given = call()
    except error as exc:
        missing = [word for word in words if word not in str(exc)]
        if missing:
            deviate(what, f"a {named}", f"one without {', '.join(map(repr, missing))}: {exc}")
        return exc
    except Exception as exc:
        deviate(what, f"a {named}", f"{type(exc).__name__}: {exc}")
    deviate(what, f"a {named}", f"no error, but {type(given).__name__}")
