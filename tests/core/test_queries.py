"""As many tokens as boxes or masks are objects, also where their number fits the picture's grid."""

from __future__ import annotations

import pytest

from xaicore.facts import Facts, InputFacts, LayerFacts
from xaicore.layers import choose_layer, read

MAP = LayerFacts("map", "Conv2d", (1, 16, 3, 4), "convolution", 1, reads=(0,))
TOKENS = LayerFacts("tokens", "LayerNorm", (1, 12, 16), "norm", 2, vectors=(16,), reads=(0,))


def chosen(outputs: dict[int | str, tuple[int, ...]]) -> str:
    layers = (MAP, TOKENS)
    seen = InputFacts((1, 3, 96, 128), (1, 3, 96, 128), 1, (True,))
    reading = read(Facts(layers, (seen,), outputs=outputs))
    assert set(reading.pictures) == set(reading.grids)
    reached = [
        LayerFacts(**{**vars(one), "reached": {i: [True] * n for i, n in enumerate(one.shape)}}) for one in layers
    ]
    return choose_layer(reached, reading.grids, [0])


@pytest.mark.parametrize(
    "outputs",
    [
        {"logits": (1, 12, 5), "pred_boxes": (1, 12, 4)},
        {0: (1, 12, 5), 1: (1, 12, 4)},
        {"class_logits": (1, 12, 5), "masks": (1, 12, 24, 32)},
        {"logits": (1, 12, 5), "pred_boxes": (1, 12, 4), "all_boxes": (1, 6, 12, 4)},
    ],
    ids=str,
)
def test_queries_are_no_positions(outputs: dict[int | str, tuple[int, ...]]) -> None:
    assert chosen(outputs) == "map"


@pytest.mark.parametrize(
    "outputs",
    [
        {"logits": (1, 5)},
        {"logits": (1, 10, 5), "pred_boxes": (1, 10, 4)},
        {"logits": (1, 12, 40)},  # a word at each position
        {"logits": (1, 5, 24, 32), "hidden": (1, 12, 16)},
        {"boxes": (12, 4)},
    ],
    ids=str,
)
def test_other_tokens_are(outputs: dict[int | str, tuple[int, ...]]) -> None:
    assert chosen(outputs) == "tokens"
