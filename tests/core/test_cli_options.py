"""Options for what a model does not show: each piece of advice that a message gives can be typed, and works."""

from __future__ import annotations

import json
import re
import shlex
import warnings
from pathlib import Path

import numpy as np
import pytest
from workshop import Workshop, draw

import xaicore
from xaicore.cli.options import OPTIONS, in_options, message

BACKEND = '''
import numpy as np
import xaicore
from xaicore.outputs import choose_output

GRID = (2, 4)

def facts(name, shape, kind=None, axis=None, **more):
    reached = {i: [True] * n for i, n in enumerate(shape)}
    return xaicore.LayerFacts(name, "Layer", shape, kind, axis, reached=reached, **more)

class TokenBackend(xaicore.Backend):
    """Patches of 5 x 5 pixels, a class token before them, and logits that are 8 times the patches' mean."""

    def __init__(self, model, output):
        self.model, self.output = model, output

    def layers(self, x):
        return xaicore.layers.listing(self.observe(x))

    def observe(self, x):
        if self.model.kind == "shapeless":
            return xaicore.Facts((), (xaicore.InputFacts(x.shape[:1] + (200, 2, 2, 2, 2), (1, 3, 10, 20), 1),))
        took = (True,) if self.model.kind != "flips" else (False, False)
        inputs = (xaicore.InputFacts((1, *x.shape[1:]), (1, *x.shape[1:]), 1, took),)
        twice = 2 if self.model.kind == "flips" else 1
        layers = (
            facts("embed", (1, 3, *GRID), "convolution", 1, takes=(0,), runs=twice),
            facts("opaque", (1, 9, 3)),
            facts("heads", (1, 9, 1, 3)),
            facts("odd", (1, 30, 3), "norm", 2),
            facts("strange", (1, 5, 7, 3), "norm", 3),
            facts("norm", (1, 9, 3), "norm", 2, runs=twice),
        )
        return xaicore.Facts(layers, inputs)

    def layer_name(self, name):
        if name not in ("embed", "opaque", "heads", "odd", "strange", "norm"):
            raise xaicore.layers.unknown_layer(name, ["embed", "norm"], "Tokens")
        return name

    def capture(self, x, layers, direction=None):
        n, c, h, w = x.shape
        patches = x.reshape(n, c, GRID[0], h // GRID[0], GRID[1], w // GRID[1]).mean(axis=(3, 5))
        tokens = np.concatenate([np.zeros((n, c, 1)), patches.reshape(n, c, -1)], 2).transpose(0, 2, 1)
        tokens = tokens.astype(np.float32)
        every = {
            "embed": patches,
            "opaque": tokens,
            "heads": tokens[:, :, None],
            "odd": np.repeat(tokens[:, 1:7], 5, 1),
            "strange": np.broadcast_to(tokens[:, 1, None, None], (n, 5, 7, c)),
            "norm": tokens,
        }
        logits = 8 * patches.mean(axis=(2, 3))
        if self.model.kind == "dense":
            return xaicore.Capture(patches, "logits", {}, x.shape[2:])
        answers = {"logits": logits, "age": logits.mean(axis=1, keepdims=True)}
        outputs = choose_output(answers if self.model.kind == "two outputs" else {0: logits}, self.output, None)
        arrays = {name: every[name.partition("#")[0]].astype(np.float32) for name in layers}
        gradients = {}
        if direction is not None:
            d = direction(outputs, "logits")
            d = np.broadcast_to(d / 3, (*d.shape[:2], 3)) if outputs.shape[1] == 1 else d
            per = (d / np.prod(GRID)).astype(np.float32)  # (N, K, C)
            of_tokens = np.broadcast_to(per[:, :, None], (*per.shape[:2], 9, 3))
            shapes = {
                "embed": np.broadcast_to(per[..., None, None], (*per.shape, *GRID)),
                "opaque": of_tokens,
                "heads": of_tokens[:, :, :, None],
                "odd": np.repeat(of_tokens[:, :, 1:7], 5, 2),
                "strange": np.broadcast_to(per[:, :, None, None], (*per.shape[:2], 5, 7, c)),
                "norm": of_tokens,
            }
            gradients = {name: shapes[name.partition("#")[0]] for name in layers}
        return xaicore.Capture(outputs, "logits", arrays, x.shape[2:], gradients)

@xaicore.hookimpl
def xaicore_backend(model, output):
    return TokenBackend(model, output) if hasattr(model, "kind") else None
'''

NET = """
from net import preprocess
class Tokens:
    def __init__(self, kind): self.kind = kind
plain, flips, two = Tokens("plain"), Tokens("flips"), Tokens("two outputs")
shapeless, dense = Tokens("shapeless"), Tokens("dense")
"""


@pytest.fixture
def tokens(shop: Workshop) -> Workshop:
    """A shop with a model of tokens, whose backend reports facts."""
    (shop.site / "tokens_backend.py").write_text(BACKEND)
    shop.distribution("tokens", "1", {"xaicore.backends": {"tokens": "tokens_backend"}})
    shop.module("seen", NET)
    draw(Path("a.png"))
    return shop


def explain(tokens: Workshop, *arguments: str, model: str = "seen:plain") -> tuple[int, str]:
    result = tokens.run("explain", "a.png", "--model", model, "--logger", "notes", *arguments)
    return result.exit_code, result.stderr


def advice(printed: str) -> list[str]:
    """The options that a message tells to type."""
    found = re.findall(r"--[a-z-]+ (?:'[^']+'|[\w.]+(?:x\d+)*)", printed)
    assert found, printed
    return shlex.split(found[-1])


def test_tokens_are_explained_without_options(tokens: Workshop) -> None:
    assert explain(tokens)[0] == 0
    assert "gradcam at norm" in tokens.run("explain", "a.png", "--model", "seen:plain", "--logger", "notes").stdout


@pytest.mark.parametrize(
    ("model", "typed", "said"),
    [
        ("plain", ["--layer", "opaque"], "nothing says which axis has its channels: say so, such as --axes nlc"),
        ("plain", ["--layer", "heads"], "nothing says which axis has its channels: say so, such as --axes nchw"),
        ("plain", ["--layer", "odd"], "say on which grid they lie, such as --grid 3x6"),
        ("plain", ["--layer", "odd", "--axes", "nlc"], "say on which grid they lie, such as --grid 3x6"),
        ("plain", ["--layer", "strange"], "if they lie over it nevertheless, pass --axes nhwc, or name another layer"),
        ("plain", ["--layer", "norn"], "no layer called 'norn'"),
        ("flips", [], "Say which run: --layer 'norm#1'"),
        ("two", [], "say which one, --output logits"),
        ("two", ["--output", "2"], "--output 2 is none of the model's outputs"),
        ("two", ["--output", "age", "--activation", "softmax", "--target", "1"], "--activation softmax makes a single"),
        ("plain", ["--axes", "nope"], "--axes nope: expected a letter per axis, such as 'nchw'"),
        ("plain", ["--input-axes", "nhw"], "--input-axes nhw for inputs (1, 3, 10, 20): expected a letter per axis"),
        ("plain", ["--grid", "5x5"], "9 tokens do not hold --grid 5x5; expected 2 numbers"),
        ("plain", ["--layer", "norm", "--axes", "nchw"], "which --axes nchw does not describe: expected 3 letters"),
    ],
)
def test_messages_name_options(tokens: Workshop, model: str, typed: list[str], said: str) -> None:
    status, printed = explain(tokens, *typed, model=f"seen:{model}")
    assert status == 2, printed
    assert said in printed
    assert not re.search(r"\b(layer|axes|grid|input_axes|output|kind|activation)=", printed)


@pytest.mark.parametrize(
    ("model", "typed"),
    [
        ("plain", ["--layer", "opaque"]),
        ("plain", ["--layer", "heads"]),
        ("plain", ["--layer", "odd"]),
        ("plain", ["--layer", "strange"]),
        ("plain", ["--layer", "odd", "--axes", "nlc"]),
        ("flips", []),
        ("two", []),
    ],
)
def test_what_a_message_tells_to_type_works(tokens: Workshop, model: str, typed: list[str]) -> None:
    """One step of advice is enough; an option that is there already is replaced."""
    status, printed = explain(tokens, *typed, model=f"seen:{model}")
    assert status
    status, printed = explain(tokens, *typed, *advice(printed), model=f"seen:{model}")
    assert status == 0, printed


def test_stated_axes_and_grids_reach_the_explainer(tokens: Workshop) -> None:
    """A layer that says nothing of itself has the map of the norm, which says it."""
    for layer, options in (("norm", []), ("opaque", ["--axes", "nlc"]), ("opaque", ["--axes", "nlc", "--grid", "2x4"])):
        assert explain(tokens, "--layer", layer, *options)[0] == 0
    first, second, third = tokens.logged()
    assert first["mean"] == second["mean"] == third["mean"] > 0
    config = tokens.notes()[-3]["config"]
    assert {name: config[name] for name in ("kind", "axes", "grid", "input_axes")} == {
        "kind": None,
        "axes": "nlc",
        "grid": [2, 4],
        "input_axes": None,
    }


def test_kind(tokens: Workshop) -> None:
    for kind in ("values", "logits"):
        assert explain(tokens, "--kind", kind, "--output", "age", "--target", "0", model="seen:two")[0] == 0
    value, logit = tokens.logged()
    assert value["score"] == pytest.approx(8 * 8 * 6 / 200 / 3, abs=1e-6)  # the value itself
    assert logit["score"] == pytest.approx(1 - 1 / (1 + np.exp(-value["score"])), abs=1e-6)  # class 0


def test_layers_shows_grids_as_they_are_read(tokens: Workshop) -> None:
    result = tokens.run("layers", "a.png", "--model", "seen:plain", "--json")
    listing = json.loads(result.stdout)
    grids = {row["name"]: (row["shape"], row["axes"], row["size"], row["prefix"]) for row in listing["layers"]}
    assert grids == {
        "embed": ([1, 3, 2, 4], "nchw", [2, 4], 0),
        "opaque": ([1, 9, 3], None, None, None),
        "heads": ([1, 9, 1, 3], None, None, None),
        "odd": ([1, 30, 3], None, None, None),
        "strange": ([1, 5, 7, 3], None, None, None),
        "norm": ([1, 9, 3], "nlc", [2, 4], 1),
    }
    assert (listing["default"], listing["error"]) == ("norm", None)
    assert listing["outputs"] == {"shape": [1, 3], "kind": "logits", "link": None}


@pytest.mark.parametrize(
    ("typed", "chosen", "last"),
    [
        ([], "norm", "without --layer, explain chooses norm"),
        (["--layer", "opaque", "--axes", "nlc"], "opaque", "explain chooses opaque"),
        (["--layer", "odd", "--grid", "5x6"], "odd", "explain chooses odd"),
        (["--layer", "odd"], None, "such as --grid 3x6, or name another layer"),
        (["--layer", "nor"], None, "no layer called 'nor' in Tokens; nearest names: norm"),
    ],
)
def test_layers_marks_the_one_to_explain_or_says_why_there_is_none(
    tokens: Workshop, typed: list[str], chosen: str | None, last: str
) -> None:
    result = tokens.run("layers", "a.png", "--model", "seen:plain", *typed)
    assert result.exit_code == 0
    marked = [line.split()[1] for line in result.stdout.splitlines() if "->" in line]
    assert marked == ([] if chosen is None else [chosen])
    first, *others = result.stderr.splitlines()
    assert last in first
    assert others == ["input 0 (1, 3, 10, 20) is read as nchw, 10 x 20", "outputs (1, 3) are logits"]


def test_layers_chooses_none_for_a_score_per_position(tokens: Workshop) -> None:
    result = tokens.run("layers", "a.png", "--model", "seen:dense")
    assert "->" not in result.stdout
    assert result.stderr.startswith("outputs (1, 3, 2, 4) are a score per position")
    assert "->" in tokens.run("layers", "a.png", "--model", "seen:dense", "--layer", "norm").stdout


@pytest.mark.parametrize("typed", [["--axes", "nchw"], ["--grid", "2x2"], ["--input-axes", "nchw"]])
@pytest.mark.parametrize("command", ["explain", "layers"])
def test_notation_for_a_backend_without_facts_is_refused(tokens: Workshop, command: str, typed: list[str]) -> None:
    result = tokens.run(command, "a.png", "--model", "net:build", *typed)
    assert result.exit_code == 2
    assert f"{' '.join(typed)}: backend 'colours' reports no facts" in result.stderr


def test_layers_takes_the_kind(tokens: Workshop) -> None:
    for typed, kind in ([], "values"), (["--kind", "logits"], "logits"):
        result = tokens.run("layers", "a.png", "--model", "seen:two", "--output", "age", *typed)
        assert result.stderr.splitlines()[-1] == f"outputs (1, 1) are {kind}"


def test_inputs_that_nothing_describes(tokens: Workshop) -> None:
    status, printed = explain(tokens, model="seen:shapeless")
    assert status == 2
    assert "Explain a model that convolves all frames or views as one batch, reshaped to" in printed


@pytest.mark.parametrize("value", ["14x", "x14", "0x3", "14 x 14", "axb", "14,14"])
def test_grids_of_another_form(tokens: Workshop, value: str) -> None:
    status, printed = explain(tokens, "--grid", value)
    assert status == 2
    assert f"'{value}': expected positions joined by x, such as 14x14" in printed


# Words.


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("say so, such as axes='nlc', or name", "say so, such as --axes nlc, or name"),
        ("grid=(14, 14)", "--grid 14x14"),
        ("grid=(7,)", "--grid 7"),
        ("say on which grid they lie: grid=(h, w)", "say on which grid they lie: --grid HxW"),
        ("without smooth= and augment=", "without --smooth and --augment"),
        ("name it by layer=, or by output=.", "name it by --layer, or by --output."),
        ("layer='conv#*' for a map", "--layer 'conv#*' for a map"),
        ("layer='a b'", "--layer 'a b'"),
        ("output=1", "--output 1"),
        ("input_axes='nhwc'", "--input-axes nhwc"),
        ("Name one: layer=...", "Name one: --layer ..."),
        ("use method='gradcam'", "use --method gradcam"),
        ("activation=None", "no --activation"),
        ("'layer=1' my_layer=1 --layer=1 x.layer=1", "'layer=1' my_layer=1 --layer=1 x.layer=1"),
        ("sum(axes)", "sum(axes)"),
        ("workers=2 says it, too: leave shard_size out", "--workers 2 says it, too: leave --shard-size out"),
        ("compile=True is for one output: leave compile out", "--compile is for one output: leave --compile out"),
    ],
)
def test_arguments_as_options(written: str, typed: str) -> None:
    assert in_options(written) == typed


def test_what_the_model_raised_stays_as_it_is() -> None:
    own = TypeError("sum() has no axes='nlc'")
    error = xaicore.BackendError(f"layer='conv': the model raised TypeError: {own}; pass output=0")
    error.__cause__ = own
    assert message(error) == "--layer conv: the model raised TypeError: sum() has no axes='nlc'; pass --output 0"


def test_warnings_name_options_too(tokens: Workshop) -> None:
    tokens.module("warns", NET + "import warnings\ndef build(): warnings.warn('pass kind=\"values\"'); return plain\n")
    with warnings.catch_warnings():
        assert "warning: pass --kind values" in explain(tokens, model="warns:build")[1]


def test_every_option_exists(tokens: Workshop) -> None:
    printed = tokens.run("explain", "--help").stdout
    assert all(option in printed for option in OPTIONS.values())
    assert all(f"--{name}" in tokens.run("layers", "--help").stdout for name in ("kind", "axes", "grid", "input-axes"))
