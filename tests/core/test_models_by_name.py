"""How a name becomes a model: what plugins are asked, and what is said where none knows it."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from workshop import Workshop, draw

import xaicore
from xaicore import BackendError, InputError, ModelLibrary, ModelSpec, PluginError, find_model, load
from xaicore.models import advice, central_part, default_model, download, downloading, libraries, misfit, other_classes
from xaicore.models.typed import is_code, read_spec

ZOO = """
import numpy as np
import xaicore
from xaicore import ModelLibrary, NamedModel, hookimpl, models
from net import Colours, preprocess

def names():
    if LACKING:
        raise xaicore.DependencyError("zoo lacks its animals: pip install animals")
    return ["lion", "lioness", "Gnu", "ox"]

LACKING = False
LIBRARY = ModelLibrary("zoo", "net", names, "lion", "pip install zoo", ("ox", "lion"), lambda name: name == HERE, 10)
HERE = None
SPECS = []
LIBRARIES = [LIBRARY]

def red(picture):
    "Of the picture, the red channel alone."
    seen = picture * np.uint8([1, 0, 0])
    return preprocess(seen)[0], seen

@hookimpl
def xaicore_model(spec):
    SPECS.append(spec)
    if spec.model is not None and spec.weights is not None and spec.weights.endswith(".zoo"):
        return NamedModel(spec.model, f"{spec.text} with {spec.weights}", is_pretrained=True)
    if spec.library != "zoo":
        return None
    if spec.name == "wrong":
        return "a lion"
    if spec.name == "bug":
        return {}["lion"]
    if spec.name not in names():
        raise models.unknown_name(LIBRARY, spec.name)
    if spec.name == "ox":
        raise xaicore.BackendError("the weights of 'zoo/ox' cannot be downloaded (no network). Go to the zoo")
    if spec.name == "Gnu":
        return NamedModel(Colours(), "a gnu")
    labels = {0: "rouge", 1: "vert", 2: "bleu"}
    return NamedModel(Colours(), f"{spec.name}, zoo", red, labels, spec.pretrained)

@hookimpl
def xaicore_model_libraries():
    return LIBRARIES
"""


@pytest.fixture
def zoo(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A workshop with a plugin that knows the library `zoo`, and no other library."""
    (shop.site / "zoo_plugin.py").write_text(
        f"{ZOO}\n@hookimpl\ndef xaicore_backend(model, output):\n    return None\n"
    )
    shop.distribution("zoo", "1.0", {"xaicore.backends": {"zoo": "zoo_plugin"}})
    monkeypatch.delitem(sys.modules, "zoo_plugin", raising=False)
    monkeypatch.setenv("XAICORE_PLUGINS", "zoo,colours,notes")
    monkeypatch.syspath_prepend(shop.here)
    return shop


def asked() -> list[ModelSpec]:
    return sys.modules["zoo_plugin"].SPECS


@pytest.mark.parametrize(
    ("text", "library", "name"),
    [
        ("timm/convnext_tiny", "timm", "convnext_tiny"),
        ("timm/hf-hub:timm/resnet18", "timm", "hf-hub:timm/resnet18"),
        ("hf/microsoft/resnet-50", "hf", "microsoft/resnet-50"),
        ("hf//home/me/net", "hf", "/home/me/net"),
        ("timm/", "timm", ""),
        ("resnet18", None, "resnet18"),
        ("./timm/x", None, "./timm/x"),
        ("/home/me/net", None, "/home/me/net"),
        ("~/net", None, "~/net"),
        ("zoo/net.py:build", None, "zoo/net.py:build"),
        ("package.module:Zoo.lion", None, "package.module:Zoo.lion"),
    ],
)
def test_how_names_are_written(text: str, library: str | None, name: str) -> None:
    assert read_spec(text) == ModelSpec(text, library, name)


def test_a_file_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("timm").mkdir()
    assert read_spec(Path("timm/best.pt")).library == "timm"
    Path("timm/best.pt").touch()
    assert read_spec(Path("timm/best.pt")) == ModelSpec("timm/best.pt", None, "timm/best.pt")


def test_weights() -> None:
    assert read_spec("a/b", "best.pt", True) == ModelSpec("a/b", "a", "b", "best.pt", True)
    assert read_spec("a/b", "None") == ModelSpec("a/b", "a", "b", None, False, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a:b", True), ("a.b:c.d", True), ("./a/b.py:c", True), ("C:\\a\\b.py:c", True), ("a/b:c", False), ("a:", False),
     ("a", False), ("C:\\b.pt", False), ("a:b/c", False), (":a", False), ("a.py:1", False)],
)  # fmt: skip
def test_what_is_code(text: str, expected: bool) -> None:
    assert is_code(text) is expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (7,),
            "spec=7: expected library/name such as 'torchvision/resnet50', a file such as 'best.keras', a folder of",
        ),
        (("",), "spec='' names no model: expected library/name such as"),
        (
            ("https://a.b/c.pt",),
            "spec='https://a.b/c.pt' is a URL, and nothing is downloaded from one: download the fi",
        ),
        (("a/b", 3), "weights=3: expected the path of a file, or 'none' for random weights"),
    ],
)
def test_what_is_no_name(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        find_model(*arguments)


def test_the_plugin_that_knows_a_name_answers(zoo: Workshop) -> None:
    found = find_model("zoo/lion", weights="none", trust=True)
    assert (type(found.model).__name__, found.title, found.is_pretrained) == ("Colours", "lion, zoo", False)
    assert asked() == [ModelSpec("zoo/lion", "zoo", "lion", None, True, False)]


def test_weights_for_code_are_loaded_by_a_plugin(zoo: Workshop) -> None:
    Path("a.zoo").touch()
    found = find_model("net:build", weights="a.zoo")
    assert asked()[0].model is found.model
    assert found.title == "net:build with a.zoo"
    assert found.preprocess is sys.modules["net"].preprocess
    with pytest.raises(InputError, match=r"^weights='b\.zoo': no such file \(in "):
        find_model("net:build", weights="b.zoo")
    Path("a.ark").touch()
    with pytest.raises(
        InputError, match=r"^weights='a\.ark': no backend plugin loads this file into a net\.Colours; load "
    ):
        find_model("net:build", weights="a.ark")


def test_a_folder_of_code_hides_no_other_module(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is searched first while the model is built, and last from then on."""
    folder = shop.here / "apes"
    folder.mkdir()
    (folder / "ape.py").write_text(
        "def build():\n    import apehouse\n    return apehouse.late\n\ndef broken():\n    raise ValueError('no ape')\n"
    )
    (folder / "apehouse.py").write_text("def late():\n    import apefood\n    return apefood.NAME\n")
    (folder / "apefood.py").write_text("NAME = 'leaves'\n")
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", list(before))
    for module in ("ape", "apehouse", "apefood"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(InputError, match=r"building the model raised ValueError: no ape$"):
        find_model("apes/ape.py:broken")
    assert sys.path == [*before, str(folder)]
    assert find_model("apes/ape.py:build").model() == "leaves"
    assert sys.path == [*before, str(folder)]


def test_a_colon_for_a_slash(zoo: Workshop) -> None:
    with pytest.raises(InputError, match=r"^spec='zoo:lion': module 'zoo' does not .*; a model .* called 'zoo/lion'$"):
        find_model("zoo:lion")
    with pytest.raises(InputError, match=r"^spec='net:lion': net has no 'lion'$"):
        find_model("net:lion")


def test_weights_that_do_not_exist(zoo: Workshop) -> None:
    Path("best.pt").touch()
    for spec in ("zoo/lion", "net:build"):
        with pytest.raises(InputError, match=r"^weights='bst\.pt': no such file \(in .*\); did you mean 'best\.pt'\?$"):
            find_model(spec, "bst.pt")
    assert find_model("zoo/lion", "IMAGENET1K_V1").title == "lion, zoo"
    assert find_model("zoo/lion", "Lion_Weights.IMAGENET1K_V1").title == "lion, zoo"


def test_trusted_files_find_code_in_the_current_folder(zoo: Workshop) -> None:
    Path("elsewhere").mkdir()
    zoo.monkeypatch.chdir("elsewhere")
    zoo.monkeypatch.setattr(sys, "path", list(sys.path))
    find_model("zoo/lion")
    assert str(Path.cwd()) not in sys.path
    find_model("zoo/lion", trust=True)
    assert sys.path[-1] == str(Path.cwd())  # it hides no other module


@pytest.mark.filterwarnings("ignore:skipped while looking for a model:RuntimeWarning")
def test_a_broken_plugin_blocks_no_other(zoo: Workshop) -> None:
    (zoo.site / "ark_plugin.py").write_text("raise OSError('water')\n")
    zoo.distribution("ark", "1.0", {"xaicore.backends": {"ark": "ark_plugin"}})
    zoo.monkeypatch.setenv("XAICORE_PLUGINS", "zoo,colours,ark")
    with pytest.warns(
        RuntimeWarning, match=r"^skipped while looking for a model: backend plugin 'ark' .* OSError: water"
    ):
        assert find_model("zoo/lion").title == "lion, zoo"
    zoo.monkeypatch.setenv("XAICORE_PLUGINS", "zoo,colours")
    with pytest.raises(
        PluginError, match=r"^spec='zoo/bug': backend plugin 'zoo' from zoo 1\.0 raised KeyError: 'lion'$"
    ):
        find_model("zoo/bug")
    with pytest.raises(
        PluginError, match=r"answered spec='zoo/wrong' with a builtins\.str; expected an xaicore\.NamedModel"
    ):
        find_model("zoo/wrong")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zoo/lyon", "net has no model 'lyon'; did you mean 'zoo/lion'? `xaicore models zoo/` lists them"),
        ("zoo/gnu", "net has no model 'gnu'; did you mean 'zoo/Gnu'? `xaicore models zoo/` lists them"),
        ("zo/lion", "spec='zo/lion': no library is called 'zo'; did you mean 'zoo/lion'?"),
        ("zoo/", "spec='zoo/' names no model: expected a name such as 'zoo/lion'; `xaicore models zoo/` lists them"),
        ("zoo", "spec='zoo': this is a library; name one of its models, such as 'zoo/lion'"),
        ("lion", "spec='lion': write the library before the name: 'zoo/lion'"),
        ("GNU", "spec='GNU': write the library before the name: 'zoo/Gnu'"),
        ("lyon", "spec='lyon': no library has a model of this name; did you mean 'zoo/lion'?"),
        ("zoo.animals.lion", "spec='zoo.animals.lion': write it as library/name: 'zoo/lion'"),
        ("zoo.animals.lion()", "spec='zoo.animals.lion()': write it as library/name: 'zoo/lion'"),
        ("zoo.create('ox', True)", "write it as library/name: 'zoo/ox'"),
        ("zoo.create(big=True)", "write it as library/name: 'zoo/lion'"),
        ("zoo:me/ox", "spec='zoo:me/ox': write it as library/name: 'zoo/me/ox'"),
        ("qqqq", "spec='qqqq': expected library/name such as 'torchvision/resnet50', a file such as"),
        ("me/quagga", "spec='me/quagga': no such folder, and no library is called 'me': the libraries are zoo"),
        ("gone.pt", "spec='gone.pt': no such file or folder (in "),
        ("zo/lion.a1_in1k", "no library is called 'zo'; did you mean 'zoo/lion.a1_in1k'?"),
        ("cage/gone.pt", "spec='cage/gone.pt': no such file or folder (in "),
        ("tale.md", "did you mean 'table.md'?"),
        ("./gone", "spec='./gone': no such file or folder (in "),
        ("table.md", "spec='table.md': no backend plugin reads this file; expected library/name such as"),
        ("cage", "spec='cage': this folder holds no model: expected one that save_pretrained of Transformers wrote"),
        ("net", "spec='net': name the function in it that builds the model, such as spec='net:build'"),
        ("net.py", "spec='net.py': name the function in it that builds the model, such as spec='net.py:build'"),
        ("cage/net:build", "expected 'package.module:function' or 'file.py:function', such as 'cage.net:build'"),
        ("net:", "spec='net:': expected 'package.module:function' or 'file.py:function', such as 'net:build'"),
    ],
)  # fmt: skip
def test_what_to_type(zoo: Workshop, text: str, message: str) -> None:
    Path("table.md").touch()
    Path("cage").mkdir()
    with pytest.raises(InputError, match=re.escape(message)):
        find_model(text)


def test_what_hubs_call_their_models() -> None:
    hub = ModelLibrary("hf", "transformers", lambda: [], "me/pets", "pip install transformers")
    for text, message in (
        ("me/pets", "a model of huggingface.co is called 'hf/me/pets'"),
        ("transformers/me/pets", "no library is called 'transformers'; did you mean 'hf/me/pets'?"),
        ("transformers", "models of transformers are called 'hf/...', such as 'hf/me/pets'"),
    ):
        assert message in str(advice.unknown_model(read_spec(text), [hub]))


def test_names_of_libraries_that_are_not_installed(zoo: Workshop) -> None:
    """They come first; the nearest names of what is installed stand behind them."""
    plugin = (libraries(), sys.modules["zoo_plugin"])[1]
    for name, common in (("ark", ("lyon", "dove")), ("sea", ("Dove",))):
        plugin.LIBRARIES.append(
            ModelLibrary(name, f"absent_{name}", plugin.names, "x", f"pip install {name}", common=common)
        )
    for text, message in (
        ("lyon", "install it: 'ark/lyon' (`pip install ark`); the nearest of what is installed: 'zoo/lion'"),
        ("dove", "install it: 'ark/dove' (`pip install ark`) or 'sea/Dove' (`pip install sea`)"),
        ("lion", "write the library before the name: 'zoo/lion'"),
        ("qqqq", "lists the names of libraries. More models: `pip install ark` or `pip install sea`"),
    ):
        with pytest.raises(InputError, match=f"^spec='{text}': .*{re.escape(message)}$"):
            find_model(text)


@pytest.mark.parametrize("trust", ["no", 0, None])
def test_what_is_no_yes_is_not_taken_for_trust(zoo: Workshop, trust: Any) -> None:
    for door in (find_model, load):
        with pytest.raises(InputError, match=f"^trust={trust!r}: expected True or False$"):
            door("zoo/lion", trust=trust)


def test_a_library_that_cannot_list_its_names_is_left_out(zoo: Workshop) -> None:
    assert [library.name for library in libraries()] == ["zoo"]
    sys.modules["zoo_plugin"].LACKING = True
    with pytest.raises(InputError, match="spec='lion': expected library/name"):
        find_model("lion")


def test_the_default(zoo: Workshop) -> None:
    """The best of which the weights are here; else the best that can be had."""
    libraries()
    sys.modules["zoo_plugin"].HERE = "lion"
    assert default_model()[0] == "zoo/lion"
    assert default_model()[1].title == "lion, zoo"
    ark = ModelLibrary("ark", "net", lambda: ["dove"], "dove", "pip install ark", ("dove",), rank=1)
    sys.modules["zoo_plugin"].LIBRARIES.append(ark)
    assert default_model()[0] == "zoo/lion"
    sys.modules["zoo_plugin"].LIBRARIES.remove(ark)
    sys.modules["zoo_plugin"].HERE = None
    with pytest.raises(InputError) as none:
        default_model()
    assert str(none.value) == (
        "no model is named, and zoo/ox cannot be had: the weights of 'zoo/ox' cannot be downloaded (no network). Name "
        "a model that is on this machine: spec='best.keras', or code that builds one, spec='package.module:function'"
    )
    zoo.monkeypatch.setattr("xaicore.models.default.is_installed", lambda package: False)
    with pytest.raises(
        InputError, match="no model is named, and none of net is installed: try `pip install zoo`, or name"
    ):
        default_model()


def test_misfit() -> None:
    ours = {"a": (2, 3), "b": (2,), **{f"c{i}": (1,) for i in range(5)}}
    assert misfit(ours, dict(ours)) is None
    assert misfit(ours, {"a": (3, 3), "b": (), "d": (1,)}) == (
        "missing in the file: c0, c1, c2 and 2 more; not in the model: d; of another shape: a 3x3 instead of 2x3, b a "
        "number instead of 2"
    )


@pytest.mark.parametrize(
    ("file", "classes"),
    [
        ({"conv": (4, 3), "head": (7, 4), "bias": (7,)}, 7),
        ({"conv": (4, 3), "head": (10, 4), "bias": (10,)}, None),
        ({"conv": (5, 3), "head": (7, 4), "bias": (7,)}, None),
        ({"conv": (4, 3), "head": (7, 5), "bias": (7,)}, None),
        ({"conv": (4, 3), "head": (7,), "bias": (7,)}, None),
        ({"head": (7, 4), "bias": (7,)}, None),
    ],
)
def test_other_classes(file: dict, classes: int | None) -> None:
    assert other_classes({"conv": (4, 3), "head": (10, 4), "bias": (10,)}, file) == classes


def test_central_part() -> None:
    picture = np.arange(60 * 100 * 3).reshape(60, 100, 3).astype(np.uint8)
    part = picture[:, 20:80].reshape(30, 2, 30, 2, 3).mean(axis=(1, 3))
    assert np.abs(central_part(picture, (30, 30)) - part).max() <= 0.5
    wide = picture[5:55].reshape(25, 2, 50, 2, 3).mean(axis=(1, 3))
    assert np.abs(central_part(picture, (25, 50)) - wide).max() <= 0.5
    assert np.array_equal(central_part(picture, (60, 100)), picture)


def test_downloads_fail_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = []

    def connect(address: tuple, timeout: float) -> SimpleNamespace:
        reached.append((*address, timeout))
        if address[0] == "gone.org":
            raise OSError("no route")
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(download.socket, "create_connection", connect)
    monkeypatch.setattr(download.urllib.request, "getproxies", dict)
    before = download.socket.getdefaulttimeout()
    with pytest.raises(
        BackendError, match=r"^the net cannot be downloaded from https://gone\.org/a \(OSError: no route\)\. Walk$"
    ):
        with downloading("the net", "https://gone.org/a", "Walk"):
            raise AssertionError("this is not run")
    with pytest.raises(BackendError, match=r"\(KeyError: 'a'\)\. Walk$"):
        with downloading("the net", "http://here.org:81/a", "Walk"):
            assert download.socket.getdefaulttimeout() == download.PATIENCE
            raise KeyError("a")
    with (
        pytest.raises(InputError, match=r"^as it is$"),
        downloading("the net", "https://gone.org", "Walk", reach=False),
    ):
        raise InputError("as it is")
    monkeypatch.setattr(download.urllib.request, "getproxies", lambda: {"https": "proxy"})
    with downloading("the net", "https://gone.org", "Walk"):
        pass
    assert reached == [("gone.org", 443, 5), ("here.org", 81, 5)]
    assert download.socket.getdefaulttimeout() == before


def test_load_is_an_explainer_with_what_the_library_knows(zoo: Workshop) -> None:
    made = []
    zoo.monkeypatch.setattr(
        importlib.import_module("xaicore.models.load"), "Explainer", lambda *a, **k: made.append((a, k))
    )
    xaicore.load("zoo/lion")
    xaicore.load("net:movable", device="cuda:1", method="cam", class_names=["a"])
    (first, library), (second, given) = made
    red = sys.modules["zoo_plugin"].red
    assert type(first[0]).__name__ == "Colours"
    assert library == {"preprocess": red, "class_names": {0: "rouge", 1: "vert", 2: "bleu"}}
    assert second[0].device == "cuda:1"
    assert given == {"preprocess": sys.modules["net"].preprocess, "class_names": ["a"], "method": "cam"}


def test_load_reports_random_weights_where_it_is_called(zoo: Workshop) -> None:
    with pytest.warns(RuntimeWarning, match=r"^spec='zoo/lion': the weights are random: heatmaps show noth") as told:
        xaicore.load("zoo/lion", weights="none")
    assert [one.filename for one in told] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xaicore.load("zoo/lion")
        xaicore.load("net:build")


def test_the_command_line_explains_a_model_by_name(zoo: Workshop) -> None:
    draw(Path("a.png"), "red")
    result = zoo.run("explain", "a.png", "--model", "zoo/lion", "--target", "rouge", "--logger", "notes")
    assert result.exit_code == 0, result.stderr
    assert "1 picture; model lion, zoo; preprocess zoo_plugin:red\n" in result.stderr
    row = zoo.logged()[0]
    assert (row["target_name"], row["predicted_name"]) == ("rouge", "rouge")
    Path("names.txt").write_text("a\nb\nc\n")
    zoo.run("explain", "a.png", "--model", "zoo/lion", "--labels", "names.txt", "--logger", "notes")
    assert zoo.logged()[-1]["predicted_name"] == "a"


def test_a_model_that_does_not_say_how_pictures_become_inputs(zoo: Workshop) -> None:
    """What the message says to type works."""
    draw(Path("a.png"))
    result = zoo.run("explain", "a.png", "--model", "zoo/Gnu", "--logger", "notes")
    assert result.exit_code == 2
    assert "--model zoo/Gnu does not say how a picture becomes its input. Write prepare.py with" in result.stderr
    Path("prepare.py").write_text("\n".join(re.findall("`(.*?)`", result.stderr)))
    typed = re.search("--preprocess (\\S+)", result.stderr)[1]
    again = zoo.run("explain", "a.png", "--model", "zoo/Gnu", "--preprocess", typed, "--logger", "notes")
    assert again.exit_code == 0, again.stderr
    assert "preprocess prepare.py:preprocess\n" in again.stderr


def test_the_preparation_that_a_message_offers(zoo: Workshop) -> None:
    draw(Path("a.png"), "red")
    explainer = xaicore.load("zoo/Gnu")
    with pytest.raises(InputError) as unprepared:
        explainer("a.png")
    code = re.findall("`(.*?)`", str(unprepared.value))
    named: dict = {}
    exec("\n".join(code), named)  # what the message says to type works
    assert xaicore.load("zoo/Gnu", preprocess=named["preprocess"])("a.png").picture(0).shape == (224, 224, 3)
    explainer.backend.picture_size = (20, 30)
    with pytest.raises(InputError, match=r"resize\(picture, \(30, 20\)\); return \(.*\)\.transpose\(2, 0, 1\), seen`"):
        explainer("a.png")
    explainer.backend.channels_last = True
    with pytest.raises(InputError, match=r"return seen / 127\.5 - 1, seen`, and preprocess=preprocess$"):
        explainer("a.png")


def test_the_command_line_says_that_weights_are_random(zoo: Workshop) -> None:
    draw(Path("a.png"))
    result = zoo.run("explain", "a.png", "--model", "zoo/lion", "--weights", "none", "--logger", "notes")
    assert "the weights are random: heatmaps show nothing that was learned\n" in result.stderr
    assert "random" not in zoo.run("explain", "a.png", "--model", "zoo/lion", "--logger", "notes").stderr


def test_the_command_line_takes_a_model_where_none_is_named(zoo: Workshop) -> None:
    draw(Path("a.png"))
    libraries()
    sys.modules["zoo_plugin"].HERE = "lion"
    result = zoo.run("explain", "a.png", "--logger", "notes")
    assert result.exit_code == 0, result.stderr
    assert "no --model is given: took zoo/lion; `xaicore models` lists others\n" in result.stderr
    assert zoo.notes()[0]["config"]["model"] == "zoo/lion"
    for where in (["--logger", "notes"], ["--table", "--out", "table"]):
        result = zoo.run("explain", "a.png", "--weights", "a.zoo", *where)
        assert result.exit_code == 2
        assert "--weights a.zoo needs the model that it is for: add --model library/name" in result.stderr
    assert not Path("table").exists()


def test_messages_name_options(zoo: Workshop) -> None:
    for typed, said in (
        (
            ["net.py"],
            "Error: --model net.py: name the function in it that builds the model, such as --model net.py:build",
        ),
        (["net:build", "--weights", "a.ark"], "Error: --weights a.ark: no such file (in "),
        (
            ["net:build", "--device", "moon"],
            "Error: --device moon: a net.Colours has no .to(device); place the model in ",
        ),
    ):
        result = zoo.run("explain", draw(Path("a.png")), "--model", *typed, "--logger", "notes")
        assert result.exit_code == 2
        assert said in result.stderr


def test_listing(zoo: Workshop) -> None:
    assert zoo.run("models").stdout.splitlines() == ["zoo/lion", "zoo/lioness", "zoo/Gnu", "zoo/ox"]
    assert zoo.run("models", "LION").stdout.splitlines() == ["zoo/lion", "zoo/lioness"]
    assert zoo.run("models", "zoo/*n*s").stdout.splitlines() == ["zoo/lioness"]
    assert zoo.run("models", "gnu", "--json").stdout.split() == ["[", '"zoo/Gnu"', "]"]
    result = zoo.run("models", "lyon")
    assert result.exit_code == 2
    assert "none of 4 names has 'lyon' in it; did you mean 'lion'?" in result.stderr
    sys.modules["zoo_plugin"].LACKING = True
    result = zoo.run("models")
    assert "zoo/...: zoo lacks its animals: pip install animals\n" in result.stderr
    assert "no names: of zoo, none is installed, or has a model here" in result.stderr
    zoo.monkeypatch.setattr("xaicore.cli.models.is_installed", lambda package: False)
    assert "zoo/... needs net: pip install zoo\n" in zoo.run("models").stderr
