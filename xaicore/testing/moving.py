"""Checks of where in a picture things come from: tokens, and what the first layer takes that is not the picture."""

from __future__ import annotations

from collections.abc import Iterator

from xaicore.facts import LayerFacts
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, deviate, same
from xaicore.testing.kit import some
from xaicore.testing.places import GRID
from xaicore.testing.subject import Subject

__all__ = ["MovingChecks"]


class MovingChecks(BackendCase):
    """`moves` of layers, `reader_moves` and `reader_spans` of inputs."""

    @checks("facts-moves")
    def test_where_tokens_come_from(self) -> None:
        """Of the first layer with this number of tokens: two of them, each from its own patch."""
        self.need("facts", "moves")
        patched = (one for one in (*self.subjects(), *self.others()) if "patches" in one.net.layers)
        for subject in some(patched, "there is no net of patches to check it on"):
            assert subject.facts is not None
            moved = [layer for layer in subject.facts.layers if layer.moves]
            if not moved:
                expected = "where two of the tokens come from, or lacks = {'moves': 'why that is not seen'}"
                deviate(f"`moves` of the first layer of the {subject.net.name} net with tokens", expected, "none")
            counts = [layer.shape[next(iter(layer.moves[0]))] for layer in moved if 0 in layer.moves]
            what = f"layers with `moves` of the {subject.net.name} net, of which each has another number of tokens"
            same(what, len(counts), len({*counts}))
            for layer in moved:
                self._check_moves(subject, layer)

    def _check_moves(self, subject: Subject, layer: LayerFacts) -> None:
        what, picture = f"{layer.name!r} of the {subject.net.name} net", subject.pictures[0]
        same(f"inputs that tokens of {what} come from", list(layer.moves), [0])
        ((axis, ends),) = layer.moves[0].items()
        count = layer.shape[axis]
        same(f"whether axis {axis} of {what} has the tokens", count - GRID[0] * GRID[1] in (0, 1), True)
        assert subject.facts is not None
        shape = subject.facts.inputs[0].shape
        for which, token in enumerate((count // 4, count - 1 - count // 4)):
            patch = token - (count - GRID[0] * GRID[1])
            for at, length, cells in zip(divmod(patch, GRID[1]), picture.shape[2:], GRID, strict=True):
                came = ends[shape.index(length)][which]
                if not at / cells <= came <= (at + 1) / cells:
                    deviate(
                        f"the place of token {token} of {what}", f"{at / cells:.3f} to {(at + 1) / cells:.3f}", came
                    )

    @checks("facts-moves")
    def test_where_what_the_reader_takes_comes_from(self) -> None:
        """It is seen wherever the reader does not take the picture itself."""
        self.need("facts", "moves", "reader")
        for subject in some(self._read_otherwise(), "there is no net whose reader takes something else"):
            assert subject.facts is not None
            (seen, *_) = subject.facts.inputs
            for what, found in (("reader_moves", seen.reader_moves), ("reader_spans", seen.reader_spans)):
                if not found or None in found:
                    expected = "of its run, or lacks = {'moves': 'why that is not seen'}"
                    deviate(f"`{what}` of the {subject.net.name} net", expected, found)

    def _read_otherwise(self) -> Iterator[Subject]:
        for subject in self.others():
            picture = subject.pictures[0]
            if subject.net.taken_by_reader(picture) is not picture:
                yield subject
