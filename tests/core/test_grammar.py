"""One grammar for targets, truth, ids and class names: every door takes the same, and refuses with the same words."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorder import Recorder
from toynet import ToyBackend
from workshop import Workshop, draw

import xaicore
from xaicore import InputError, Monitor, Sample, TargetError
from xaicore.trees import as_array

NAMES = ("ant", "bee", "cat", "dog")
X = np.random.default_rng(4).uniform(size=(3, 3, 6, 8)).astype(np.float32)
MULTI_HOT = [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
PAIRS = [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 1, 1]]


# The doors. Each returns an Explanation.


def by_explain(x: Any, targets: Any = None, **labels: Any) -> xaicore.Explanation:
    return xaicore.explain(None, x, targets, backend=ToyBackend(), **labels)


def by_explainer(x: Any, targets: Any = None, **labels: Any) -> xaicore.Explanation:
    return xaicore.Explainer(None, backend=ToyBackend())(x, targets, **labels)


def by_compare(x: Any, targets: Any = None, **labels: Any) -> xaicore.Explanation:
    return xaicore.Explainer(None, backend=ToyBackend()).compare(x, ["gradcam"], targets, **labels)["gradcam"]


def by_monitor(x: Any, targets: Any = None, **labels: Any) -> xaicore.Explanation:
    with Monitor(None, x, targets=targets, backend=ToyBackend(), loggers=Recorder(), batch_size=2, **labels) as monitor:
        return monitor.step(0)[0]


def by_callback(x: Any, targets: Any = None, **labels: Any) -> xaicore.Explanation:
    log = Recorder()
    watcher = xaicore.Watcher(x, targets=targets, backend=ToyBackend(), loggers=log, on_error="raise", **labels)
    watcher.start(None)
    watcher.step("epoch", 0)
    watcher.close()
    return log.logged[0][1]


DOORS = [by_explain, by_explainer, by_compare, by_monitor, by_callback]
Door = Callable[..., xaicore.Explanation]


@pytest.fixture(params=DOORS, ids=lambda door: door.__name__)
def door(request: pytest.FixtureRequest) -> Door:
    return request.param


# What is taken: what is passed, and what comes out.


class OnDevice:
    """A tensor as PyTorch has it on a GPU: NumPy cannot read it until it is on the host."""

    def __init__(self, values: Any, host: bool = False) -> None:
        self.values, self.host = np.asarray(values), host

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if not self.host:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor")
        return self.values

    def __len__(self) -> int:
        return len(self.values)

    def detach(self) -> OnDevice:
        return self

    def cpu(self) -> OnDevice:
        return OnDevice(self.values, host=True)


class Cupy(OnDevice):
    """An array as CuPy has it: it refuses to be converted without `get`."""

    detach = cpu = property()  # type: ignore[assignment]  # it has neither

    def get(self) -> np.ndarray:
        return self.values


class Half(OnDevice):
    """A tensor of PyTorch in bfloat16, which NumPy lacks."""

    def cpu(self) -> Half:
        return self

    def float(self) -> np.ndarray:
        return self.values.astype(np.float32)


ARRAYS: dict[str, Callable[[Any], Any]] = {
    "list": lambda values: values,
    "numpy": np.asarray,
    "on a device": OnDevice,
    "of CuPy": Cupy,
    "bfloat16": Half,
    "list of tensors": lambda values: [OnDevice(value) for value in values],
    "floats": lambda values: np.asarray(values, np.float32),
}
"""The forms of an array of whole numbers."""


@pytest.fixture(params=ARRAYS, ids=lambda form: form.replace(" ", "-"))
def form(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return ARRAYS[request.param]


TRUTH: list[tuple[Any, Any]] = [
    ([0, 3, -1], [0, 3, -1]),
    ([[2], [0], [1]], [2, 0, 1]),
    ([[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], [2, 0, 3]),
    (MULTI_HOT, MULTI_HOT),
    (PAIRS, PAIRS),
]


@pytest.mark.parametrize(("truth", "expected"), TRUTH)
def test_truth_in_any_form(door: Door, form: Callable[[Any], Any], truth: Any, expected: Any) -> None:
    explanation = door(X, truth=form(truth))
    assert explanation.truth.tolist() == expected
    assert explanation.truth.dtype == (bool if np.ndim(expected) == 2 else np.int64)


@pytest.mark.parametrize(
    ("truth", "expected"),
    [
        ((True, False, True), [1, 0, 1]),
        (np.array([[True], [False], [False]]), [1, 0, 0]),
        ([[0.1, 0.2, 0.6, 0.1], [0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]], [2, 0, 0]),
        (np.array(PAIRS, bool), PAIRS),
        (np.zeros((3, 4)), [[False] * 4] * 3),
        (["cat", "ant", "cat"], [2, 0, 2]),
        (["cat", -1, 3], [2, -1, 3]),
        (np.array([["dog"], ["bee"], ["cat"]]), [3, 1, 2]),
        (np.array(["dog", b"bee", "cat"], object), [3, 1, 2]),
    ],
)
def test_truth_of_other_kinds(door: Door, truth: Any, expected: Any) -> None:
    assert door(X, truth=truth, class_names=NAMES).truth.tolist() == expected


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([0, 3, 1], [0, 3, 1]),
        ([[2, 0]], [2, 0] * 3),
        ([[2, 0], [1, 1], [3, 2]], [2, 0, 1, 1, 3, 2]),
        ([[2], [0], [1]], [2, 0, 1]),
    ],
)
def test_targets_in_any_form(door: Door, form: Callable[[Any], Any], targets: Any, expected: list[int]) -> None:
    assert door(X, form(targets)).targets.tolist() == expected


@pytest.mark.parametrize(
    ("targets", "truth", "expected"),
    [
        (None, None, "predicted"),
        ("predicted", None, "predicted"),
        (xaicore.targets.Predicted(), None, "predicted"),
        (2, None, [2, 2, 2]),
        (np.float32(2), None, [2, 2, 2]),
        (OnDevice(2), None, [2, 2, 2]),
        (2.0, None, [2, 2, 2]),
        ("cat", None, [2, 2, 2]),
        (["cat", "ant", "bee"], None, [2, 0, 1]),
        (("cat", 3, 1.0), None, [2, 3, 1]),
        ([["cat", "ant"]], None, [2, 0] * 3),
        (np.array([["cat", "ant"]]), None, [2, 0] * 3),
        (xaicore.targets.Classes([[2, 0]]), None, [2, 0] * 3),
        (xaicore.targets.TopK(1), None, "predicted"),
        ("truth", [0, 3, 1], [0, 3, 1]),
        ("truth", ["cat", "ant", "dog"], [2, 0, 3]),
        ("truth", np.eye(4)[[3, 0, 1]], [3, 0, 1]),
        ("truth", PAIRS, [0, 1, 1, 3, 2, 3]),
        ("truth", OnDevice(PAIRS), [0, 1, 1, 3, 2, 3]),
    ],
)
def test_targets(door: Door, targets: Any, truth: Any, expected: Any) -> None:
    explanation = door(X, targets, truth=truth, class_names=NAMES)
    found = explanation.targets.tolist()
    assert found == (explanation.predicted.tolist() if expected == "predicted" else expected)


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        list(NAMES),
        np.array(NAMES),
        np.array([name.encode() for name in NAMES], object),
        {3: "dog", 0: "ant", 2: "cat", 1: "bee"},
        {"0": "ant", "1": "bee", "2": "cat", "3": "dog"},
        dict(enumerate(NAMES)).values(),
    ],
)
def test_class_names_in_any_form(door: Door, names: Any) -> None:
    explanation = door(X, "cat", class_names=names)
    assert explanation.class_names == NAMES
    assert explanation.targets.tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["a", 7, Path("b/c")], ("a", "7", "b/c")),
        (tuple("xyz"), ("x", "y", "z")),
        (np.array([3, 4, 5]), ("3", "4", "5")),
        (OnDevice([3, 4, 5]), ("3", "4", "5")),
        (np.array([b"p", b"q", b"r"], object), ("p", "q", "r")),
        ({"u": 1, "v": 2, "w": 3}.keys(), ("u", "v", "w")),
    ],
)
def test_ids_in_any_form(door: Door, ids: Any, expected: tuple[str, ...]) -> None:
    assert door(X, ids=ids).ids == expected


# A single image without a batch axis: the backend tells that it is one.


class Single(ToyBackend):
    """A backend of a model of pictures, (N, C, H, W), that gives a single (C, H, W) its batch axis."""

    def with_batch_axis(self, inputs: Any) -> Any:
        return inputs[None] if inputs.ndim == 3 else inputs

    def layers(self, inputs: Any) -> Any:
        return super().layers(self.with_batch_axis(inputs))

    def capture(self, inputs: Any, layers: Any, direction: Any = None) -> xaicore.Capture:
        return super().capture(self.with_batch_axis(inputs), layers, direction)


@pytest.mark.parametrize(
    "labels",
    [
        {"truth": 3, "ids": "one.jpg", "targets": "truth"},
        {"truth": "dog", "ids": ["one.jpg"], "targets": 3},
        {"truth": OnDevice(3), "ids": "one.jpg", "targets": "dog"},
        {"truth": [3], "ids": ("one.jpg",), "targets": [3]},
        {"truth": [[0, 0, 0, 1]], "ids": "one.jpg", "targets": [[3]]},
    ],
)
def test_a_single_image(labels: dict[str, Any]) -> None:
    picture = np.zeros((12, 16, 3), np.uint8)
    for images in (None, picture):
        options = {"images": images, "class_names": NAMES, "backend": Single(), **labels}
        explained = xaicore.explain(None, X[1], **options)
        with Monitor(None, X[1], loggers=Recorder(), **options) as monitor:
            (watched,) = monitor.step(0)
        for one in (explained, watched):
            assert (one.ids, one.truth.tolist(), one.targets.tolist(), len(one)) == (("one.jpg",), [3], [3], 1)
            assert one.images.shape == ((1, 6, 8, 3) if images is None else (1, 12, 16, 3))
        np.testing.assert_array_equal(watched.maps, explained.maps)
        np.testing.assert_array_equal(watched.images, explained.images)
    assert watched.maps.shape == (1, 6, 8)


# What is refused, and in which words.


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (
            {"truth": [0, 1]},
            InputError,
            r"truth of shape \(2,\) for 3 images: expected 3 class indices, or rows \(3, c",
        ),
        ({"truth": 1}, InputError, r"truth of shape \(1,\) for 3 images"),
        ({"truth": MULTI_HOT[:2]}, InputError, r"truth of shape \(2, 4\) for 3 images"),
        ({"truth": [0, 1, 4]}, InputError, r"truth 4 is out of range: outputs .* have classes 0 to 3; -1 is for unk"),
        ({"truth": [0, 1, -2]}, InputError, r"truth -2 is out of range: outputs .* have classes 0 to 3; -1 is for u"),
        ({"truth": np.ones((3, 5))}, InputError, r"truth has 5 columns for outputs .*: expected 4, one per class"),
        (
            {"truth": [0, 0.5, 1]},
            InputError,
            "truth with values such as 0.5: .* of a regression are no classes: leave truth",
        ),
        ({"truth": [0, np.nan, 1]}, InputError, "truth with values such as nan: expected class indices or names"),
        (
            {"truth": [[1, 1, -1, 0], [0, 0, 0, 1], [1, 0, 0, 0]]},  # -1 for a label that is not known
            InputError,
            r"truth of shape \(3, 4\) with values such as -1: expected rows that sum to 1, or multi-hot rows of 0 and",
        ),
        ({"truth": np.zeros((3, 2, 2))}, InputError, r"truth of shape \(3, 2, 2\): expected class indices or names"),
        ({"truth": np.zeros((3, 0))}, InputError, r"truth of shape \(3, 0\): expected class indices or names"),
        ({"truth": [0, None, 1]}, InputError, "truth of type object: expected class indices or names"),
        ({"truth": [[0, 1], [1]]}, InputError, "truth: rows differ in length; expected one array"),
        (
            {"truth": ["cat", "ant", "dog"]},
            InputError,
            "truth: 'cat' is no class index; to use names, pass class_names",
        ),
        (
            {"truth": ["cat", "aunt", "dog"], "class_names": NAMES},
            InputError,
            "truth: none of the 4 class names is 'aunt'; did you mean 'ant'?",
        ),
        ({"targets": 4}, TargetError, r"target 4 is out of range: outputs .* have classes 0 to 3"),
        ({"targets": [0, 1, -1]}, TargetError, "target -1 is out of range"),
        ({"targets": [0, 1]}, TargetError, "2 targets for 3 images: give one per image, a single number for all"),
        ({"targets": True}, TargetError, "targets=True: expected None, a class index or name, one per image"),
        ({"targets": 0.5}, TargetError, "targets=0.5: expected None, a class index or name, one per image"),
        ({"targets": []}, TargetError, r"targets=\[\]: expected None, a class index or name"),
        ({"targets": np.zeros((1, 1, 1))}, TargetError, r"targets=\[\[\[0.0\]\]\]: expected None, a class index or"),
        ({"targets": [[0], [1, 2]]}, TargetError, "targets: rows differ in length; expected one array"),
        (
            {"targets": "cat"},
            TargetError,
            "targets: 'cat' is no class index; to use names, pass class_names; 'predicted'",
        ),
        (
            {"targets": "aunt", "class_names": NAMES},
            TargetError,
            r"targets: none of the 4 class names is 'aunt'; did you mean 'ant'\?$",
        ),
        (
            {"targets": "Truth", "class_names": NAMES},
            TargetError,
            "targets: none of the 4 class names is 'Truth'; 'predicted' and 'truth' are targets, too",
        ),
        (
            {"targets": ["cat", "aunt", "dog"], "class_names": NAMES},
            TargetError,
            "targets: none of the 4 class names is 'aunt'",
        ),
        (
            {"targets": "crane", "class_names": ["ant", "crane", "cat", "crane"]},
            TargetError,
            "targets: 'crane' names the classes 1, 3: pass an index",
        ),
        ({"targets": "truth"}, TargetError, "targets 'truth' needs the true classes: pass truth"),
        (
            {"targets": "truth", "truth": [0, -1, 1]},
            TargetError,
            "targets 'truth': the true class of 1 of 3 images is unknown",
        ),
        (
            {"targets": "truth", "truth": MULTI_HOT},
            TargetError,
            "targets 'truth': the images have 0 to 2 true classes; expected the same number, one or more, for each",
        ),
        ({"targets": "truth", "truth": np.zeros((3, 4))}, TargetError, "the images have 0 to 0 true classes"),
        ({"targets": "truth", "truth": [0, 1]}, InputError, r"truth of shape \(2,\) for 3 images"),
        ({"targets": "truth", "truth": [0, 1, 7]}, InputError, "truth 7 is out of range: outputs"),
        ({"class_names": NAMES[:3]}, InputError, r"3 class names for outputs .*: expected 4, one per class"),
        (
            {"class_names": {"ant": 0, "bee": 1, "cat": 2, "dog": 3}},
            InputError,
            r"class_names is a dict with keys such as 'ant': expected \{index: name\} with the indices 0 to 3",
        ),
        ({"class_names": 4}, InputError, "class_names=4: expected a sequence of names"),
        ({"ids": ["a", "b"]}, InputError, "2 ids for 3 images: expected one per image"),
        ({"ids": "abc"}, InputError, "1 ids for 3 images: expected one per image"),
        ({"class_names": "abcd"}, InputError, r"class_names='abcd': no such file \(in "),
        ({"ids": ["a", "b", "a"]}, InputError, "ids repeat: a; expected a different one for each image"),
        ({"ids": 7}, InputError, "ids=7: expected a sequence of names"),
    ],
)
def test_what_does_not_fit(door: Door, labels: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        door(X, **labels)


def test_a_mistake_shows_before_anything_is_pulled_back() -> None:
    class Counting(ToyBackend):
        pulled = 0

        def capture(self, inputs: Any, layers: Any, direction: Any = None) -> xaicore.Capture:
            capture = super().capture(inputs, layers, direction)
            Counting.pulled += 1
            return capture

    for labels in ({"truth": [9, 9, 9]}, {"class_names": ["a"]}, {"ids": ["a"]}):
        with pytest.raises(InputError):
            xaicore.explain(None, X, backend=Counting(), **labels)
    assert Counting.pulled == 0


# Tensors that are no array.


class Meta(OnDevice):
    """A tensor of PyTorch without values."""

    def cpu(self) -> OnDevice:
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")


@pytest.mark.parametrize("name", ["truth", "targets", "ids", "class_names"])
def test_a_tensor_without_values_is_refused(door: Door, name: str) -> None:
    error = TargetError if name == "targets" else InputError
    with pytest.raises(error, match=rf"{name}: a test_grammar.Meta does not become an array: Cannot copy out of meta"):
        door(X, **{name: Meta([0, 1, 2])})


def test_as_array_reads_what_numpy_reads() -> None:
    values = np.arange(4)
    assert as_array(values) is values
    assert as_array(range(3)).tolist() == [0, 1, 2]
    assert as_array([OnDevice([1, 2]), [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert as_array(object()).dtype == object  # refused by the caller, who expects numbers


def test_pictures_on_a_device() -> None:
    pictures = np.arange(3 * 6 * 8 * 3, dtype=np.uint8).reshape(3, 6, 8, 3)
    for given in (OnDevice(pictures), [OnDevice(one) for one in pictures]):
        result = xaicore.explain(None, X, images=given, backend=ToyBackend())
        np.testing.assert_array_equal(result.images, pictures)
        assert result.images_from == "user"


# Loaders.


def test_a_loader_on_a_device() -> None:
    loader = [(OnDevice(X[:2]), OnDevice([1, 0])), (OnDevice(X[2:]), OnDevice([3]))]
    for sample in (Sample.first(loader, 3), Monitor(None, loader, first=3, backend=ToyBackend(), loggers=[]).sample):
        np.testing.assert_array_equal(sample.x, X)
        assert sample.truth.tolist() == [1, 0, 3]
    assert Sample.per_class(loader, 1).truth.tolist() == [0, 1, 3]


def test_a_loader_of_several_labels() -> None:
    """A batch in which each image has one label reads as one-hot; beside another one it is multi-hot."""
    loader = [(X[:1], [[0, 1, 0, 0]]), (X[1:], [[1, 1, 0, 0], [0, 0, 0, 0]])]
    expected = [[0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    assert Sample.first(loader, 3).truth.tolist() == expected
    # Class 0 needs the second image, which has class 1 as well; the third has no label.
    assert Sample.per_class(loader, 1).truth.tolist() == [expected[1], expected[0]]
    array = Monitor(None, X, truth=expected, per_class=1, backend=ToyBackend(), loggers=[]).sample
    assert array.truth.tolist() == [expected[1], expected[0]]
    with pytest.raises(
        InputError, match="truth is given as rows of 4 classes in one batch and as other classes in anoth"
    ):
        Sample.first([(X[:1], [7]), (X[1:], expected[1:])], 3)
    with pytest.raises(InputError, match="expected the same form in all batches"):
        Sample.first([(X[:1], [[1, 1, 0]]), (X[1:], expected[1:])], 3)


def test_a_loader_of_class_names() -> None:
    loader = [(X[:2], ["dog", "ant"]), (X[2], "bee")]
    assert Sample.first(loader, 3, class_names=NAMES).truth.tolist() == [3, 0, 1]
    with pytest.warns(RuntimeWarning, match="no image of class cat was found"):
        monitor = Monitor(None, loader, per_class=1, class_names=NAMES, backend=ToyBackend(), loggers=[])
    assert monitor.sample.truth.tolist() == [0, 1, 3]
    with pytest.raises(InputError, match="truth: 'dog' is no class index; to use names, pass class_names"):
        Sample.first(loader, 1)


def test_a_loader_of_samples() -> None:
    whole = Sample(X, np.array([3, 0, 1]), ids=("a", "b", "c"))
    sample = Sample.first([whole.take(slice(0, 2)), whole.take(slice(2, 3))], 3)
    assert (sample.truth.tolist(), sample.ids) == ([3, 0, 1], ("a", "b", "c"))


def test_all_classes_unknown() -> None:
    with pytest.raises(InputError, match="per_class=1: the true class of all 3 images is unknown"):
        Monitor(None, X, truth=[-1, -1, -1], per_class=1, backend=ToyBackend(), loggers=[])
    with pytest.raises(InputError, match="per_class needs true classes: pass truth="):
        Monitor(None, X, per_class=1, backend=ToyBackend(), loggers=[])


# The worst predictions.


def test_the_worst_of_several_labels() -> None:
    backend, x = ToyBackend(), np.random.default_rng(1).uniform(size=(8, 3, 6, 8)).astype(np.float32)
    truth = np.random.default_rng(2).integers(0, 2, (8, 4)).astype(bool)
    truth[0], truth[1] = False, True
    p = 1 / (1 + np.exp(-backend.net.forward(x)["dense"].astype(np.float64)))
    least = np.where(truth, p, np.inf).min(axis=1)
    expected = np.argsort(least)[:3]
    loader = [(x[:4], truth[:4].astype(int)), (x[4:], truth[4:].astype(np.float32))]
    for pool in ((x, truth), loader):
        options = {"worst": 3, "pool": pool, "activation": "sigmoid", "batch_size": 3}
        with Monitor(None, x[:1], backend=backend, loggers=[], **options) as monitor:
            _, worst = monitor.step(0)
        assert worst.ids == tuple(map(str, expected))
        assert worst.truth.tolist() == truth[expected].tolist()


# The command line names its options.


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    place = Workshop(tmp_path, monkeypatch)
    draw(Path("blu/a.png"), "blue")
    draw(Path("rosso/b.png"), "green")
    Path("names.txt").write_text("rosso\nverde\nblu\n")
    yield place
    place.close()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [2, 1]),
        (["--target", "predicted"], [2, 1]),
        (["--target", "truth", "--truth", "folder"], [2, 0]),
        (["--target", "verde"], [1, 1]),
        (["--target", "2"], [2, 2]),
        (["--target", "verde", "--target", "0"], [1, 0, 1, 0]),
    ],
)
@pytest.mark.parametrize("size", ["1", "2"])
def test_the_command_line_takes_the_same_words(
    shop: Workshop, options: list[str], expected: list[int], size: str
) -> None:
    result = shop.explain("blu", "rosso", "--labels", "names.txt", "--batch-size", size, *options)
    assert result.exit_code == 0, result.stderr
    assert [row["target"] for row in shop.logged()] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "truth"], "--target 'truth' needs the true classes: pass --truth"),
        (
            ["--target", "truth", "--truth", "truth.csv"],
            "--target 'truth': the true class of 1 of 2 images is unknown",
        ),
        (["--target", "truth", "--target", "1"], "--target truth beside other values: pass it alone"),
        (["--target", "verd"], "--target: 'verd' is no class index; to use names, pass --labels"),
        (
            ["--target", "verd", "--labels", "names.txt"],
            "--target: none of the 3 class names is 'verd'; did you mean",
        ),
        (["--truth", "folder"], "--truth folder, blu/a.png: 'blu' is no class index; to use names, pass --labels"),
    ],
)
def test_the_command_line_refuses_in_its_own_names(shop: Workshop, options: list[str], message: str) -> None:
    Path("truth.csv").write_text("blu/a.png,2\n")
    result = shop.explain("blu", "rosso", *options)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"Error: {message}")


def test_labels_of_the_command_line_and_of_python_are_the_same(shop: Workshop) -> None:
    Path("names.json").write_text(json.dumps(dict(enumerate(["rosso", "verde", "blu"]))))
    result = shop.explain("blu", "--labels", "names.json", "--target", "blu")
    assert (result.exit_code, shop.logged()[0]["target_name"]) == (0, "blu")


@pytest.mark.parametrize("door", [xaicore.explain, Monitor])
def test_what_explainer_takes_every_door_takes(door: Callable[..., Any]) -> None:
    """A message that advises axes="nlc" must work wherever it appears."""
    taken = {name: one.default for name, one in inspect.signature(door).parameters.items()}
    wanted = {name: one.default for name, one in inspect.signature(xaicore.Explainer).parameters.items()}
    assert wanted.items() <= taken.items()
