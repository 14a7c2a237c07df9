"""Pictures explained in pieces, as many as there is time for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore.data.sample import Sample
from xaicore.errors import InputError
from xaicore.explainer import Explainer, picture_input
from xaicore.explanation import Explanation
from xaicore.methods import Method
from xaicore.show.pictures import Pictures, from_inputs
from xaicore.targets import Target, as_target

__all__ = ["Watch", "as_wanted"]

PREDICTED, TRUTH = "predicted", "truth"


class Watch:
    """Explains samples with several methods that share one pass.

    Args:
        explainer: whose model it is.
        methods: of different names.
        wanted: "predicted", "truth", or targets as `Explainer` takes them.
        class_names: a name a class, or None.
        size: pictures a pass.
    """

    def __init__(
        self,
        explainer: Explainer,
        methods: Sequence[Method],
        wanted: Any,
        class_names: Sequence[str] | None,
        size: int,
    ) -> None:
        self.explainer, self.methods, self.wanted = explainer, methods, wanted
        self._class_names, self._size = class_names, size

    def __call__(self, sample: Sample, ends: float, start: int = 0) -> tuple[list[Explanation], int]:
        """One explanation a method, of all pictures or of those that there was time for.

        Args:
            sample: N pictures.
            ends: `time.monotonic()` after which no further pass is begun; the first one always is.
            start: the position of the picture to begin with; those before it come last.

        Returns:
            The explanations, and the position to begin with next time: `start` again where all were explained.

        Raises:
            XaicoreError: what `Explainer` raises.
        """
        starts = list(range(0, len(sample), self._size))
        turn = starts.index(start)
        done: list[tuple[int, dict[str, Explanation]]] = []
        for at in (*starts[turn:], *starts[:turn]):
            if done and time.monotonic() >= ends:
                start = at
                break
            done.append((at, self.piece(sample, slice(at, at + self._size))))
        parts = [part for _, part in sorted(done, key=lambda pair: pair[0])]
        return [Explanation.concatenate([part[method.name] for part in parts]) for method in self.methods], start

    def piece(self, sample: Sample, piece: slice) -> dict[str, Explanation]:
        """Some of the pictures, in one pass: {method: Explanation}."""
        part = sample.take(piece)
        wanted = self.wanted
        if isinstance(wanted, str):
            wanted = part.truth if wanted == TRUTH else None
        elif isinstance(wanted, np.ndarray) and wanted.ndim and len(wanted) == len(sample):
            wanted = wanted[piece]
        return self.explainer.compare(
            part.x, self.methods, wanted, part.images, part.ids, part.truth, self._class_names
        )

    def telling(self, sample: Sample) -> slice:
        """The picture of the highest class, which shows mistakes in classes that others would not."""
        classes = sample.truth
        if isinstance(self.wanted, np.ndarray) and self.wanted.ndim and len(self.wanted) == len(sample):
            classes = self.wanted.reshape(len(sample), -1).max(axis=1)
        at = 0 if classes is None else int(np.argmax(classes))
        return slice(at, at + 1)

    def pictures(self, sample: Sample, input_size: tuple[int, ...]) -> Pictures:
        """The sample's pictures, all on one scale where they are made of inputs."""
        if sample.images is not None:
            return Pictures.of(sample.images, "user")
        x = picture_input(type(self.explainer.backend), sample.x)
        return Pictures.of(*from_inputs(x, input_size, len(sample)))


def as_wanted(targets: Any, sample: Sample, class_names: Sequence[str] | None) -> Any:
    """What a monitor's `targets` means: "predicted", "truth", a `Target` or an array of classes.

    Raises:
        InputError: it is a word that is none of these, or truth is wanted where it is not known.
        TargetError: it is no target.
    """
    if targets is None or (isinstance(targets, str) and targets == PREDICTED):
        return PREDICTED
    if isinstance(targets, str) and targets == TRUTH:
        unknown = len(sample) if sample.truth is None else int((sample.truth < 0).sum())
        if unknown:
            raise InputError(f"targets='truth', but the class of {unknown} of {len(sample)} pictures is not known")
        return TRUTH
    if isinstance(targets, str):
        names = list(class_names or ())
        if targets not in names:
            known = f", or a class name: {', '.join(names[:8])}" if names else "; class names need class_names="
            raise InputError(f"targets={targets!r}: expected 'predicted', 'truth' or a class{known}")
        return names.index(targets)
    as_target(targets)  # says what is wrong with it
    if isinstance(targets, Target):
        return targets
    classes = np.asarray(targets)
    if classes.ndim and len(classes) != len(sample) and classes.shape[:-1] != (1,):
        raise InputError(
            f"{len(classes)} targets for {len(sample)} pictures: give one for each, a single one, or [[a, b]] for all"
        )
    return classes
