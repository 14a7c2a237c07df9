"""What a model is called with: one array, positional arguments or keyword arguments."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from xaicore.errors import BackendError, InputError, XaicoreError

__all__ = ["Arguments"]


class Arguments(dict[int | str, Any]):
    """{position or name: array}; the first axis of every array counts the images.

    What `named`, `map` and `first` make of them still knows the shapes that the caller passed: errors say these.
    """

    _passed: str | None = None

    @classmethod
    def of(cls, inputs: Any, convert: Callable[[Any], Any] = lambda value: value) -> Arguments:
        """The arguments that a caller's inputs mean: a tuple is positional, a dict has their names.

        Args:
            inputs: one array, a tuple of arrays, or a dict of them.
            convert: makes an array of the framework of each.

        Raises:
            InputError: an argument is no array, or there is no image.
        """
        each = inputs if isinstance(inputs, tuple) else (inputs,)
        found = cls(inputs if isinstance(inputs, Mapping) else enumerate(each))
        for name, one in found.items():
            if not hasattr(one, "shape") or not one.shape or not one.shape[0]:
                shown = f"an array {tuple(one.shape)}" if hasattr(one, "shape") else f"a {type(one).__name__}"
                raise InputError(f"argument {name!r} is {shown}: expected an array (N, ...) with N of 1 or more")
            if getattr(getattr(one, "dtype", None), "kind", "f") in "OSU":
                raise InputError(
                    f"argument {name!r} is an array {tuple(one.shape)} of type {one.dtype}: expected numbers"
                )
        if not found:
            raise InputError("there are no inputs: expected an array (N, ...), a tuple or a dict of them")
        return found.map(convert)

    def named(self, names: Sequence[str]) -> Arguments:
        """The same arrays by the names of all parameters, in their order.

        Raises:
            InputError: there are more or fewer of them, or others.
        """
        known: dict[int | str, int | str] = {**dict(enumerate(names))}
        by_name = {known.get(key, key): one for key, one in self.items()}
        if set(by_name) != set(names):
            got = ", ".join(map(str, self))
            raise InputError(f"the model takes the inputs {', '.join(names)}, and got {got}: pass one array for each")
        return self._made({name: by_name[name] for name in names})

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments."""
        return tuple(self[key] for key in sorted(key for key in self if isinstance(key, int)))

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments."""
        return {key: one for key, one in self.items() if isinstance(key, str)}

    @property
    def picture(self) -> Any:
        """The array with the most axes, the first of several."""
        return max(self.values(), key=lambda one: len(one.shape))

    @property
    def count(self) -> int:
        """N, the number of images."""
        return int(self.picture.shape[0])

    @property
    def image_shapes(self) -> tuple[tuple[int | str, tuple[int, ...]], ...]:
        """The shape of each argument without the axis of images, the key of `facts.ByShape`."""
        return tuple((key, tuple(one.shape[1:])) for key, one in self.items())

    def map(self, change: Callable[[Any], Any]) -> Arguments:
        """The same arguments with a function applied to every array."""
        return self._made({key: change(one) for key, one in self.items()})

    def first(self, count: int = 1) -> Arguments:
        """The first image alone, or the first few of them."""
        return self.map(lambda one: one[:count])

    def size(self, channels_last: bool = False) -> tuple[int, ...]:
        """The positions of the picture, for `Capture.input_size`: (H, W) of (N, H, W, C), or of (N, C, H, W)."""
        shape = tuple(self.picture.shape)
        return shape[1:-1] if channels_last else shape[2:]

    @contextlib.contextmanager
    def model_errors(self) -> Iterator[None]:
        """Raise what a model raises for these arguments as a `BackendError` with the shapes that the caller passed."""
        try:
            yield
        except XaicoreError:
            raise
        except Exception as exc:
            shown = self._passed or str(self)
            raise BackendError(f"the model raised {type(exc).__name__} for inputs {shown}: {exc}") from exc

    def _made(self, arrays: Mapping[int | str, Any]) -> Arguments:
        made = Arguments(arrays)
        made._passed = self._passed or str(self)
        return made

    def __str__(self) -> str:
        each = ((f"{key} " if isinstance(key, str) else "", tuple(one.shape), one) for key, one in self.items())
        return ", ".join(f"{name}{shape} {getattr(one, 'dtype', '')}".rstrip() for name, shape, one in each)
