"""What a run is of, so that it is never finished with something else."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.dataset.plan import Plan
from xaicore.errors import XaicoreError
from xaicore.explainer import Explainer
from xaicore.pictures import Preparation
from xaicore.randomness import preserved
from xaicore.source.listing import Listing

__all__ = ["PROBE", "Fingerprint", "agree", "describe", "prepared"]

WORDS = {
    "model": "the model",
    "weights": "the model's weights",
    "backend": "the backend",
    "method": "the method",
    "layer": "the layer",
    "options": "the options",
    "preprocess": "the preprocessing",
    "prepared": "what the preprocessing makes of a test picture",
    "targets": "the targets",
    "class_names": "the names of the classes",
    "pictures": "the number of pictures",
    "ids": "the pictures' ids or their order",
    "labels": "the pictures' true classes or boxes",
    "elements": "the first or the last element of the data set",
    "shard_size": "shard_size",
}
"""The fields in the order in which messages name them."""

HASHED = ("weights", "class_names", "ids", "labels")
"""Fields whose values say nothing to people."""

PROBE = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
"""A picture to try a preparation on."""


@dataclass(frozen=True)
class Fingerprint:
    """What a run is of: plain values by name, as run.json has them.

    Attributes:
        values: {field of `WORDS`: value}; None is "not known", which agrees with everything.
    """

    values: Mapping[str, Any]

    def differences(self, was: Fingerprint) -> list[str]:
        """In words, what differs from an earlier run: "the method: was 'gradcam', is 'hirescam'"."""
        found = []
        for name, words in WORDS.items():
            before, now = was.values.get(name), self.values.get(name)
            if before is not None and now is not None and not agree(before, now):
                found.append(words if name in HASHED else f"{words}: was {_short(before)}, is {_short(now)}")
        return found


def describe(
    explainer: Explainer, spec: str, options: Mapping[str, Any], target: Any, listing: Listing, plan: Plan
) -> Fingerprint:
    """The fingerprint of a run.

    Args:
        explainer: of the model, before its first call.
        spec: what the model is called.
        options: of the explainer, as the caller passed them; its defaults do not count.
        target: what is explained.
        listing: the pictures.
        plan: their shards.
    """
    preparation = explainer.preparation
    names = explainer.class_names
    usual = {name: _plain(one.default) for name, one in inspect.signature(Explainer).parameters.items()}
    plain = {name: _plain(value) for name, value in sorted(options.items())}
    return Fingerprint(
        {
            "model": spec,
            "weights": explainer.backend.weights_hash(),
            "backend": explainer.backend.name or type(explainer.backend).__name__,
            "method": explainer.method.name,
            "layer": " + ".join(explainer.layers) or "found",
            "options": {name: value for name, value in plain.items() if name not in usual or value != usual[name]},
            "preprocess": None if preparation is None else preparation.name,
            "prepared": None if preparation is None else prepared(preparation),
            "targets": str(target) + _digest_of(target),
            "class_names": "none" if names is None else digest(names),
            "pictures": plan.count,
            "ids": digest(listing.ids),
            "labels": listing.labels_digest(),
            "elements": listing.digest,
            "shard_size": plan.shard_size,
        }
    )


def digest(texts: Iterable[str]) -> str:
    """A hash of texts in their order, 32 hexadecimal digits."""
    found = hashlib.blake2b(digest_size=16)
    for text in texts:
        found.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return found.hexdigest()


def prepared(preparation: Preparation) -> Any:
    """The shape, type, mean, deviation and some values of what a preparation makes of the probe; None: it varies."""
    tries = []
    for _ in range(2):
        try:
            with preserved():
                x, _ = preparation(PROBE, "a test picture")
        except XaicoreError:  # it may take no such picture; what it takes is seen in the run
            return None
        values = np.asarray(x, np.float64).reshape(-1)
        some = values[:: max(1, len(values) // 7)][:7] if len(values) else values
        numbers = [values.mean(), values.std(), *some] if len(values) else []
        tries.append([list(x.shape), str(x.dtype), *(float(f"{number:.4g}") for number in numbers)])
    return tries[0] if agree(*tries) else None


def _digest_of(target: Any) -> str:
    """Of a target with values of its own, such as one class per picture, a hash of them."""
    arrays = [value for _, value in sorted(vars(target).items()) if isinstance(value, np.ndarray)]
    return f" {digest([repr(array.tolist()) for array in arrays])[:12]}" if arrays else ""


def _plain(value: Any) -> Any:
    """A value as JSON keeps it; functions and objects by name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    name = getattr(value, "__qualname__", None) or type(value).__qualname__
    return f"{getattr(value, '__module__', type(value).__module__)}.{name}"


def agree(a: Any, b: Any) -> bool:
    """Equal, numbers but for rounding: machines differ in the last digits."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(agree, a, b))
    if isinstance(a, float) or isinstance(b, float):
        return (
            isinstance(a, (int, float))
            and isinstance(b, (int, float))
            and math.isclose(a, b, rel_tol=0.01, abs_tol=0.01)
        )
    return bool(a == b)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
