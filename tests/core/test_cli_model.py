"""What --model, --preprocess and --device stand for."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from toynet import ToyBackend
from workshop import Workshop, draw

import xaicore
from xaicore.cli.model import as_output, load_model
from xaicore.errors import InputError
from xaicore.pictures import IMAGENET, Preparation
from xaicore.pictures.imagenet import imagenet
from xaicore.pictures.preparation import stack

OF_IMAGENET = Preparation.of(IMAGENET)

SOURCE = """
import functools
from net import Colours

class Callable(Colours):
    def __call__(self, x):
        raise AssertionError("a model is not a factory")

ready = Callable()
lazy = functools.partial(Callable)

class Zoo:
    @staticmethod
    def lion():
        return "a lion"

def broken():
    raise ValueError("no weights")

def nothing():
    pass

table = {}
"""


@pytest.mark.parametrize("name", ["Callable", "ready", "lazy"])
def test_functions_and_classes_are_called_and_models_taken(shop: Workshop, name: str) -> None:
    shop.module("models", SOURCE)
    found = load_model(f"models:{name}", None, None)
    assert type(found.model).__name__ == "Callable"
    assert found.model is sys.modules["models"].ready if name == "ready" else True
    assert found.name == f"models:{name}"


def test_a_file_is_code_too(shop: Workshop) -> None:
    """Its folder is searched for what it imports; a module of its name that was imported before stays what it was."""
    shop.module("models", SOURCE)
    (shop.here / "zoo").mkdir()
    (shop.here / "zoo" / "models.py").write_text("import keeper\nready = keeper.NAME\n")
    (shop.here / "zoo" / "keeper.py").write_text("NAME = 'an ape'\n")
    first = load_model("models:ready", None, None).model
    assert load_model("./zoo/models.py:ready", None, None).model == "an ape"
    assert load_model("models.py:ready", None, None).model is first
    assert load_model(str(shop.here / "models.py:ready"), None, None).model is first


def test_dotted_names(shop: Workshop) -> None:
    shop.module("models", SOURCE)
    assert load_model("models:Zoo.lion", None, None).model == "a lion"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("models:", "spec='models:': expected 'package.module:function' or 'file.py:function', such as 'models:build'"),
        (
            "zoo/models:ready",
            "spec='zoo/models:ready': expected 'package.module:function' or 'file.py:function', such ",
        ),
        (
            "models:7",
            "spec='models:7': expected 'package.module:function' or 'file.py:function', such as 'models:build'",
        ),
        ("modls:ready", "spec='modls:ready': module 'modls' does not import: ModuleNotFoundError: No module named "),
        ("gone.py:ready", "spec='gone.py:ready': module 'gone.py' does not import: FileNotFoundError: no such file: "),
        ("sick:ready", "spec='sick:ready': module 'sick' does not import: ZeroDivisionError: division by zero (sear"),
        ("sick.py:ready", "spec='sick.py:ready': module 'sick.py' does not import: ZeroDivisionError: division by z"),
        ("models:reddy", "spec='models:reddy': models has no 'reddy'; did you mean 'ready'?"),
        ("models:broken", "spec='models:broken': building the model raised ValueError: no weights"),
        ("models:nothing", "spec='models:nothing': this is None; expected a model, or a function that returns one"),
        ("models:functools", "spec='models:functools': this is <module 'functools'"),
    ],
)
def test_what_is_no_model(shop: Workshop, spec: str, message: str) -> None:
    shop.module("models", SOURCE)
    shop.module("sick", "1 / 0")
    with pytest.raises(InputError, match="^" + re.escape(message)):
        load_model(spec, None, None)


def test_device(shop: Workshop) -> None:
    assert load_model("net:movable", None, "cuda:1").model.device == "cuda:1"
    with pytest.raises(InputError, match=r"^device='moon': RuntimeError: no such place$"):
        load_model("net:movable", None, "moon")
    with pytest.raises(
        InputError, match=r"^device='cpu': a net\.Colours has no \.to\(device\); place the model in a fun"
    ):
        load_model("net:build", None, "cpu")


def test_output_is_an_index_or_a_name() -> None:
    assert [as_output(value) for value in (None, "1", "logits", "1a")] == [None, 1, "logits", "1a"]


def test_which_preprocess(shop: Workshop) -> None:
    shop.module("bare", "from net import build\npreprocess = 'a word'\n")
    assert load_model("net:build", None, None).prepare.name == "net:preprocess"
    assert load_model("net:build", "net:only_x", None).prepare.name == "net:only_x"
    assert load_model("bare:build", None, None).prepare is None
    assert load_model("bare:build", "imagenet", None).prepare == OF_IMAGENET
    shop.module("usual", "from net import build\npreprocess = 'imagenet'\n")
    assert load_model("usual:build", None, None).prepare == OF_IMAGENET
    assert xaicore.load("usual:build").preparation == OF_IMAGENET
    with pytest.raises(
        InputError, match=r"^--preprocess bare:preprocess: 'a word' is no function; expected f\(picture"
    ):
        load_model("bare:build", "bare:preprocess", None)
    with pytest.raises(
        InputError, match=r"^--preprocess 'imagnet': expected package\.module:name, file\.py:name or imagenet$"
    ):
        load_model("bare:build", "imagnet", None)


def test_the_header_says_which_preprocess(shop: Workshop) -> None:
    shop.module("bare", "from net import build\n")
    draw(Path("a.png"))
    result = shop.run("explain", "a.png", "--model", "bare:build", "--preprocess", "imagenet", "--logger", "notes")
    assert result.exit_code == 0
    assert (
        f"1 picture; model bare:build, weights as the code makes them; preprocess {OF_IMAGENET.name}\n" in result.stderr
    )
    assert shop.notes()[0]["config"]["preprocess"] == OF_IMAGENET.name


@pytest.mark.parametrize("to", [["--logger", "disk", "--out", "run"], ["--table", "--out", "run"]])
@pytest.mark.parametrize("written", ["prepare.py:preprocess", "imagenet"])
def test_pictures_that_nothing_says_how_to_prepare(shop: Workshop, to: list[str], written: str) -> None:
    """They are refused, since a map of other inputs would look right, too; both remedies work as they are offered."""
    shop.module("bare", "from net import build\n")
    draw(Path("a.png"))
    refused = shop.run("explain", "a.png", "--model", "bare:build", *to)
    assert refused.exit_code == 2
    assert refused.stderr.startswith("Error: --model bare:build does not say how a picture becomes its input. Write ")
    assert not Path("run").exists()
    code, offered = re.findall("`(.*?)`", refused.stderr), re.findall("--preprocess (\\S+)", refused.stderr)
    assert offered == ["prepare.py:preprocess", "imagenet"]
    Path("prepare.py").write_text("\n".join(code))
    again = shop.run("explain", "a.png", "--model", "bare:build", *to, "--preprocess", written)
    assert again.exit_code == 0, again.stderr


def test_a_model_of_another_size_is_not_offered_imagenet(shop: Workshop) -> None:
    shop.module("bare", "from net import build\n")
    model, backend = load_model("bare:build", None, None), ToyBackend()
    backend.picture_size = (20, 30)
    with pytest.raises(
        InputError, match=r"resize\(picture, \(30, 20\)\).* and add --preprocess prepare\.py:preprocess$"
    ):
        model.preparation(backend)
    backend.picture_size = (224, 224)
    with pytest.raises(InputError, match=r"as most ImageNet models of PyTorch are, --preprocess imagenet$"):
        model.preparation(backend)


def test_dots_need_no_preparation(shop: Workshop) -> None:
    """They run the model in its own size and layout; a picture means something, and is refused."""
    shop.module("bare", "from net import build\n")
    draw(Path("a.png"))
    for command in ("layers", "methods"):
        assert shop.run(command, "--model", "bare:build").exit_code == 0
        refused = shop.run(command, "a.png", "--model", "bare:build")
        assert refused.exit_code == 2
        assert "--model bare:build does not say how a picture becomes its input" in refused.stderr


@pytest.mark.parametrize(
    ("of_model", "shape"),
    [
        ("None, False", [1, 3, 224, 224]),
        ("(20, 30), False", [1, 3, 20, 30]),
        ("(3, 20), True", [1, 3, 20, 3]),  # the workshop's net takes channels first, here the rows
    ],
)
def test_dots_are_of_the_models_size_and_layout(shop: Workshop, of_model: str, shape: list[int]) -> None:
    shop.module("bare", "from net import build\n")
    source, begin = (shop.site / "colours_backend.py").read_text(), "        self.model, self.output = model, output\n"
    source = source.replace(begin, f"{begin}        self.picture_size, self.channels_last = {of_model}\n")
    (shop.site / "colours_backend.py").write_text(source)
    listed = json.loads(shop.run("layers", "--model", "bare:build", "--json").stdout)
    assert listed["layers"][0]["shape"] == shape


@pytest.mark.parametrize("command", ["layers", "methods"])
def test_a_model_that_does_not_take_dots(shop: Workshop, command: str) -> None:
    """The advice works; a picture that its own function prepares is not called dots."""
    shop.module("bare", "from net import build\n")
    source, begin = (shop.site / "colours_backend.py").read_text(), "        self.model, self.output = model, output\n"
    grey = source.replace(begin, f"{begin}        self.picture_size = 5, 5\n").replace(
        "x.shape[1] != 3", "x.shape[2] != 4"
    )
    (shop.site / "colours_backend.py").write_text(grey)
    result = shop.run(command, "--model", "bare:build")
    assert result.exit_code == 2
    assert (
        "for inputs (1, 3, 5, 5): three channels, please. This input is random dots: add --preprocess" in result.stderr
    )
    (typed,) = re.findall(r"--preprocess (\S+),", result.stderr)
    Path("prepare.py").write_text("def f(picture): return picture[:4, :6].transpose(2, 0, 1) / 255\n")
    assert shop.run(command, "--model", "bare:build", "--preprocess", typed).exit_code == 0
    Path("wrong.py").write_text("def f(picture): return picture[:7, :6].transpose(2, 0, 1) / 255\n")
    result = shop.run(command, "--model", "bare:build", "--preprocess", "wrong.py:f")
    assert "three channels, please" in result.stderr
    assert "dots" not in result.stderr


@pytest.mark.parametrize(("height", "width"), [(256, 256), (256, 300), (600, 256), (1024, 768), (50, 60), (3, 700)])
def test_imagenet_takes_the_middle(height: int, width: int) -> None:
    """On ramps, resizing is known: pixel i of n covers [i, i + 1) / n of the picture."""
    ramp = np.linspace(0, 1, width)[None].repeat(height, 0), np.linspace(0, 1, height)[:, None].repeat(width, 1)
    picture = np.rint(np.dstack([ramp[0], ramp[1], np.full((height, width), 0.5)]) * 255).astype(np.uint8)
    x, seen = imagenet(picture)
    assert (x.shape, x.dtype, seen.shape, seen.dtype) == ((3, 224, 224), np.float32, (224, 224, 3), np.uint8)
    scale = 256 / min(height, width)
    for axis, length in ((0, width), (1, height)):
        at = (np.arange(224) + 0.5 - 112) / (scale * length) + 0.5  # of the picture, the middle in the middle
        profile = seen[..., axis].mean(axis=axis)
        step = 255 / (length - 1)
        assert np.abs(profile - 255 * at).max() < 1.5 + step
    expected = (seen / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert np.abs(x - expected.transpose(2, 0, 1)).max() < 1e-5


def test_imagenet_lays_pictures_out_as_the_backend_takes_them() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    backend = ToyBackend()
    own = Preparation(lambda picture: picture[:8, :9], "my:f")
    first, seen = OF_IMAGENET.for_backend(backend)(picture, "a.png")
    assert first.shape == (3, 224, 224)
    backend.channels_last = True
    last, again = OF_IMAGENET.for_backend(backend)(picture, "a.png")
    assert last.shape == (224, 224, 3)
    assert np.array_equal(last, np.moveaxis(first, 0, -1))
    assert np.array_equal(seen, again)
    assert own.for_backend(backend) is own


def test_imagenet_averages_over_areas() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    _, seen = imagenet(picture)
    means = picture.reshape(256, 4, 256, 4, 3).mean(axis=(1, 3))[16:240, 16:240]
    assert np.abs(seen - means).max() <= 0.5


def prepared(result: object) -> tuple[np.ndarray, np.ndarray | None]:
    return Preparation(lambda picture: result, "my:f")(np.zeros((4, 4, 3), np.uint8), "a.png")


def test_preprocess_may_give_x_alone_or_with_its_picture() -> None:
    x, seen = prepared([[1.0, 2.0]])
    assert x.tolist() == [[1, 2]]
    assert seen is None
    x, seen = prepared((np.ones(3), np.zeros((2, 5, 3), np.uint8)))
    assert x.shape == (3,)
    assert seen is not None
    assert seen.shape == (2, 5, 3)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "preprocess my:f, a.png: returned a builtins.NoneType; expected an array x, or a tuple (x, picture)"),
        (
            {"x": 1},
            "preprocess my:f, a.png: returned a builtins.dict; expected an array x, or a tuple (x, picture); return an "
            "array in it, such as result['x'], without a batch axis",
        ),
        (3.0, "preprocess my:f, a.png: returned a builtins.float; expected an array x"),
        ((np.ones(3), np.zeros((2, 5, 3))), "preprocess my:f, a.png: returned a picture of shape (2, 5, 3) and type "),
        ((np.ones(3), np.zeros((3, 2, 5), "u1")), "preprocess my:f, a.png: returned a picture of shape (3, 2, 5) and "),
        ([[1.0], [1.0, 2.0]], "preprocess my:f, a.png: x: rows differ in length; expected one array"),
    ],
)
def test_preprocess_gave_something_else(result: object, message: str) -> None:
    with pytest.raises(InputError, match="^" + re.escape(message)):
        prepared(result)


def test_preprocess_raised() -> None:
    def fail(picture: np.ndarray) -> None:
        raise KeyError("size")

    with pytest.raises(InputError, match=r"^preprocess my:f, b/c\.png: KeyError: 'size'$"):
        Preparation(fail, "my:f")(np.zeros((4, 4, 3), np.uint8), "b/c.png")


def test_stack() -> None:
    assert np.array_equal(stack([np.zeros(2), np.ones(2)], ["a", "b"], "inputs", ""), [[0, 0], [1, 1]])
    with pytest.raises(
        InputError,
        match=r"^preprocess returned inputs .* \(2,\) for a and \(3,\) for c: .* resize in preprocess, or wait$",
    ):
        stack([np.zeros(2), np.ones(2), np.ones(3)], ["a", "b", "c"], "inputs", "wait")
