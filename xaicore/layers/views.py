"""The views of an image: what they are called, and whether they follow each other.

Frames of a clip and views of an object have the same axes. They are in order where the model reads them in order, in a
recurrent layer or in a loop that carries a state, or where the caller says that the axis is time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from xaicore.facts import Facts, LayerFacts
from xaicore.layers.runs import Source
from xaicore.layers.states import is_recurrent

__all__ = ["are_in_order", "view_names"]


def are_in_order(facts: Facts, rows: int, position: int = 0) -> bool:
    """Whether a recurrent layer, or a loop that carries a state, reads the rows of an image one after another.

    Args:
        facts: of a pass.
        rows: pictures per image.
        position: of the input that holds them.
    """
    shapes = {name: layer.shape for name, layer in facts.named.items()}

    def reads_rows(layer: LayerFacts) -> bool:
        images, steps = layer.batch_axis, 1 - layer.batch_axis
        taken = [shapes[name] for name in layer.takes if name in shapes]
        seen = taken or [layer.shape]  # the output may have the last step alone
        return (layer.reads is None or position in layer.reads) and any(
            len(shape) > 2 and shape[images] == facts.count and shape[steps] == rows for shape in seen
        )

    def carries_state(layer: LayerFacts) -> bool:
        runs = [set(run) for run in layer.run_frames.get(position, ())]
        grows = all(one < other and len(other) == len(one) + 1 for one, other in pairwise(runs))
        return len(runs) == rows and len(runs[0]) < 2 and grows

    recurrent = (layer for layer in facts.layers if is_recurrent(layer))
    return rows > 1 and (any(map(reads_rows, recurrent)) or any(map(carries_state, facts.layers)))


def view_names(rows: int, in_order: bool, sources: Sequence[Source]) -> tuple[str, ...]:
    """The names of an image's views, in the order of its maps: "frame 0", "view 0", "input 0", "frame 0, input 0".

    Args:
        rows: the frames or views of each input, in one batch.
        in_order: whether these, or those of the sources, follow each other.
        sources: the picture under the map of each run.
    """
    word = "frame" if in_order else "view"
    of_rows = [f"{word} {i}" for i in range(rows)] if rows > 1 else [""]
    are_inputs = len({one.position for one in sources}) > 1  # their maps may lie over one frame of each
    runs = [f"input {one.position}" if one.frame is None or are_inputs else f"{word} {one.frame}" for one in sources]
    if len(runs) == 1:
        runs = [""]
    elif len(set(runs)) < len(runs):  # several runs read the same picture
        runs = [f"run {i + 1} on {name}" for i, name in enumerate(runs)]
    names = tuple(", ".join(filter(None, (row, run))) for row in of_rows for run in runs)
    return names if len(names) > 1 else ()
