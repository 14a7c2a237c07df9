"""Which tokens of a sequence are a picture's, by facts alone."""

from __future__ import annotations

import pytest

from xaicore.errors import LayerError
from xaicore.facts import Facts, InputFacts, LayerFacts
from xaicore.layers import Grid, choose_layer, read
from xaicore.layers.joined import joined_grid, picture_tokens

LOCAL = {0: {1: {2: (0.2, 0.8), 3: (0.5, 0.5)}}}
GLOBAL = {0: {1: {2: (0.5, 0.5), 3: (0.5, 0.5)}}}

PATCHES = LayerFacts("patches", "Conv2d", (1, 16, 4, 4), "convolution", 1, takes=(0,), reads=(0,))
WORDS = LayerFacts("words", "Embedding", (1, 10, 16), "embedding", 2, takes=(1,), reads=())


def norm(name: str, tokens: int, **facts: object) -> LayerFacts:
    return LayerFacts(name, "LayerNorm", (1, tokens, 16), "norm", 2, vectors=(16,), reads=(0,), **facts)  # type: ignore[arg-type]


def grids(*layers: LayerFacts) -> dict[str, Grid]:
    picture = InputFacts((1, 3, 32, 32), (1, 3, 32, 32), 1, (True,))
    return dict(read(Facts(layers, (picture, InputFacts((1, 10))))).grids)


def test_tokens_that_depend_on_the_picture_are_its_positions() -> None:
    found = grids(PATCHES, norm("joined", 26, parts={0: {1: (3, 18)}}), norm("next", 26))
    assert found["joined"] == found["next"] == Grid("nlc", (4, 4), 3, 7)


@pytest.mark.parametrize(("behind", "prefix", "suffix"), [(False, 4, 6), (True, 3, 7)])
def test_a_class_token_lies_where_it_does_in_the_picture_alone(behind: bool, prefix: int, suffix: int) -> None:
    reached = {1: [False] * 16 + [True] if behind else [True] + [False] * 16}
    alone = norm("alone", 17, parts={0: {1: (0, 16)}}, moves=LOCAL, reached=reached)
    found = grids(PATCHES, alone, norm("joined", 26, parts={0: {1: (3, 19)}}))
    assert found["alone"] == Grid("nlc", (4, 4), *((0, 1) if behind else (1, 0)))
    assert found["joined"] == Grid("nlc", (4, 4), prefix, suffix)


def test_words_that_attend_to_the_picture_are_no_positions() -> None:
    for words in (4, 5, 16, 17):  # a halved grid, the grid, and both with a class token
        embedded = LayerFacts("words", "Embedding", (1, words, 16), "embedding", 2, takes=(1,), reads=())
        part = {0: {1: (0, words - 1)}}
        assert list(grids(PATCHES, embedded, norm("cross", words, parts=part, moves=GLOBAL))) == ["patches"]
        assert list(grids(PATCHES, embedded, norm("cross", words))) == ["patches"]  # a backend that knows no parts


def test_learned_places_are_no_words() -> None:
    """A table of positions, added to the patches, has as many tokens and reads no picture."""
    table = LayerFacts("places", "Embedding", (1, 16, 16), "embedding", 2, reads=())
    assert grids(PATCHES, table, norm("tokens", 16, parts={0: {1: (0, 15)}}, moves=LOCAL))["tokens"].size == (4, 4)
    assert grids(PATCHES, table, norm("tokens", 16))["tokens"].size == (4, 4)
    queries = norm("cross", 16, parts={0: {1: (0, 15)}}, moves=GLOBAL)
    assert "cross" not in grids(PATCHES, table, queries)


def test_parts_are_those_of_one_input() -> None:
    layers = (PATCHES, WORDS, norm("joined", 26, parts={0: {1: (3, 18)}}))
    assert picture_tokens(layers, 0) == {10: None, 26: (3, 18)}
    assert picture_tokens(layers, 1) == {}


def test_a_stated_grid_with_more_positions_than_the_picture_has_tokens() -> None:
    assert joined_grid("nlc", (3, 5), (3, 18), 26, "layer 'a'") == Grid("nlc", (3, 5), 4, 7)
    with pytest.raises(LayerError, match=r"layer 'a' has 26 tokens, of which the picture makes those from 3 to 18"):
        joined_grid("nlc", (5, 4), (3, 18), 26, "layer 'a'")


def test_keys_and_values_for_another_sequence_are_projections() -> None:
    """Whatever class they have: the attention around them gives as many tokens as words ask."""
    norm_of_tokens = norm("encoder", 16, parts={0: {1: (0, 15)}}, moves=LOCAL, reached={1: [True] * 16})
    keys = LayerFacts("decoder.cross.keys", "Own", (1, 16, 32), None, 2, reads=(0,), reached={1: [True] * 16})
    cross = LayerFacts("decoder.cross", "Cross", (1, 10, 16), None, None, reads=(0,), is_leaf=False)
    layers = (PATCHES, norm_of_tokens, WORDS, keys, cross)
    found = grids(*layers)
    assert "decoder.cross.keys" in found
    assert choose_layer(layers, found, [0]) == "encoder"
    alone = (PATCHES, norm_of_tokens, WORDS, keys)
    assert choose_layer(alone, grids(*alone), [0]) == "decoder.cross.keys"
