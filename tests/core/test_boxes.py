"""Boxes of a detector as targets: values against closed forms, in every layout of outputs."""

from __future__ import annotations

import numpy as np
import pytest
from detector import DetectorBackend, DetectorNet

import xaicore
from xaicore.ensemble import AUGMENTATIONS
from xaicore.outputs import Answer
from xaicore.targets import Aim, Box, Boxes, Detections, Detector, Target, Yolo, aim_at


@pytest.fixture
def net() -> DetectorNet:
    return DetectorNet()


@pytest.fixture
def x() -> np.ndarray:
    """Three pictures, not square; the detector finds three, two and three boxes in them."""
    return np.random.default_rng(1).uniform(size=(3, 3, 6, 9)).astype(np.float32)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-z)))


def ranked(net: DetectorNet, x: np.ndarray) -> list[list[tuple[int, int, float]]]:
    """The cells of each image, best first: (cell, label, score)."""
    p = sigmoid(net.logits(x))
    cells = [sorted(range(len(one)), key=lambda q: -one[q].max()) for one in p]
    return [
        [(q, int(one[q].argmax()), float(one[q].max())) for q in order] for one, order in zip(p, cells, strict=True)
    ]


def gradcam(net: DetectorNet, x: np.ndarray, n: int, q: int, c: int, slope: float) -> np.ndarray:
    """Grad-CAM of a score whose derivative with respect to logit (q, c) is `slope`."""
    d = np.zeros((1, 1, *net.logits(x[:1]).shape[1:]))
    d[0, 0, q, c] = slope
    weights = net.pulled(x[n : n + 1], d)[0, 0].mean(axis=(1, 2))
    return np.maximum(np.einsum("d,dhw->hw", weights, net.map(x[n : n + 1])[0]), 0)


LAYOUTS = {
    "ragged": (Boxes(2), None),
    "queries": (Boxes(2), 3),
    "yolo": (Boxes(2, read=Yolo("xyxy")), 3),
    "turned": (Boxes(2, read=Yolo(objectness=False, axis=2, classes=3)), None),
}


@pytest.mark.parametrize("layout", ["ragged", "queries", "yolo"])
def test_scores_boxes_and_maps_of_the_best(layout: str, net: DetectorNet, x: np.ndarray) -> None:
    target, count = LAYOUTS[layout]
    backend = DetectorBackend(layout, net, class_count=count)
    result = xaicore.Explainer(net, backend=backend)(x, targets=target)
    for m in range(6):
        q, c, score = ranked(net, x)[m // 2][m % 2]
        assert result.scores[m] == pytest.approx(score, abs=1e-6)
        assert result.targets[m] == c
        assert result.target_box(m) == pytest.approx(net.boxes(6, 9)[q], abs=1e-5)
        slope = 1.0 if layout == "queries" else score * (1 - score)  # logits, or probabilities as they are
        assert result.maps[m] == pytest.approx(gradcam(net, x, m // 2, q, c, slope), abs=1e-6)
    assert result.predicted is None
    assert result.raw_score(0) == result.scores[0]


def test_a_softmax_has_no_object_as_its_last_label(net: DetectorNet, x: np.ndarray) -> None:
    result = xaicore.Explainer(net, backend=DetectorBackend("queries", net, class_count=2))(x, targets=Boxes(6))
    logits = net.logits(x)
    e = np.exp(logits - logits.max(axis=2, keepdims=True))
    p = (e / e.sum(axis=2, keepdims=True))[..., :2]
    assert result.scores.reshape(3, 6) == pytest.approx(-np.sort(-p.max(axis=2), axis=1), abs=1e-6)
    assert set(result.targets) <= {0, 1}


@pytest.mark.parametrize("class_axis", [1, 2])
def test_queries_and_classes_of_one_number_are_not_mixed_up(class_axis: int, x: np.ndarray) -> None:
    net = DetectorNet(classes=6)
    backend = DetectorBackend("queries", net, class_count=6)
    backend.class_axis = class_axis  # which axis the backend has put first; the model's own stays (N, Q, C)
    outputs = backend.outputs(x)
    answer = Answer(outputs, "logits", None, backend.parts(x), "logits", class_axis, (6, 9), 6)
    aim = aim_at(Box(1, label=4), answer)
    for n, one in enumerate(sigmoid(net.logits(x))):
        q = int(np.argsort(-one[:, 4])[1])
        assert aim.scores is not None
        assert aim.scores[n, 0] == pytest.approx(one[q, 4], abs=1e-6)
        at = np.argwhere(aim.direction[n, 0])
        assert at.tolist() == [[4, q] if class_axis == 2 else [q, 4]]


def test_objectness_is_a_factor_of_the_score_and_has_a_slope(net: DetectorNet, x: np.ndarray) -> None:
    backend = DetectorBackend("turned", net)
    aim = aim_at(
        Box(read=Yolo(objectness=True, axis=2)),
        Answer(backend.outputs(x), "values", None, backend.parts(x), 0, 2, (6, 9)),
    )
    p = sigmoid(net.logits(x))
    scores = p * p[..., :1]
    assert aim.scores is not None
    assert aim.boxes is not None
    for n in range(3):
        q, c = np.unravel_index(scores[n].argmax(), scores[n].shape)
        assert aim.scores[n, 0] == pytest.approx(scores[n, q, c], abs=1e-6)
        assert aim.boxes[n, 0] == pytest.approx(net.boxes(6, 9)[q], abs=1e-5)
        expected = np.zeros((8, 6))
        expected[4, q], expected[5 + c, q] = p[n, q, c], p[n, q, 0]
        assert aim.direction[n, 0] == pytest.approx(expected, abs=1e-6)


def test_images_with_fewer_boxes_are_filled_up(net: DetectorNet, x: np.ndarray) -> None:
    explainer = xaicore.Explainer(net, "eigencam", backend=DetectorBackend("ragged", net))
    result = explainer(x, targets=Boxes(5), class_names=["cat", "dog", "bird"])
    assert len(result) == 9  # three at most
    assert [result.target_name(m) for m in range(9)] == ["dog"] * 3 + ["bird", "bird", "no box"] + ["bird"] * 3
    assert result.targets[5] == -1
    assert result.scores[5] == 0
    assert result.target_box(5) is None
    assert result.empty.tolist() == [m == 5 for m in range(9)]
    assert result.row(0)["target_box"] == pytest.approx(net.boxes(6, 9)[0])


def test_a_label_counts_alone(net: DetectorNet, x: np.ndarray) -> None:
    names = ["cat", "dog", "bird"]
    explainer = xaicore.Explainer(net, backend=DetectorBackend("queries", net, class_count=3))
    result = explainer(x, targets=Box(label="bird"), class_names=names)
    assert result.targets.tolist() == [2, 2, 2]
    assert result.target == "best box of bird"
    assert result.scores == pytest.approx(sigmoid(net.logits(x))[..., 2].max(axis=1), abs=1e-6)


def test_a_place_finds_its_box(net: DetectorNet, x: np.ndarray) -> None:
    explainer = xaicore.Explainer(net, backend=DetectorBackend("queries", net, class_count=3))
    place = net.boxes(6, 9)[4] + 0.3
    result = explainer(x, targets=Box(near=place))
    assert result.scores == pytest.approx(sigmoid(net.logits(x))[:, 4].max(axis=1), abs=1e-6)
    each = explainer(x, targets=Box(near=net.boxes(6, 9)[[0, 5, 2]], label=1))
    assert each.scores == pytest.approx(sigmoid(net.logits(x))[range(3), [0, 5, 2], 1], abs=1e-6)


def test_boxes_that_overlap_are_left_out_of_one_label() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [20, 0, 30, 10]], float)
    found = Detections(boxes, np.array([0.5, 0.9, 0.7, 0.1]), np.array([0, 0, 1, 0]), np.arange(4), nms=0.5)
    assert [one.places[0] for one in found.ranked(9)] == [1, 2, 3]
    assert [one.places[0] for one in found.ranked(9, label=0)] == [1, 3]
    assert [one.places[0] for one in found.ranked(1, threshold=0.95)] == []


def test_the_same_object_has_the_largest_product_of_score_and_overlap() -> None:
    place = np.array([0.0, 0, 10, 10])
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 6]], float)  # overlaps 1, 0.9 and 0.6
    for scores, best in (([0.01, 0.9, 0.9], 1), ([0.8, 0.1, 0.9], 0), ([0.1, 0.1, 0.9], 2), ([0.8, 0.9, 0.9], 1)):
        found = Detections(boxes, np.array(scores), np.zeros(3), np.arange(3))
        box = found.near(place, 0.5)
        assert box is not None
        assert box.places == (best,)
        assert box.score == scores[best]
    assert found.near(place + 50, 0.5) is None
    assert found.near(place, 0.5, label=1) is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["rise", "integrated-gradients", "smoothgrad"])
def test_methods_of_many_passes_follow_one_object(method: str, net: DetectorNet, x: np.ndarray) -> None:
    """In a detector whose cells do not see each other, only the pixels of its own cell bear on a box."""
    result = xaicore.Explainer(net, method, backend=DetectorBackend("ragged", net), progress=False)(x, targets=Boxes(2))
    for m in range(6):
        q = ranked(net, x)[m // 2][m % 2][0]
        inside = np.zeros((6, 9), bool)
        inside[3 * (q // 3) : 3 * (q // 3) + 3, 3 * (q % 3) : 3 * (q % 3) + 3] = True
        means = [float(np.abs(result.maps[m][where]).mean()) for where in (inside, ~inside)]
        assert means[0] > means[1]
        if method != "rise":
            assert means[1] == 0


@pytest.mark.filterwarnings("error")
def test_rows_without_a_box_are_not_said_to_depend_on_nothing(net: DetectorNet, x: np.ndarray) -> None:
    result = xaicore.Explainer(net, "rise", backend=DetectorBackend("ragged", net), progress=False)(x, targets=Boxes(3))
    assert result.empty.tolist() == [m == 5 for m in range(9)]


def test_scorecam_scores_the_same_box_under_each_mask(net: DetectorNet, x: np.ndarray) -> None:
    backend = DetectorBackend("ragged", net, least=0.6)
    result = xaicore.Explainer(net, "scorecam", backend=backend, progress=False)(x[:1], targets=Box(0))
    q, label, _ = ranked(net, x)[0][0]
    maps = net.map(x[:1])[0]
    spans = [one.max() - one.min() for one in maps]
    masked = [x[:1] * ((one - one.min()) / span if span else one * 0) for one, span in zip(maps, spans, strict=True)]
    p = [sigmoid(net.logits(one))[0, q] for one in masked]
    scores = np.array([one.max() if one.max() > 0.6 and one.argmax() == label else 0 for one in p])
    assert 0 < (scores > 0).sum() < 5  # gone under some of the masks
    weights = np.exp(scores) / np.exp(scores).sum()
    assert result.maps[0] == pytest.approx(np.maximum(np.einsum("d,dhw->hw", weights, maps), 0), rel=1e-5)


def test_a_box_that_is_gone_scores_nothing_in_a_changed_picture(net: DetectorNet, x: np.ndarray) -> None:
    backend = DetectorBackend("ragged", net)
    answer = Answer(backend.outputs(x), "logits", None, backend.parts(x), "scores", 1, (6, 9))
    target = Box(0)
    again = target.again(aim_at(target, answer))
    changed = x.copy()
    changed[0, :, :3, :3] = 0  # the cell of the best box of image 0
    parts = backend.parts(changed)
    aim = aim_at(again, Answer(backend.outputs(changed), "logits", None, parts, "scores", 1, (6, 9)))
    assert aim.scores is not None
    assert aim.scores[0, 0] == 0
    assert not aim.direction[0].any()
    assert aim.scores[1:, 0] == pytest.approx([ranked(net, x)[n][0][2] for n in (1, 2)], abs=1e-6)
    nothing = backend.parts(x * 0)
    aim = aim_at(again, Answer(backend.outputs(x * 0), "logits", None, nothing, "scores", 1, (6, 9)))
    assert aim.direction.shape == (3, 1, 0)
    assert not aim.scores.any()


def test_a_function_of_ones_own_reads_anything(net: DetectorNet, x: np.ndarray) -> None:
    def read(answer: Answer) -> list[Detections]:
        boxes = np.array([[0, 0, 3, 3], [3, 0, 6, 3]], float)
        return [Detections(boxes, np.array([0.2, 0.8]), np.array([5, -1]), np.array([7, 3])) for _ in answer.outputs]

    result = xaicore.Explainer(net, backend=DetectorBackend("yolo", net))(x, targets=Boxes(2, read=read))
    assert result.targets.tolist() == [-1, 5] * 3
    assert [result.target_name(m) for m in range(2)] == ["", "5"]


def test_targets_say_what_they_are() -> None:
    texts = {str(target) for target in (Box(), Box(2), Box(label=3), Box(near=(1, 2, 3.25, 4)), Boxes(5, label="dog"))}
    assert texts == {
        "best box",
        "box 2",
        "best box of class 3",
        "box near (1, 2, 3.2, 4)",
        "5 best boxes of dog",
    }


def test_every_aim_fits_the_contract(net: DetectorNet, x: np.ndarray) -> None:
    backend = DetectorBackend("ragged", net)
    answer = Answer(backend.outputs(x), "logits", None, backend.parts(x), "scores", 1, (6, 9))
    for target in (Box(), Boxes(2), Box(near=(0, 0, 3, 3)).following([None] * 3)):
        assert isinstance(target, Target)
        aim = aim_at(target, answer)
        assert isinstance(aim, Aim)
        assert aim.direction.shape[::2] == (3, 3)


def test_centres_and_sizes_are_fractions_where_a_detector_says_so(net: DetectorNet, x: np.ndarray) -> None:
    backend = DetectorBackend("queries", net)
    read = Detector("pred_boxes", "logits", None, "cxcywh", relative=True, activation="sigmoid")
    result = xaicore.Explainer(net, backend=backend)(x, targets=Box(read=read))
    assert result.target_box(0) == pytest.approx(net.boxes(6, 9)[ranked(net, x)[0][0][0]])
    first = Detector("pred_boxes", "logits", None, "cxcywh", True, "sigmoid", background="first")
    assert 0 not in xaicore.Explainer(net, backend=backend)(x, targets=Boxes(6, read=first)).targets


def test_a_flipped_or_scaled_picture_has_its_box_elsewhere() -> None:
    box = np.array([[1.0, 2.0, 4.0, 3.0]])
    assert AUGMENTATIONS["hflip"].moved(box, (6, 9)) == pytest.approx(np.array([[5, 2, 8, 3]]))
    assert AUGMENTATIONS["vflip"].moved(box, (6, 9)) == pytest.approx(np.array([[1, 3, 4, 4]]))
    assert AUGMENTATIONS["larger"].moved(box, (6, 9)) == pytest.approx(np.array([[0.65, 1.9, 3.95, 3.0]]))


def test_the_object_is_found_in_the_flipped_picture(net: DetectorNet, x: np.ndarray) -> None:
    """Cells are at the same places in the flipped picture, where another one sees the object."""
    net.offsets[:] = 0
    options = {"backend": DetectorBackend("queries", net, class_count=3), "method": "layercam"}
    plain = xaicore.Explainer(net, **options)(x, targets=Box(0, label=1))
    both = xaicore.Explainer(net, augment="hflip", **options)(x, targets=Box(0, label=1))
    # A net of 1 x 1 convolutions and means commutes with flips.
    assert both.maps == pytest.approx(plain.maps, abs=1e-6)
    assert not both.empty.any()
