"""Methods that read attention: their formulas, loop by loop; which attentions, tokens and queries they read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

import xaicore
from xaicore.capture import Attention, Capture
from xaicore.evidence import Evidence, Plan
from xaicore.facts import AttentionFacts, Facts, InputFacts, LayerFacts
from xaicore.layers import Grid, Tokens
from xaicore.layers.attention import attention_grid, queries_read, read_blocks, stated_tokens
from xaicore.layers.reading import Reading
from xaicore.methods import METHODS, apply, find_method, plan_for
from xaicore.targets import Aim

N, K, H, D, E = 2, 3, 4, 5, 6
SIZE = (2, 3)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def block(rng: np.random.Generator, queries: int, keys: int) -> Attention:
    q, k, v = (rng.normal(size=(N, H, t, d)) for t, d in ((queries, D), (keys, D), (keys, E)))
    weights = softmax(q @ k.swapaxes(-1, -2))
    gradients = [rng.normal(size=(N, K, H, queries, d)).astype(np.float32) for d in (keys, E)]
    return Attention(*(a.astype(np.float32) for a in (weights, q, k, v, weights @ v)), *gradients)


def evidence(
    blocks: int = 3, prefix: int = 1, read: tuple[int, ...] = (0,), pooling: int = 0, seed: int = 0
) -> Evidence:
    """Of blocks over prefix tokens and a grid of 2 x 3, and an attention pooling of so many queries."""
    rng = np.random.default_rng(seed)
    tokens = prefix + 6
    shapes = [(tokens, tokens)] * blocks + ([(pooling, tokens)] if pooling else [])
    found = {f"b{i}": block(rng, *shape) for i, shape in enumerate(shapes)}
    facts = tuple(AttentionFacts(name, (1, H, *shape)) for name, shape in zip(found, shapes, strict=True))
    capture = Capture(np.zeros((N, 4), np.float32), "logits", {}, (8, 12), attention=found)
    aim = Aim(np.zeros((N, K, 4), np.float32), np.zeros((N, K), int))
    return Evidence(capture, capture, "", aim, cast(Any, None), None, Tokens(facts, Grid("nlc", SIZE, prefix), read))


def maps(one: Evidence, name: str, **options: Any) -> np.ndarray:
    """(N, K, *SIZE) of a method that reads all the blocks."""
    return apply(xaicore.method(name, **options), one).reshape(N, K, *SIZE)


def assert_maps(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal, with evidence in them, and different from each other."""
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-5, atol=1e-6)
    assert found.max() > 0


def of_positions(row: np.ndarray, prefix: int) -> np.ndarray:
    return row[prefix : prefix + 6].reshape(SIZE)


CASES = [(1, (0,)), (5, (0,)), (2, (0, 1)), (3, tuple(range(3, 9))), (0, tuple(range(6)))]


@pytest.mark.parametrize(("prefix", "read"), CASES)
def test_rollout(prefix: int, read: tuple[int, ...]) -> None:
    one = evidence(prefix=prefix, read=read)
    tokens = prefix + 6
    expected = np.zeros((N, K, *SIZE))
    for n in range(N):
        joint = np.eye(tokens)
        for attention in one.attention.values():
            mean = sum(attention.weights[n, h] for h in range(H)) / H
            mixed = 0.5 * (mean + np.eye(tokens))
            mixed = np.stack([row / row.sum() for row in mixed])
            joint = mixed @ joint
        expected[n] = of_positions(np.mean([joint[q] for q in read], axis=0), prefix)
    assert_maps(maps(one, "rollout"), expected)


@pytest.mark.parametrize(("prefix", "read"), CASES)
def test_chefer(prefix: int, read: tuple[int, ...]) -> None:
    one = evidence(prefix=prefix, read=read)
    tokens = prefix + 6
    expected = np.zeros((N, K, *SIZE))
    for n in range(N):
        for k in range(K):
            relevance = np.eye(tokens)
            for attention in one.attention.values():
                assert attention.weights_gradients is not None
                weighted = np.zeros((tokens, tokens))
                for h in range(H):
                    weighted += np.maximum(attention.weights_gradients[n, k, h] * attention.weights[n, h], 0) / H
                relevance = relevance + weighted @ relevance
            rows = relevance - np.eye(tokens)
            expected[n, k] = of_positions(np.mean([rows[q] for q in read], axis=0), prefix)
    assert_maps(maps(one, "chefer"), expected)


def test_the_identity_of_chefer_is_seen_at_a_class_token_alone() -> None:
    one = evidence(blocks=1)
    (attention,) = one.attention.values()
    nothing = replace(attention, weights_gradients=np.zeros_like(attention.weights_gradients))
    blank = replace(one, capture=replace(one.capture, attention={"b0": nothing}))
    assert not maps(blank, "chefer").any()


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_legrad(prefix: int) -> None:
    one = evidence(prefix=prefix, read=())  # it reads no query of its own
    expected = np.zeros((N, K, *SIZE))
    for n in range(N):
        for k in range(K):
            for t in range(6):
                total = 0.0
                for attention in one.attention.values():
                    assert attention.weights_gradients is not None
                    for h in range(H):
                        for q in range(prefix + 6):
                            total += max(attention.weights_gradients[n, k, h, q, prefix + t], 0)
                expected[n, k].flat[t] = total / (3 * H * (prefix + 6))
    assert_maps(maps(one, "legrad"), expected)


@pytest.mark.parametrize(("prefix", "read"), CASES)
def test_gradeclip(prefix: int, read: tuple[int, ...]) -> None:
    one = evidence(blocks=2, prefix=prefix, read=read)
    expected = np.zeros((N, K, *SIZE))
    for n in range(N):
        for k in range(K):
            for attention in one.attention.values():
                q, key, v, w = attention.query, attention.key, attention.value, attention.output_gradients
                assert q is not None
                assert key is not None
                assert v is not None
                assert w is not None
                joined = np.zeros(6)
                for i in read:
                    asked = q[n, :, i].reshape(-1)
                    cosine = []
                    for t in range(prefix, prefix + 6):
                        answer = key[n, :, t].reshape(-1)
                        cosine.append(asked @ answer / np.linalg.norm(asked) / np.linalg.norm(answer))
                    loosened = (np.array(cosine) - min(cosine)) / (max(cosine) - min(cosine))
                    for t in range(6):
                        products = w[n, k, :, i] * v[n, :, prefix + t]  # (H, E)
                        joined[t] += products.sum() * loosened[t]
                expected[n, k] += np.maximum(joined, 0).reshape(SIZE) / 2
    assert_maps(maps(one, "gradeclip"), expected)


@pytest.mark.parametrize(("prefix", "read"), CASES)
def test_attention(prefix: int, read: tuple[int, ...]) -> None:
    one = evidence(prefix=prefix, read=read)
    for at, options in ((2, {}), (0, {"block": 0}), (1, {"block": -2}), (1, {"block": "b1"})):
        weights = one.capture.attention[f"b{at}"].weights
        expected = np.stack([of_positions(w.mean(0)[list(read)].mean(0), prefix) for w in weights])
        assert_maps(maps(one, "attention", **options), np.repeat(expected[:, None], K, 1))
    head = np.stack([of_positions(w[2][list(read)].mean(0), prefix) for w in weights])
    assert_maps(maps(one, "attention", block="b1", head=2), np.repeat(head[:, None], K, 1))


def test_attention_pooling_is_the_last_row() -> None:
    one = evidence(blocks=2, prefix=1, read=(0, 1), pooling=2)
    first, second, last = one.attention.values()
    mean = [a.weights.mean(1) for a in (first, second, last)]
    eye = np.eye(7)
    rows = mean[2] @ ((mean[1] + eye) / 2) @ ((mean[0] + eye) / 2)
    expected = rows.mean(1)[:, 1:].reshape(N, 1, *SIZE)
    assert_maps(maps(one, "rollout"), np.repeat(expected, K, 1))
    weighted = [np.maximum(a.weights_gradients * a.weights[:, None], 0).mean(2) for a in (first, second, last)]  # type: ignore[operator]
    rows = weighted[2] @ (weighted[1] + eye) @ (weighted[0] + eye)
    assert_maps(maps(one, "chefer"), rows.mean(2)[..., 1:].reshape(N, K, *SIZE))
    # It reads all tokens, so that an attention before it has no row of its own: the mean of the positions.
    expected = mean[1][:, 1:].mean(1)[:, 1:].reshape(N, 1, *SIZE)
    assert_maps(maps(one, "attention", block=-2), np.repeat(expected, K, 1))


def test_another_token() -> None:
    one = evidence(prefix=2, read=())
    for name in ("rollout", "chefer", "gradeclip", "attention"):
        with pytest.raises(xaicore.MethodError, match=r"nothing shows .* token=0\) for a class token, or token='mean'"):
            maps(one, name)
        for token, read in ((1, (1,)), (-1, (7,)), ("mean", tuple(range(2, 8)))):
            expected = maps(evidence(prefix=2, read=read), name)
            np.testing.assert_array_equal(maps(one, name, token=token), expected)
        with pytest.raises(xaicore.MethodError, match=r"token=8: expected one of 0 to 7, or 'mean'"):
            maps(one, name, token=8)


@pytest.mark.parametrize("name", ["rollout", "attention", "legrad", "gradeclip", "chefer"])
def test_a_batch_equals_single_images_and_targets(name: str) -> None:
    one = evidence()
    whole = maps(one, name)
    for n in range(N):
        for k in range(K):
            parts = {
                block: Attention(
                    *(a[n : n + 1] for a in (b.weights, b.query, b.key, b.value, b.output)),  # type: ignore[index]
                    *(g[n : n + 1, k : k + 1] for g in (b.weights_gradients, b.output_gradients)),  # type: ignore[index]
                )
                for block, b in one.attention.items()
            }
            aim = Aim(one.aim.direction[n : n + 1, k : k + 1], one.aim.classes[n : n + 1, k : k + 1])
            single = replace(one, capture=replace(one.capture, attention=parts), aim=aim)
            np.testing.assert_allclose(apply(METHODS[name], single)[0], whole[n, k], rtol=1e-5)


def test_evidence_is_left_alone() -> None:
    one = evidence()
    for attention in one.attention.values():
        for array in vars(attention).values():
            array.setflags(write=False)
    for name in ("rollout", "attention", "legrad", "gradeclip", "chefer"):
        maps(one, name)


def test_a_query_that_reads_nothing_rolls_out_itself() -> None:
    one = evidence(blocks=1, prefix=0, read=(2,))
    blind = one.attention["b0"].weights.copy()
    blind[:, :, 2] = 0
    masked = replace(one.attention["b0"], weights=blind)
    found = maps(replace(one, capture=replace(one.capture, attention={"b0": masked})), "rollout")
    np.testing.assert_array_equal(found, np.broadcast_to(np.eye(6)[2].reshape(SIZE), found.shape))


# What cannot be served.


def test_wrong_options_are_refused() -> None:
    one = evidence()
    with pytest.raises(xaicore.MethodError, match=r"head=4: expected one of 0 to 3"):
        maps(one, "attention", head=4)
    with pytest.raises(xaicore.MethodError, match=r"block=3: the model has 3 attentions, expected 0 to 2"):
        maps(one, "attention", block=3)
    with pytest.raises(xaicore.MethodError, match=r"block='b4': expected one of b0, b1, b2"):
        maps(one, "attention", block="b4")
    with pytest.raises(xaicore.MethodError, match=r"blocks=0: expected the number of the last attentions"):
        xaicore.method("legrad", blocks=0)
    with pytest.raises(xaicore.MethodError, match=r"no option 'heads'; it has block=-1, head=None, .*blocks=1"):
        xaicore.method("attention", heads=1)


def test_gradeclip_of_a_softmax_by_hand_is_refused() -> None:
    one = evidence(blocks=1)
    bare = replace(one.attention["b0"], query=None, key=None)
    with pytest.raises(xaicore.MethodError, match=r"attention 'b0' is a softmax of the model's own.*use 'legrad'"):
        maps(replace(one, capture=replace(one.capture, attention={"b0": bare})), "gradeclip")


# How many attentions are captured, and of how many the gradients.


def test_options_say_how_many_attentions_are_read() -> None:
    read = {name: find_method(name).blocks for name in ("rollout", "attention", "legrad", "gradeclip", "chefer")}
    assert read == {"rollout": None, "attention": 1, "legrad": 2, "gradeclip": 1, "chefer": None}
    assert xaicore.method("legrad", blocks=4).blocks == 4
    assert xaicore.method("legrad", blocks=None).blocks is None
    assert xaicore.method("attention", block=-3).blocks == 3
    assert xaicore.method("attention", block=0).blocks is None
    assert xaicore.method("attention", block="b1").blocks is None
    assert xaicore.method("attention", block=-3, blocks=5, head=1).blocks == 5
    assert xaicore.method("rollout", token=0).blocks is None
    assert xaicore.method("legrad", blocks=4).name == "legrad (blocks=4)"


def test_one_plan_pulls_back_to_no_more_attentions_than_methods_need() -> None:
    plan = plan_for([METHODS["rollout"], METHODS["legrad"], METHODS["gradcam"]])
    assert (plan.blocks, plan.pulled_blocks, plan.has_layer, plan.has_attention) == (None, 2, True, True)
    plan = plan_for([METHODS["attention"], METHODS["legrad"]])
    assert (plan.blocks, plan.pulled_blocks, plan.has_direction) == (2, 2, True)
    plan = plan_for([xaicore.method("attention", block=-3)])
    assert (plan.blocks, plan.pulled_blocks, plan.has_direction) == (3, 0, False)
    assert plan_for([METHODS["chefer"]]).pulled_blocks is None
    assert not Plan.of([(("gradients",), None)]).has_attention


# Which attentions, which grid, which queries.


def facts(*layers: LayerFacts, count: int = 1) -> Facts:
    return Facts(layers, (InputFacts((count, 3, 8, 12)), InputFacts((count, 5))), count)


def seen(*shapes: tuple[int, int, int, int], **more: Any) -> list[AttentionFacts]:
    return [AttentionFacts(f"b{i}.attn", shape, **more) for i, shape in enumerate(shapes)]


SQUARE = (1, 4, 7, 7)


def test_the_last_attentions_that_reach_the_output_and_read_the_picture() -> None:
    blocks = [
        *seen(SQUARE, SQUARE, SQUARE),
        AttentionFacts("text.attn", (1, 4, 5, 5)),
        AttentionFacts("spare", SQUARE, False),
    ]
    known = facts(
        LayerFacts("b2.attn", "Attention", (1, 7, 8), reads=(0, 1)),
        LayerFacts("text.attn", "Attention", (1, 5, 8), reads=(1,)),
    )
    assert [one.name for one in read_blocks(blocks, None, known, 0)] == ["b0.attn", "b1.attn", "b2.attn"]
    assert [one.name for one in read_blocks(blocks, 2, known, 0)] == ["b1.attn", "b2.attn"]
    assert [one.name for one in read_blocks(blocks, 9, known, 0)] == ["b0.attn", "b1.attn", "b2.attn"]
    with pytest.raises(xaicore.MethodError, match=r"no attention over the picture was seen.*'gradcam'"):
        read_blocks([], None, known, 0)


def test_a_second_attention_of_a_layer_reads_what_the_layer_reads() -> None:
    blocks = [AttentionFacts("b", SQUARE), AttentionFacts("text#2", SQUARE)]
    known = facts(LayerFacts("text", "Attention", (1, 7, 8), reads=(1,)))
    assert [one.name for one in read_blocks(blocks, None, known, 0)] == ["b"]


@pytest.mark.parametrize(
    ("shapes", "works", "why"),
    [
        (
            ((4, 4, 7, 7), SQUARE, SQUARE),
            2,
            r"'b0.attn' has 4 rows of 7 tokens for 1 image\(s\): it attends within windows",
        ),
        (((1, 4, 28, 7), SQUARE), 1, r"'b0.attn' has 28 queries for 7 keys: the tokens that ask are others"),
        (((1, 4, 1, 7), (1, 4, 1, 7)), 1, r"'b0.attn' has 1 queries for 7 keys"),
        (
            ((1, 4, 6, 6), SQUARE, (1, 4, 1, 7)),
            2,
            r"'b0.attn' has 6 tokens, and 'b2.attn' 7: they lie on different grids",
        ),
        ((SQUARE, (4, 4, 7, 7)), 0, r"'b1.attn' has 4 rows"),
        ((SQUARE, (1, 4, 28, 7)), 0, r"'b1.attn' has 28 queries for 7 keys"),
    ],
)
def test_attentions_that_mix_other_tokens_are_refused(shapes: Any, works: int, why: str) -> None:
    blocks = seen(*shapes)
    advice = rf"blocks={works}\), or use a method on a layer" if works else r"\. Use a method on a layer"
    with pytest.raises(xaicore.MethodError, match=rf"attention {why}.*{advice}, such as 'gradcam'"):
        read_blocks(blocks, None, facts(), 0)
    if works:  # the advice holds
        assert len(read_blocks(blocks, works, facts(), 0)) == works


def test_the_grid_of_the_keys() -> None:
    grids = {
        "map": Grid("nchw", (1, 7)),
        "early": Grid("nlc", (4, 6), 1),
        "norm": Grid("nlc", SIZE, 1),
        "late": Grid("nlc", SIZE, 1),
        "other": Grid("nlc", (1, 6), 1),
    }
    reading = Reading({}, grids, dict.fromkeys(grids, 0) | {"other": 1})
    assert attention_grid(seen(SQUARE), reading, 0) == Grid("nlc", SIZE, 1)
    assert attention_grid(seen(SQUARE, (1, 4, 1, 7)), reading, 0) == Grid("nlc", SIZE, 1)
    with pytest.raises(xaicore.MethodError, match=r"nothing settles where the 9 tokens .* say so: grid=\(h, w\)"):
        attention_grid(seen((1, 4, 9, 9)), reading, 0)
    both = Reading({}, grids, dict.fromkeys(grids, 0))
    with pytest.raises(xaicore.MethodError, match=r"7 tokens .* on 2 x 3 after 1 or 1 x 6 after 1"):
        attention_grid(seen(SQUARE), both, 0)
    assert stated_tokens(seen((1, 4, 9, 9)), (2, 4)) == Grid("nlc", (2, 4), 1)
    with pytest.raises(xaicore.MethodError, match=r"has 9 tokens, and grid=\(2, 5\) has 10 positions"):
        stated_tokens(seen((1, 4, 9, 9)), (2, 5))


def reached(*tokens: int, count: int = 7) -> dict[int, list[bool]]:
    return {0: [True], 1: [i in tokens for i in range(count)], 2: [True] * 8}


@pytest.mark.parametrize(
    ("prefix", "tokens", "expected"),
    [
        (1, (0,), (0,)),
        (1, (1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6)),
        (1, (0, 1, 2, 3, 4, 5, 6), (0,)),  # a class token beside the mean, as in DINOv2's classifier
        (0, (6,), (6,)),  # the last of causal attention
    ],
)
def test_queries_that_the_output_is_read_from(prefix: int, tokens: tuple[int, ...], expected: tuple[int, ...]) -> None:
    size = (2, 3) if prefix else (1, 7)
    norm = LayerFacts("norm", "Norm", (1, 7, 8), "norm", 2, reached=reached(*tokens), reads=(0,))
    early = replace(norm, name="early", reached=reached(*range(7)))
    text = replace(norm, name="text", reached=reached(3), reads=(1,))
    head = LayerFacts("head", "Dense", (1, 5), "dense", 1, reached={0: [True], 1: [True] * 5})
    grid = Grid("nlc", size, prefix)
    assert queries_read(seen(SQUARE), grid, facts(early, norm, text, head), 0) == expected


def test_queries_where_layers_do_not_show_them() -> None:
    dark = LayerFacts("norm", "Norm", (1, 7, 8), "norm", 2, reached={})
    assert queries_read(seen(SQUARE), Grid("nlc", SIZE, 1), facts(dark), 0) == ()
    assert queries_read(seen(SQUARE), Grid("nlc", (1, 7)), facts(dark), 0) == tuple(range(7))
    assert queries_read(seen((1, 4, 2, 7)), Grid("nlc", SIZE, 1), facts(dark), 0) == (0, 1)
    images_second = LayerFacts("norm", "Norm", (7, 1, 8), "norm", 2, reached={0: [True] + [False] * 6, 1: [True]})
    assert queries_read(seen(SQUARE), Grid("lnc", SIZE, 1), facts(images_second), 0) == (0,)


def test_a_result_names_its_attentions() -> None:
    tokens = Tokens(tuple(seen(*[SQUARE] * 4)), Grid("nlc", SIZE, 1), (0,))
    assert tokens.name == "4 attentions, b0.attn to b3.attn"
    assert tokens.last(2).name == "b2.attn + b3.attn"
    assert tokens.last(1).name == "b3.attn"
    assert tokens.last(9) == tokens.last(None) == tokens
    assert tokens.last(0).blocks == ()
