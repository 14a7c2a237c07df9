"""The result: pictures on demand, parts, pickles, masks and boxes."""

from __future__ import annotations

import dataclasses
import gc
import pickle
import weakref
from typing import Any

import numpy as np
import pytest
from toynet import ToyBackend

import xaicore
from xaicore import Explanation, InputError, overlay
from xaicore.targets import TopK
from xaicore.testing.fixed import FixedBackend

PHOTOS = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3), np.uint8)


@pytest.fixture
def explanation(backend: ToyBackend, x: np.ndarray) -> Explanation:
    return xaicore.explain(
        None, x, TopK(2), backend=backend, ids=["a", "b", "c"], truth=[0, -1, 2], class_names=["w", "x", "y", "z"]
    )


def quadrant() -> Explanation:
    """One picture of 8 x 12 whose map is 1 in a corner of 4 x 4 positions."""
    activations = np.zeros((1, 1, 4, 4), np.float32)
    activations[0, 0, :2, 2:] = 1
    backend = FixedBackend(
        np.ones((1, 2), np.float32), activations, np.ones((1, 1, 1, 4, 4), np.float32), input_size=(8, 12)
    )
    return xaicore.explain(None, np.zeros((1, 3, 8, 12), np.float32), backend=backend)


# Pictures.


@pytest.fixture
def counting() -> type[ToyBackend]:
    """A backend that counts how often its input is asked for as an array."""

    class Counting(ToyBackend):
        shown = 0

        @staticmethod
        def to_numpy(value: Any) -> np.ndarray:
            Counting.shown += 1
            return np.asarray(value)

    return Counting


def test_pictures_are_made_once_and_not_before_they_are_asked_for(x: np.ndarray, counting: type[ToyBackend]) -> None:
    e = xaicore.explain(None, x, backend=counting())
    e.heatmaps()
    e.masks()
    e.boxes()
    assert e.row(0)["id"] == "0"
    assert repr(e)
    assert counting.shown == 0
    e.overlays()
    assert e.images_from == "input"
    assert e.images is e.images
    assert counting.shown == 1


def test_pictures_of_the_user_win(x: np.ndarray, counting: type[ToyBackend]) -> None:
    large = np.repeat(PHOTOS, 3, axis=1)
    e = xaicore.explain(None, x, backend=counting(), images=large)
    assert e.images is large
    assert e.images_from == "user"
    assert counting.shown == 0
    assert e.heatmaps().shape == (3, 18, 8)  # as large as the pictures, not as the input
    assert e.overlays().shape == (3, 18, 8, 3)


def made(inputs: np.ndarray, size: tuple[int, int] = (6, 8)) -> tuple[np.ndarray | None, str | None]:
    count = len(inputs) if inputs.ndim == 4 else 1
    backend = FixedBackend(np.ones((count, 2), np.float32), np.ones((count, 1, 3, 4), np.float32), input_size=size)
    e = xaicore.explain(None, inputs, backend=backend)
    return e.images, e.images_from


def test_pictures_of_bytes_are_as_they_are() -> None:
    for inputs in (PHOTOS, np.moveaxis(PHOTOS, -1, 1)):
        images, source = made(inputs)
        assert source == "input"
        assert np.array_equal(images, PHOTOS)
    images, _ = made(PHOTOS[0])  # one picture without a batch axis
    assert np.array_equal(images, PHOTOS[:1])
    images, _ = made(np.moveaxis(PHOTOS[0], -1, 0))
    assert np.array_equal(images, PHOTOS[:1])


def test_pictures_of_unit_floats_are_as_they_are() -> None:
    images, source = made(np.moveaxis(PHOTOS, -1, 1) / np.float32(255))
    assert source == "input"
    assert np.array_equal(images, PHOTOS)


def test_other_pictures_are_rescaled_by_the_whole_batch() -> None:
    inputs = np.linspace(-2, 3, 2 * 3 * 6 * 8).reshape(2, 3, 6, 8)
    images, source = made(inputs)
    assert source == "rescaled"
    expected = np.rint((inputs + 2) / 5 * 255)
    assert np.abs(np.moveaxis(images, -1, 1) - expected).max() <= 1
    assert (images.min(), images.max()) == (0, 255)
    images, source = made(np.full((2, 3, 6, 8), 7.0))
    assert source == "rescaled"
    assert not images.any()


def test_grey_pictures_get_three_equal_channels() -> None:
    grey = PHOTOS[..., :1]
    for inputs in (grey, np.moveaxis(grey, -1, 1)):
        images, _ = made(inputs)
        assert np.array_equal(images, np.repeat(grey, 3, axis=-1))


@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((2, 4, 6, 8), np.float32),  # four channels
        np.zeros((2, 3, 5, 8), np.float32),  # another size
        np.zeros((2, 3, 6, 8), bool),
        np.zeros((2, 3, 6, 8), complex),
    ],
)
def test_inputs_that_are_no_pictures(inputs: np.ndarray) -> None:
    assert made(inputs) == (None, None)


def test_three_grey_pictures_are_not_one_of_three_colours() -> None:
    backend = FixedBackend(np.ones((3, 2), np.float32), np.ones((3, 1, 3, 4), np.float32), input_size=(6, 8))
    e = xaicore.explain(None, np.zeros((3, 6, 8), np.float32), backend=backend)
    assert e.images is None
    assert e.images_from is None


def test_overlays_need_pictures() -> None:
    backend = FixedBackend(np.ones((2, 2), np.float32), np.ones((2, 1, 3, 4), np.float32))
    e = xaicore.explain(None, np.zeros((2, 5, 6, 8), np.float32), backend=backend)
    assert e.heatmaps().shape == (2, 6, 8)
    with pytest.raises(InputError, match=r"no pictures to lay the heatmaps over: the input \(spatial shape \(6, 8\)\)"):
        e.overlays()


@pytest.mark.parametrize("build", [lambda x: (np.zeros(9999), x), lambda x: {"mask": None, "size": 3, "pixels": x}])
def test_the_input_with_most_axes_is_the_picture(build: Any, x: np.ndarray) -> None:
    class Strict(FixedBackend):
        @staticmethod
        def to_numpy(value: Any) -> np.ndarray:
            assert value is not None
            return np.asarray(value)

    backend = Strict(np.ones((3, 2), np.float32), np.ones((3, 1, 3, 4), np.float32), input_size=(6, 8))
    e = xaicore.explain(None, build(x), backend=backend)
    assert np.abs(np.moveaxis(e.images, -1, 1) / 255 - x).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            PHOTOS[:2],
            r"images of shape \(2, 6, 8, 3\): expected 3 RGB pictures of one size, uint8 \(3, H, W, 3\), in",
        ),
        (np.moveaxis(PHOTOS, -1, 1), r"images of shape \(3, 3, 6, 8\)"),
        (PHOTOS[..., :2], r"images of shape \(3, 6, 8, 2\)"),
        (PHOTOS[0, 0], r"images of shape \(8, 3\)"),
        (
            [PHOTOS[0], PHOTOS[1], PHOTOS[2, :5]],
            r"images of shapes \(5, 8, 3\), \(6, 8, 3\): expected 3 RGB pictures of",
        ),
        (PHOTOS / 255, r"images of type float64: expected .*; images in \[0, 1\] are \(255 \* images\).round\(\)"),
        (PHOTOS.astype(np.int64), r"images of type int64"),
        (["a.jpg", "b.jpg", "c.jpg"], r"images of shape \(3,\)"),
    ],
)
def test_pictures_that_do_not_fit(images: Any, message: str, backend: ToyBackend, x: np.ndarray) -> None:
    with pytest.raises(InputError, match=message):
        xaicore.explain(None, x, backend=backend, images=images)


def test_pictures_in_the_forms_that_fit(backend: ToyBackend, x: np.ndarray) -> None:
    def shown(images: Any, x: np.ndarray = x) -> np.ndarray:
        return xaicore.explain(None, x, backend=backend, images=images).images

    assert np.array_equal(shown(list(PHOTOS)), PHOTOS)
    grey = PHOTOS[..., 1]
    assert np.array_equal(shown(grey), np.repeat(grey[..., None], 3, axis=-1))
    assert np.array_equal(shown(PHOTOS[0], x[:1]), PHOTOS[:1])
    assert np.array_equal(shown(grey[:1], x[:1]), np.repeat(grey[:1, ..., None], 3, axis=-1))


def test_a_result_lets_the_input_go_once_it_has_pictures() -> None:
    x = np.random.default_rng(0).uniform(size=(1, 3, 6, 8))
    alive = weakref.ref(x)
    e = xaicore.explain(None, x, backend=ToyBackend())
    del x
    assert alive() is not None
    assert e.images_from == "input"
    gc.collect()
    assert alive() is None


def test_a_result_does_not_keep_the_model(x: np.ndarray) -> None:
    backend = ToyBackend()
    alive = weakref.ref(backend)
    e = xaicore.explain(None, x, backend=backend)
    del backend
    gc.collect()
    assert alive() is None
    assert e.images_from == "input"


# Overlays, masks, boxes.


def test_overlays_lie_over_their_own_pictures(backend: ToyBackend, x: np.ndarray) -> None:
    e = xaicore.explain(None, x, TopK(2), backend=backend, images=PHOTOS)
    over = e.overlays("inferno", alpha=0.3)
    assert over.dtype == np.uint8
    heat = e.heatmaps()
    for m in range(6):
        expected = overlay.blend(PHOTOS[[m // 2]], heat[[m]], "inferno", 0.3)[0]
        assert np.array_equal(over[m], expected)
    outlined = e.overlays("inferno", alpha=0.3, outline=0.2)
    assert np.array_equal(outlined, overlay.outline(over, heat, 0.2))
    assert (outlined != over).any()


def test_masks_and_boxes_are_in_the_pictures_pixels() -> None:
    e = quadrant()
    heat = e.heatmaps()
    assert heat.shape == (1, 8, 12)
    # Positions 2 and 3 of 4 across, 0 and 1 of 4 down; the edge is half way down to 0.
    assert e.boxes(0.5).tolist() == [[6, 0, 12, 4]]
    assert e.boxes(0.9).tolist() == [[7, 0, 12, 3]]
    assert np.array_equal(e.masks(), heat > 0.2)
    assert np.array_equal(e.masks(0.5), heat > 0.5)
    with pytest.raises(InputError, match="threshold=1: expected a share of the maximum"):
        e.boxes(1)


def test_volumes_have_masks_but_no_boxes() -> None:
    x = np.random.default_rng(0).normal(size=(1, 3, 3, 4, 5)).astype(np.float32)
    e = xaicore.explain(None, x, backend=ToyBackend())
    assert e.masks().shape == (1, 3, 4, 5)
    assert e.images.shape == (1, 3, 4, 5, 3)
    with pytest.raises(InputError, match=r"boxes need two-dimensional masks \(M, H, W\), got shape \(1, 3, 4, 5\)"):
        e.boxes()


def test_heatmaps_of_wrong_sizes(explanation: Explanation) -> None:
    with pytest.raises(
        InputError, match=r"size=\(6, 8, 3\) for maps of shape \(6, 6, 8\): expected 2 positive numbers"
    ):
        explanation.heatmaps(size=(6, 8, 3))
    with pytest.raises(InputError, match="normalize='sum' is not known"):
        explanation.heatmaps(normalize="sum")


# Parts.


def same(one: Explanation, other: Explanation) -> None:
    for field in ("maps", "image_index", "targets", "scores", "predicted", "outputs", "empty", "truth", "images"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field), field)
    for field in ("outputs_kind", "input_size", "ids", "class_names", "method", "layer", "model", "target"):
        assert getattr(one, field) == getattr(other, field)
    assert one.images_from == other.images_from
    np.testing.assert_array_equal(one.heatmaps(), other.heatmaps())


def test_take(explanation: Explanation) -> None:
    e = explanation
    part = e.take([2, 0])
    assert part.ids == ("c", "a")
    assert part.image_index.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(part.maps, e.maps[[4, 5, 0, 1]])
    np.testing.assert_array_equal(part.targets, e.targets[[4, 5, 0, 1]])
    np.testing.assert_array_equal(part.scores, e.scores[[4, 5, 0, 1]])
    np.testing.assert_array_equal(part.predicted, e.predicted[[2, 0]])
    np.testing.assert_array_equal(part.outputs, e.outputs[[2, 0]])
    np.testing.assert_array_equal(part.images, e.images[[2, 0]])
    np.testing.assert_array_equal(part.overlays(), e.overlays()[[4, 5, 0, 1]])
    assert part.truth.tolist() == [2, 0]
    same(e.take(slice(None)), e)
    same(e.take(slice(1, 9)), e.take([1, 2]))
    same(e.take([-1]), e.take([2]))
    same(e.take(np.array([True, False, True])).take([1]), e.take([2]))
    assert e.take(slice(0, 1)).row(1) == e.row(1)


def test_take_of_nothing(explanation: Explanation) -> None:
    for nothing in (slice(3, 9), [], 1):
        with pytest.raises(InputError, match=r"take\(.*\) of 3 images: expected a slice or positions of some"):
            explanation.take(nothing)


def test_take_keeps_the_scale_of_the_whole_batch(backend: ToyBackend) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 8)).astype(np.float32)
    x[1] *= 9
    e = xaicore.explain(None, x, backend=backend)
    same(e.take([0]).take([0]), e.take([0]))
    np.testing.assert_array_equal(e.take([0]).images, e.images[:1])


@pytest.mark.parametrize("images", [None, PHOTOS])
def test_pickles_carry_everything_but_the_model(backend: ToyBackend, x: np.ndarray, images: np.ndarray | None) -> None:
    backend.unpicklable = lambda: None
    e = xaicore.explain(None, x, TopK(2), backend=backend, images=images, truth=[0, 1, 2], class_names=list("wxyz"))
    same(pickle.loads(pickle.dumps(e)), e)
    same(pickle.loads(pickle.dumps(e.take([1]))), e.take([1]))


def test_rows_in_plain_values(explanation: Explanation) -> None:
    e = explanation
    for m in range(6):
        n = m // 2
        row = e.row(m)
        assert row == {
            "id": "abc"[n],
            "k": m % 2,
            "target": int(e.targets[m]),
            "target_name": "wxyz"[e.targets[m]],
            "target_box": None,
            "score": float(e.scores[m]),
            "raw_score": float(e.outputs[n, e.targets[m]]),
            "predicted": int(e.predicted[n]),
            "predicted_name": "wxyz"[e.predicted[n]],
            "truth": [0, None, 2][n],
            "truth_name": ["w", None, "y"][n],
            "empty": bool(e.empty[m]),
            "method": "gradcam",
            "layer": "second",
            "group": None,
            "slot": None,
            "model": "builtins.NoneType",
            "asked": "top 2",
            "maximum": float(e.maps[m].max()),
            "minimum": float(e.maps[m].min()),
            "signed": False,
            "right": [int(e.predicted[0]) == 0, None, int(e.predicted[2]) == 2][n],
            "views": None,
            "frames": None,
            "view_maxima": None,
            "columns": None,
            "part": None,
        }
        assert {type(value) for value in row.values()} <= {str, int, float, bool, type(None)}


def test_right_is_the_truth_predicted(explanation: Explanation) -> None:
    e = dataclasses.replace(explanation, predicted=np.array([0, 1, 1]))
    assert e.right == (True, None, False)
    assert [e.row(m)["right"] for m in range(6)] == [True, True, None, None, False, False]
    assert [e.true_classes(n) for n in range(3)] == [(0,), None, (2,)]
    assert dataclasses.replace(e, predicted=None).right == (None, None, None)
    assert dataclasses.replace(e, truth=None).right == (None, None, None)
    assert {type(right) for right in e.right} == {bool, type(None)}


def test_an_image_may_have_several_true_classes(explanation: Explanation) -> None:
    """One of them is enough to be right; an image without any has no right prediction."""
    truth = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 1]], bool)
    e = dataclasses.replace(explanation, truth=truth, predicted=np.array([2, 0, 0]))
    assert e.right == (True, False, False)
    assert [e.true_classes(n) for n in range(3)] == [(0, 2), (), (1, 3)]
    rows = [e.row(m) for m in (0, 2, 4)]
    assert [row["truth"] for row in rows] == [[0, 2], [], [1, 3]]
    assert [row["truth_name"] for row in rows] == ["w, y", "none", "x, z"]
    assert [row["right"] for row in rows] == [True, False, False]
    assert {type(c) for row in rows for c in row["truth"]} == {int}
    np.testing.assert_array_equal(e.take([2, 0]).truth, truth[[2, 0]])
    assert e.take([2]).row(0) == {**e.row(4), "id": "c"}
    whole = Explanation.concatenate([e.take([0]), e.take([1, 2])])
    np.testing.assert_array_equal(whole.truth, truth)
    assert "truth x, z · wrong" in e._repr_html_()


def test_positions_in_a_group_are_slots(explanation: Explanation) -> None:
    worst = dataclasses.replace(explanation, group="worst")
    assert [worst.row(m)["slot"] for m in range(6)] == [0, 0, 1, 1, 2, 2]


def test_class_names_fall_back_to_numbers(explanation: Explanation, backend: ToyBackend, x: np.ndarray) -> None:
    assert [explanation.class_name(i) for i in (-1, 0, 3, 12)] == ["", "w", "z", "12"]
    bare = xaicore.explain(None, x, backend=backend)
    assert [bare.class_name(i) for i in (-1, np.int64(2))] == ["", "2"]
    assert bare.row(0)["truth"] is None
    assert bare.row(0)["truth_name"] is None


def test_an_explanation_is_frozen(explanation: Explanation) -> None:
    with pytest.raises(AttributeError, match="cannot assign to field 'maps'"):
        explanation.maps = None


def test_raw_scores_are_the_models_own_outputs() -> None:
    """Before softmax and sigmoid; class 0 of a one-output classifier is the opposite of its output."""
    x = np.ones((2, 1, 3, 3), np.float32)

    class Fixed(ToyBackend):
        def __init__(self, outputs: Any, kind: str) -> None:
            self.answer, self.kind = np.asarray(outputs, np.float32), kind

        def layers(self, inputs: Any) -> list[xaicore.Layer]:
            return [xaicore.Layer("conv", "Conv", inputs.shape, True)]

        def capture(self, inputs: Any, layers: Any, direction: Any = None) -> xaicore.Capture:
            if direction is not None:
                direction(self.answer, self.kind)
            return xaicore.Capture(self.answer, self.kind, {"conv": inputs}, (3, 3))

    def raw(outputs: Any, kind: str, targets: Any) -> list[float]:
        one = xaicore.explain(None, x, targets, method="eigencam", backend=Fixed(outputs, kind))
        return [one.raw_score(m) for m in range(len(one))]

    assert raw([[1, 5], [2, -3]], "logits", [[0, 1]]) == [1, 5, 2, -3]
    assert raw([[4], [-2]], "logits", [[0, 1]]) == [-4, 4, 2, -2]
    assert raw([0.25, 0.75], "probabilities", [[0, 1]]) == [0.75, 0.25, 0.25, 0.75]
    assert raw([[7], [-8]], "values", 0) == [7, -8]

    class Sum(xaicore.Target):
        def aim(self, outputs: np.ndarray, kind: str) -> xaicore.targets.Aim:
            return xaicore.targets.Aim(np.ones((2, 1, 2), np.float32), np.full((2, 1), -1))

    assert raw([[1, 5], [2, -3]], "logits", Sum()) == [6, -1]


def test_ceilings_share_a_scale(explanation: Explanation) -> None:
    one = dataclasses.replace(explanation, ceilings=np.full(len(explanation), 2 * explanation.maps.max()))
    resized = xaicore.maps.resize(one.maps, one.images.shape[1:3])
    np.testing.assert_allclose(one.heatmaps(), resized / (2 * explanation.maps.max()), rtol=1e-6)
    low = dataclasses.replace(explanation, ceilings=np.full(len(explanation), explanation.maps.max() / 4))
    np.testing.assert_allclose(low.heatmaps(), np.minimum(resized / (explanation.maps.max() / 4), 1), rtol=1e-6)
    nothing = dataclasses.replace(explanation, ceilings=np.zeros(len(explanation)))
    assert not nothing.heatmaps().any()
    np.testing.assert_array_equal(one.take([1]).ceilings, one.ceilings[2:4])
    with pytest.raises(InputError, match=r"ceilings of shape \(2,\) for 6 maps: expected one per map"):
        dataclasses.replace(explanation, ceilings=np.ones(2)).heatmaps()


def test_parts_are_put_together_again(explanation: Explanation) -> None:
    parts = [explanation.take([0]), explanation.take([1, 2])]
    whole = Explanation.concatenate(parts)
    for field in dataclasses.fields(Explanation):
        if field.name != "pictures":
            np.testing.assert_array_equal(getattr(whole, field.name), getattr(explanation, field.name), field.name)
    np.testing.assert_array_equal(whole.images, explanation.images)
    assert whole.images_from == explanation.images_from
    assert Explanation.concatenate(parts[:1]) is parts[0]
    for wrong, message in (
        ([], "nothing to concatenate: expected one explanation or more"),
        ([parts[0], parts[0]], r"ids '\w+'.* are in several explanations: give each image"),
        (
            [parts[0], dataclasses.replace(parts[1], method="other")],
            "the explanations differ in method, layer, map size, K or classes",
        ),
    ):
        with pytest.raises(InputError, match=message):
            Explanation.concatenate(wrong)
