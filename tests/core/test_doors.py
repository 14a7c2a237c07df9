"""Pictures at every door: `Explainer`, `explain`, `compare` and `Monitor` read them as the command line does."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from recorder import Recorder
from toynet import ToyBackend
from workshop import draw, write

import xaicore
from xaicore.data import pictures
from xaicore.errors import InputError
from xaicore.pictures import check_single, find_sources
from xaicore.pictures.imagenet import imagenet, imagenet_nhwc

NAMES = ["ant", "bee", "cat", "dog"]


def halved(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The upper left corner of a picture, 6 x 8 pixels, as the toy net takes it."""
    seen = picture[:6, :8]
    return np.float32(seen.transpose(2, 0, 1)) / 255, seen


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photos() -> list[np.ndarray]:
    """Three pictures of different sizes."""
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, size, np.uint8) for size in ((10, 20, 3), (9, 8, 3), (30, 11, 3))]


@pytest.fixture
def explainer(backend: ToyBackend) -> xaicore.Explainer:
    return xaicore.Explainer(None, backend=backend, preprocess=halved, class_names=NAMES)


@pytest.fixture
def expected(backend: ToyBackend, photos: list[np.ndarray]) -> xaicore.Explanation:
    """The explanation of the prepared pictures, as one batch of inputs."""
    x, seen = (np.stack(arrays) for arrays in zip(*map(halved, photos), strict=True))
    return xaicore.Explainer(None, backend=backend)(x, images=seen, class_names=NAMES)


def assert_same(found: xaicore.Explanation, wanted: xaicore.Explanation) -> None:
    for name in ("maps", "outputs", "targets", "scores", "images"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-5, err_msg=name)
    assert found.class_names == wanted.class_names


def saved(photos: list[np.ndarray]) -> list[str]:
    return [write(Path("p", f"{n}.png"), picture).as_posix() for n, picture in enumerate(photos)]


def test_paths_patterns_and_folders(
    explainer: xaicore.Explainer, expected: xaicore.Explanation, photos: list[np.ndarray]
) -> None:
    paths = saved(photos)
    for x in (paths, [Path(path) for path in paths], "p", Path("p"), "p/*.png", ["p"]):
        found = explainer(x)
        assert_same(found, expected)
        assert found.ids == tuple(paths), x
    assert explainer(np.array(paths)).ids == tuple(paths)  # as a column of a table
    assert explainer(np.array([Path(path) for path in paths], object)).ids == tuple(paths)
    assert explainer("p/1.png").ids == ("p/1.png",)
    assert explainer(paths[::-1]).ids == tuple(paths[::-1])  # the order of a list is that of its labels


def test_a_folder_is_in_natural_order(explainer: xaicore.Explainer) -> None:
    for name in ("10.png", "9.png", "sub/1.png"):
        draw(Path("p", name))
    assert explainer("p").ids == ("p/9.png", "p/10.png", "p/sub/1.png")
    assert explainer(["p/10.png", "p/sub"]).ids == ("p/10.png", "p/sub/1.png")


def test_pictures_in_memory(
    explainer: xaicore.Explainer, expected: xaicore.Explanation, photos: list[np.ndarray]
) -> None:
    assert_same(explainer(photos), expected)
    assert_same(explainer([PIL.Image.fromarray(picture) for picture in photos]), expected)
    assert explainer(photos).ids == ("0", "1", "2")
    for one in (photos[1], PIL.Image.fromarray(photos[1])):
        np.testing.assert_allclose(explainer(one).maps, expected.maps[1:2], rtol=1e-5)
    of_one_size = np.stack([photos[0], photos[0][::-1]])
    assert len(explainer(of_one_size).ids) == 2


def test_a_preprocess_has_a_picture_of_its_own(backend: ToyBackend, photos: list[np.ndarray]) -> None:
    """An array that is a view, such as BGR turned over, arrives in one piece, and stays as it is."""
    given: list[np.ndarray] = []

    def changed(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given.append(picture.copy("K"))
        picture[:] = 0
        return halved(picture)

    before = photos[0].copy()
    xaicore.Explainer(None, backend=backend, preprocess=changed)(photos[0][..., ::-1])
    assert given[0].flags.c_contiguous
    assert np.array_equal(given[0], before[..., ::-1])
    assert np.array_equal(photos[0], before)


def test_inputs_mean_what_they_mean_without_preprocess(explainer: xaicore.Explainer, x: np.ndarray) -> None:
    plain = xaicore.Explainer(None, backend=explainer.backend)
    np.testing.assert_array_equal(explainer(x).maps, plain(x).maps)
    dots = np.random.default_rng(0).integers(0, 9, (2, 3, 6, 8), np.uint8)
    assert plain(dots).maps.shape == plain(x[:2]).maps.shape


def test_one_call_explains_as_an_explainer_does(
    backend: ToyBackend, expected: xaicore.Explanation, photos: list[np.ndarray]
) -> None:
    assert_same(xaicore.explain(None, photos, backend=backend, preprocess=halved, class_names=NAMES), expected)


def test_compare_takes_pictures_too(
    explainer: xaicore.Explainer, expected: xaicore.Explanation, photos: list[np.ndarray]
) -> None:
    found = explainer.compare(photos, ["gradcam", "hirescam"])
    assert_same(found["gradcam"], expected)


def test_labels_of_pictures(explainer: xaicore.Explainer, photos: list[np.ndarray]) -> None:
    found = explainer(saved(photos), targets="truth", truth=["bee", "cat", "ant"], ids=["a", "b", "c"])
    assert (found.ids, found.truth.tolist(), found.targets.tolist()) == (("a", "b", "c"), [1, 2, 0], [1, 2, 0])
    assert explainer(photos, targets=["dog", "ant", "bee"]).targets.tolist() == [3, 0, 1]
    with pytest.raises(InputError, match=r"^truth of shape \(2,\) for 3 images"):
        explainer(photos, truth=[0, 1])
    with pytest.raises(xaicore.TargetError, match=r"^2 targets for 3 images: give one per"):
        explainer(photos, targets=[0, 1])
    with pytest.raises(InputError, match=r"^ids repeat: p/0\.png;"):
        explainer(["p/0.png", "p/0.png"])


def test_class_names_of_a_call_replace_those_of_the_explainer(explainer: xaicore.Explainer, x: np.ndarray) -> None:
    assert explainer(x).class_names == tuple(NAMES)
    assert explainer(x, class_names=list("wxyz")).class_names == tuple("wxyz")
    assert explainer(x, targets="dog").targets.tolist() == [3, 3, 3]
    with pytest.raises(InputError, match=r"^2 class names for outputs \(3, 4\): expected 4, one per class"):
        xaicore.Explainer(None, backend=explainer.backend, class_names=["a", "b"])(x)


def test_many_pictures_take_several_passes(photos: list[np.ndarray]) -> None:
    backend = ToyBackend()
    options: dict[str, Any] = {"backend": backend, "preprocess": halved}
    whole = xaicore.Explainer(None, **options)(photos * 3, truth=[0, 1, 2] * 3, targets=[3, 2, 1] * 3)
    backend.calls.clear()
    parts = xaicore.Explainer(None, batch_size=4, **options)(photos * 3, truth=[0, 1, 2] * 3, targets=[3, 2, 1] * 3)
    assert backend.calls.count("capture with gradients") == 3
    assert_same(parts, whole)
    assert parts.ids == tuple("012345678")
    assert parts.truth.tolist() == [0, 1, 2] * 3


def test_an_array_of_words_is_an_input_without_preprocess() -> None:
    assert find_sources(np.array(["a.png", "b.png"]), is_prepared=False) is None


def test_labels_are_counted_before_the_first_pass(photos: list[np.ndarray]) -> None:
    backend = ToyBackend()
    explainer = xaicore.Explainer(None, backend=backend, preprocess=halved, batch_size=1)
    with pytest.raises(InputError, match=r"^truth of shape \(4,\) for 3 images"):
        explainer(photos, truth=[0, 1, 2, 3])
    with pytest.raises(xaicore.TargetError, match=r"^4 targets for 3 images"):
        explainer(photos, targets=[0, 1, 2, 3])
    assert backend.calls == []


def test_pictures_made_of_inputs_have_one_scale_over_all_passes(photos: list[np.ndarray]) -> None:
    def only_x(picture: np.ndarray) -> np.ndarray:
        return halved(picture)[0] * picture.shape[0]

    options: dict[str, Any] = {"backend": ToyBackend(), "preprocess": only_x}
    whole = xaicore.Explainer(None, **options)(photos)
    parts = xaicore.Explainer(None, batch_size=1, **options)(photos)
    assert whole.images_from == parts.images_from == "rescaled"
    np.testing.assert_array_equal(parts.images, whole.images)


def test_images_of_the_call_are_shown_instead(explainer: xaicore.Explainer, photos: list[np.ndarray]) -> None:
    shown = np.arange(3, dtype=np.uint8).repeat(6 * 8 * 3).reshape(3, 6, 8, 3)
    np.testing.assert_array_equal(explainer(photos, images=shown).images, shown)


def test_a_monitor_reads_pictures_once(photos: list[np.ndarray]) -> None:
    paths, log = saved(photos), Recorder()
    options: dict[str, Any] = {"backend": ToyBackend(), "preprocess": halved, "loggers": log, "beside": False}
    with xaicore.Monitor(None, paths, truth=["dog", "bee", "ant"], class_names=NAMES, **options) as monitor:
        for path in paths:
            Path(path).unlink()
        (found,) = monitor.step(0)
    assert (found.ids, found.truth.tolist()) == (tuple(paths), [3, 1, 0])
    np.testing.assert_array_equal(found.images, [halved(picture)[1] for picture in photos])
    with xaicore.Monitor(None, photos, first=2, **options) as monitor:
        assert len(monitor.ids) == 2


def test_a_monitor_keeps_the_random_state_of_the_training(photos: list[np.ndarray], backend: ToyBackend) -> None:
    def augmented(picture: np.ndarray) -> np.ndarray:
        return halved(picture)[0] + np.float32(np.random.normal() + random.random())

    np.random.seed(0)
    random.seed(0)
    with xaicore.Monitor(None, photos, backend=backend, preprocess=augmented, loggers=[Recorder()]):
        pass
    found = np.random.normal(), random.random()
    np.random.seed(0)
    random.seed(0)
    assert found == (np.random.normal(), random.random())


def test_a_warning_of_a_monitor_names_the_line_that_made_it(photos: list[np.ndarray], backend: ToyBackend) -> None:
    options: dict[str, Any] = {"backend": backend, "preprocess": halved, "loggers": [Recorder()]}
    with pytest.warns(RuntimeWarning, match=r"^first=9, but there are only 3 images$") as caught:
        xaicore.Monitor(None, photos, first=9, **options).close()
    assert caught[0].filename == __file__


def test_a_pool_of_pictures(photos: list[np.ndarray], backend: ToyBackend) -> None:
    paths = saved(photos)
    options: dict[str, Any] = {"backend": backend, "preprocess": halved, "loggers": [Recorder()], "beside": False}
    probabilities = xaicore.Explainer(None, backend=backend, preprocess=halved)(paths, targets=2).scores
    with xaicore.Monitor(None, photos[0], worst=1, pool=(paths, [2, 2, 2]), **options) as monitor:
        _, worst = monitor.step(0)
    assert worst.ids == (paths[int(np.argmin(probabilities))],)
    with pytest.raises(InputError, match=r"^pool='p': the worst predictions need true classes: pool=\(x, truth\)"):
        xaicore.Monitor(None, photos[0], worst=1, pool="p", **options)


def test_a_callback_takes_pictures(photos: list[np.ndarray], backend: ToyBackend) -> None:
    saved(photos)
    log = Recorder()
    watcher = xaicore.Watcher("p", preprocess=halved, backend=backend, loggers=log, class_names=NAMES, beside=False)
    watcher.once(None, 0, 0)
    ((step, found),) = log.logged
    assert (step, found.ids, found.class_names) == (0, ("p/0.png", "p/1.png", "p/2.png"), tuple(NAMES))


def test_windows_of_pictures(photos: list[np.ndarray], backend: ToyBackend) -> None:
    def whole(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return picture[:9, :8].transpose(2, 0, 1), picture[:9, :8]

    pair = [photos[0], photos[2]]
    x, seen = (np.stack(arrays) for arrays in zip(*map(whole, pair), strict=True))
    explainer = xaicore.Explainer(None, backend=backend, preprocess=whole, class_names=NAMES)
    found = xaicore.sliding(explainer, pair, window=(6, 4), targets="dog")
    wanted = xaicore.sliding(xaicore.Explainer(None, backend=backend), x, window=(6, 4), targets=3, images=seen)
    np.testing.assert_allclose(found.maps, wanted.maps, rtol=1e-5)
    assert (found.class_names, found.images.tolist()) == (tuple(NAMES), seen.tolist())


def test_which_methods_fit_is_asked_with_a_picture(
    photos: list[np.ndarray], backend: ToyBackend, x: np.ndarray
) -> None:
    wanted = xaicore.fitting_methods(None, x, backend=backend)
    assert xaicore.fitting_methods(None, photos[0], backend=backend, preprocess=halved) == wanted


BAD: dict[str, tuple[Callable[[list[np.ndarray]], Any], str]] = {
    "a path that does not exist": (
        lambda photos: "p/kiten.png",
        r"no such file or folder: 'p/kiten\.png' \(in [^)]*\); did you mean 'p/kitten\.png'\?$",
    ),
    "a folder that does not exist": (
        lambda photos: "emty/0.png",
        r"no such file or folder: 'emty/0\.png' \(in [^)]*\); did you mean 'empty'\?$",
    ),
    "an id": (lambda photos: "img_001", r"no such file or folder: 'img_001' \(in [^)]*\)$"),
    "a URL": (
        lambda photos: "https://x.org/cat.jpg",
        r"'https://x\.org/cat\.jpg' is a URL, and xaicore downloads nothing: save the picture, and pass its path$",
    ),
    "no picture": (lambda photos: "words.jpg", r"words\.jpg is no picture that OpenCV \S+ can decode, or only a part "),
    "a part of a picture": (lambda photos: "half.png", r"half\.png is no picture that .* decode, or only a part of"),
    "an empty folder": (lambda photos: "empty", "no pictures in the folder 'empty' and its subfolders: expected files"),
    "paths and arrays": (
        lambda photos: ["p/0.png", photos[0]],
        "x is a list of a path and a uint8 array: expected pictures of one kind, all paths, all PIL images or all",
    ),
    "pictures and inputs": (
        lambda photos: [photos[0], 2 * photos[0] / 255],
        r"x is a list of a uint8 array and numpy\.",
    ),
    "channels first": (
        lambda photos: photos[0].transpose(2, 0, 1),
        r"x is a uint8 array of shape \(3, 10, 20\): expected a picture with the channels last, \(H, W, 3\) RGB; its "
        r"channels come first, so pass x\.transpose\(1, 2, 0\)$",
    ),
    "a list with channels first": (lambda photos: [p.transpose(2, 0, 1) for p in photos], r".* pass x\[0\]\.transpose"),
    "a batch with channels first": (lambda photos: photos[0].transpose(2, 0, 1)[None], r".* pass x\[0\]\.transpose"),
    "transparency": (
        lambda photos: np.zeros((5, 6, 4), np.uint8),
        r".*; without its transparency it is x\[\.\.\., :3\]",
    ),
    "no array of pictures": (lambda photos: np.zeros((5, 6, 7), np.uint8), ".* own input is an array of floats, or a"),
    "a tuple": (lambda photos: ("p/0.png", "p/1.png"), r"x is a tuple, which is positional .*: pass .* list\(x\)$"),
    "nothing": (lambda photos: [], "x is an empty list: expected one picture or more"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_refused_at_every_door(
    name: str, explainer: xaicore.Explainer, photos: list[np.ndarray]
) -> None:
    saved(photos)
    Path("empty").mkdir()
    draw(Path("p/kitten.png"))
    Path("words.jpg").write_text("just words")
    Path("half.png").write_bytes(draw(Path("whole.png")).read_bytes()[:60])
    make, message = BAD[name]
    with pytest.raises(InputError, match=f"^{message}"):
        explainer(make(photos))
    with pytest.raises(InputError, match=f"^{message}"):
        xaicore.Monitor(None, make(photos), backend=explainer.backend, preprocess=halved, loggers=[])


@pytest.mark.parametrize("make", [str, Path, PIL.Image.open, lambda path: [path], lambda path: [PIL.Image.open(path)]])
def test_a_picture_without_preprocess(
    make: Callable[[str], Any], backend: ToyBackend, photos: list[np.ndarray]
) -> None:
    x = make(saved(photos)[0])
    what = "the path 'p/0.png'" if "0.png" in str(x) and "PIL" not in str(x) else "a PIL.PngImagePlugin.PngImageFile"
    listed = "a list that begins with " if isinstance(x, list) else ""
    with pytest.raises(InputError, match=f"^x is {listed}{re.escape(what)}, and nothing says how .* pass preprocess=f"):
        xaicore.Explainer(None, backend=backend)(x)


def test_too_many_pictures(
    explainer: xaicore.Explainer, photos: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MOST", 2)
    with pytest.raises(
        InputError, match=r"^x is 3 pictures, and a call keeps .* expected 2 at most\. .* xaicore explain"
    ):
        explainer(photos)


def test_pictures_of_several_sizes_need_one_size(backend: ToyBackend, photos: list[np.ndarray]) -> None:
    explainer = xaicore.Explainer(
        None, backend=backend, preprocess=lambda picture: halved(picture)[0][:, :, : len(picture) % 8]
    )
    with pytest.raises(
        InputError, match=r"^preprocess returned inputs of shape \(3, 6, 2\) for x\[0\] and \(3, 6, 1\) "
    ):
        explainer(photos)


def test_a_preprocess_that_returns_a_batch(backend: ToyBackend, photos: list[np.ndarray]) -> None:
    explainer = xaicore.Explainer(None, backend=backend, preprocess=lambda picture: halved(picture)[0][None])
    with pytest.raises(
        InputError,
        match=r"^preprocess returned an input of shape \(1, 3, 6, 8\), which is a batch of one: .*, \(3, 6, 8\); r",
    ):
        explainer(photos)


def test_several_views_of_a_picture_are_no_batch_of_one() -> None:
    check_single(np.zeros((4, 2, 3, 6, 8)), lambda x: x)
    check_single(np.zeros((4, 1, 6, 8)), lambda x: x)
    check_single(np.zeros((4, 1, 3, 6, 8)), lambda x: x[None])


def test_a_preprocess_that_expects_something_else(backend: ToyBackend, photos: list[np.ndarray]) -> None:
    def of_pil(image: Any) -> Any:
        return image.convert("RGB")

    with pytest.raises(
        InputError, match=r"^preprocess of_pil, x: AttributeError: .*\. It is given a NumPy array \(10, "
    ):
        xaicore.Explainer(None, backend=backend, preprocess=of_pil)(photos[0])
    with pytest.raises(
        InputError, match=r"^preprocess='imagnet' is a builtins\.str: expected a function .*; or 'imagenet', as most"
    ):
        xaicore.Explainer(None, backend=backend, preprocess="imagnet")


@pytest.mark.parametrize("channels_last", [False, True])
def test_imagenet_is_said_in_a_word_in_python_too(backend: ToyBackend, photos: list, channels_last: bool) -> None:
    backend.channels_last = channels_last
    explainer = xaicore.Explainer(None, backend=backend, preprocess="imagenet")
    x, seen = (imagenet_nhwc if channels_last else imagenet)(photos[0])
    found, shown = explainer.preparation(photos[0], "a.png")
    assert np.array_equal(found, x)
    assert np.array_equal(shown, seen)
    assert explainer.preparation.name == xaicore.Explainer(None, backend=backend, preprocess=imagenet).preparation.name


OWN = {
    "explain": {
        "model, x, targets, images, ids, truth": "of the one call",
    },
    "Monitor": {
        "model, x, targets, images, ids, truth": "of every step",
        "first, per_class, worst, pool, every, budget, scale": "which images a step explains, and when",
        "loggers, name, config, on_error, beside": "where the results go",
    },
}
"""{door: {its arguments that `Explainer` lacks: the reason}}."""


@pytest.mark.parametrize("door", [xaicore.explain, xaicore.Monitor])
def test_every_door_takes_what_an_explainer_takes(door: Callable[..., Any]) -> None:
    taken = inspect.signature(door).parameters
    wanted = inspect.signature(xaicore.Explainer).parameters
    own = {name for names in OWN[door.__name__] for name in names.split(", ")}
    assert set(taken) == set(wanted) | own
    for name in wanted.keys() - own:
        assert taken[name].default == wanted[name].default, name


def test_the_calls_of_an_explainer_take_the_same() -> None:
    of_call = list(inspect.signature(xaicore.Explainer.__call__).parameters.values())
    assert [
        one for one in inspect.signature(xaicore.Explainer.compare).parameters.values() if one.name != "methods"
    ] == of_call


@pytest.mark.parametrize("batch_size", [1, 8])
def test_a_broken_file_among_others_is_skipped_and_labels_stay_aligned(
    backend: ToyBackend, photos: list[np.ndarray], batch_size: int
) -> None:
    explainer = xaicore.Explainer(None, backend=backend, preprocess=halved, class_names=NAMES, batch_size=batch_size)
    wanted = explainer(photos, targets=[3, 1, 2], truth=["ant", "dog", "bee"], ids=["a", "b", "c"]).take([0, 2])
    saved(photos)
    Path("p", "1.png").write_bytes(b"no picture")
    given = {"targets": [3, 1, 2], "truth": ["ant", "dog", "bee"], "ids": ["a", "b", "c"]}
    with pytest.warns(RuntimeWarning, match=r"^1 of 3 pictures skipped: p/1\.png is no picture that OpenCV") as warned:
        found = explainer("p", **given)
    assert [one.filename for one in warned] == [__file__]
    assert_same(found, wanted)
    assert (found.ids, found.truth.tolist()) == (("a", "c"), [0, 1])
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        assert explainer.compare("p", ["gradcam"])["gradcam"].ids == ("p/0.png", "p/2.png")
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        shown = explainer("p", images=np.stack([np.full((6, 8, 3), n, np.uint8) for n in range(3)])).images
    assert shown[:, 0, 0, 0].tolist() == [0, 2]
    with (
        pytest.warns(RuntimeWarning, match="1 of 3"),
        pytest.raises(InputError, match=r"truth of shape \(2,\) for 3 i"),
    ):
        explainer("p", truth=[0, 1])


def test_files_of_which_none_can_be_read(explainer: xaicore.Explainer) -> None:
    Path("p").mkdir()
    for n in range(5):
        Path("p", f"{n}.png").write_bytes(b"")
    message = (
        r"^none of the 5 pictures could be read\. p/0\.png is an empty file; .*2\.png is an empty file; and 2 more$"
    )
    with pytest.raises(InputError, match=message):
        explainer("p")


@pytest.mark.parametrize(
    ("file", "content"),
    [("names.txt", "ant\nbee\n cat \ndog\n"), ("names.json", '{"1": "bee", "0": "ant", "2": "cat", "3": "dog"}')],
)
def test_class_names_in_a_file(backend: ToyBackend, photos: list[np.ndarray], file: str, content: str) -> None:
    Path(file).write_text(content)
    for names in (file, Path(file)):
        explainer = xaicore.Explainer(None, backend=backend, preprocess=halved, class_names=names)
        assert explainer.class_names == tuple(NAMES)
    assert explainer(photos, targets="cat", class_names=file).target_name(0) == "cat"
    Path(file).write_text("[]" if file.endswith("json") else "")
    with pytest.raises(InputError, match=rf"^class_names='{re.escape(file)}': no names in it; expected one per line$"):
        explainer(photos, class_names=file)
    gone = file.replace("names", "name")
    with pytest.raises(InputError, match=rf"^class_names='{gone}': no such file \(in .*\); did you mean '{file}'\?$"):
        explainer(photos, class_names=gone)


@pytest.mark.parametrize(("module", "name"), [("prepare.py", "prepare"), ("my.data", "my.data"), ("a/b.py", "b")])
def test_a_function_that_a_text_names_is_refused(backend: ToyBackend, module: str, name: str) -> None:
    said = f"preprocess='{module}:f' is text, which the command line takes: import the function, `from {name} import f`"
    with pytest.raises(InputError, match=f"^{re.escape(said)}, and pass preprocess=f$"):
        xaicore.Explainer(None, backend=backend, preprocess=f"{module}:f")
