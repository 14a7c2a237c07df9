"""Powers that not every engine gives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from xaicore import Backend

__all__ = ["of_power"]

Owner = TypeVar("Owner", bound=Backend)
Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")
Method = Callable[Concatenate[Owner, Arguments], Returned]


def of_power(power: str) -> Callable[[Method[Owner, Arguments, Returned]], Method[Owner, Arguments, Returned]]:
    """A method that a backend has where its engine gives the power; elsewhere it is the contract's, which refuses."""

    def decorated(method: Method[Owner, Arguments, Returned]) -> Method[Owner, Arguments, Returned]:
        refused = getattr(Backend, method.__name__)

        @functools.wraps(method)
        def checked(self: Owner, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
            chosen: Callable[..., Returned] = method if power in self.powers else refused
            return chosen(self, *args, **kwargs)

        return checked

    return decorated
