"""`xaicore methods`: all methods; with a model, those that fit it, and why the others do not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from toynet import ToyBackend
from workshop import Workshop, draw, read_table

import xaicore
from xaicore import METHODS
from xaicore.cli.options import in_options

OF_POWERS = {
    "ablationcam": "resume",
    "reciprocam": "resume",
    "shapleycam": "second",
    "gradient": "input_gradients",
    "guided": "guided",
    "deconv": "deconv",
    "guided-gradcam": "guided",
    "fullgrad": "input_gradients",
    "rollout": "attention",
    "legrad": "attention_gradients",
}
FRAME = "def frame(activations, gradients, *, width=2):\n    '''A frame.\n\n    More.\n    '''\n    return {result}\n"


def install(shop: Workshop, source: str) -> None:
    """A method plugin called `frame`."""
    (shop.site / "framing.py").write_text(source)
    shop.monkeypatch.delitem(sys.modules, "framing", raising=False)
    shop.distribution("framing", "1.0", {"xaicore.methods": {"frame": "framing:frame"}})


def verdicts(shop: Workshop, *arguments: str) -> dict[str, str | None]:
    rows = json.loads(shop.run("methods", *arguments, "--model", "net:build", "--json").stdout)
    assert all(row["fits"] == (row["reason"] is None) for row in rows)
    return {row["name"]: row["reason"] for row in rows}


def test_all_methods_are_listed_without_a_model(shop: Workshop) -> None:
    install(shop, FRAME.format(result="activations"))
    result = shop.run("methods")
    assert result.exit_code == 0
    rows = {row["name"]: row for row in read_table(result.stdout)}
    assert list(rows) == [*METHODS, "frame"]
    assert rows["frame"] == {
        "name": "frame",
        "needs": "gradients",
        "options": "width=2",
        "cost": "1",
        "computes": "A frame.",
    }
    assert rows["scorecam"]["cost"] == "1 + C"
    assert rows["shapleycam"]["needs"] == "activations, gradients, second"
    assert rows["rise"]["options"] == "masks=4000, grid=7, p=0.5, seed=0"
    assert "Selvaraju" in rows["gradcam"]["computes"]
    as_json = {row["name"]: row for row in json.loads(shop.run("methods", "--json").stdout)}
    assert as_json["rise"]["options"] == {"masks": 4000, "grid": 7, "p": 0.5, "seed": 0}
    assert as_json["frame"]["needs"] == ["gradients"]


def test_a_broken_plugin_is_a_row_with_its_error(shop: Workshop) -> None:
    install(shop, "raise RuntimeError('no frame today')")
    row = read_table(shop.run("methods").stdout)[-1]
    assert row["name"] == "frame"
    assert "no frame today" in row["computes"]
    assert "no frame today" in str(verdicts(shop)["frame"])


def test_what_fits_a_model(shop: Workshop) -> None:
    draw(Path("a.png"))
    found = verdicts(shop, "a.png")
    assert list(found) == list(METHODS)
    for name, need in OF_POWERS.items():
        assert found[name] == f"it needs '{need}', which backend 'colours' does not offer"
    assert str(found["cam"]).startswith("backend 'colours' does not offer the classifier's weights")
    assert str(found["refinecam"]).endswith("name two or more, one per resolution, with --layer ...")
    fitting = {name for name, reason in found.items() if reason is None}
    assert {"gradcam", "eigencam", "finercam", "smoothgradcam++", "scorecam", "iscam", "rise"} <= fitting
    table = read_table(shop.run("methods", "a.png", "--model", "net:build").stdout)
    assert {row["name"]: row["fits"] for row in table} == {
        name: "yes" if reason is None else f"no: {reason}" for name, reason in found.items()
    }


def test_layers_are_those_of_explain(shop: Workshop) -> None:
    draw(Path("a.png"))
    assert verdicts(shop, "a.png", "--layer", "input", "--layer", "colour")["refinecam"] is None
    found = verdicts(shop, "a.png", "--layer", "color")
    assert found["gradcam"] == "no layer called 'color'; did you mean 'colour'?"
    assert found["rise"] is None


def test_a_method_whose_maps_have_a_wrong_shape_does_not_fit(shop: Workshop) -> None:
    draw(Path("a.png"))
    install(shop, FRAME.format(result="activations[:, :, :1]"))
    assert "frame" in str(verdicts(shop, "a.png")["frame"])
    install_error = FRAME.format(result="1 / 0")
    (shop.site / "framing.py").write_text(install_error)
    shop.monkeypatch.delitem(sys.modules, "framing", raising=False)
    xaicore.plugins.installed.cache_clear()
    with pytest.raises(ZeroDivisionError):  # a mistake of the plugin, not a reason
        shop.run("methods", "a.png", "--model", "net:build")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png"], "a picture, and options of a model, need the model: add --model NAME"),
        (["--axes", "nchw"], "a picture, and options of a model, need the model: add --model NAME"),
        (["--model", "net:bild"], "--model net:bild: net has no 'bild'; did you mean 'build'?"),
        (["gone.png", "--model", "net:build"], "gone.png cannot be read: No such file or directory"),
        (["--model", "net:build", "--output", "7"], "--output 7 is none of the model's outputs: 0 (1, 3)"),
    ],
)
def test_errors(shop: Workshop, arguments: list[str], message: str) -> None:
    result = shop.run("methods", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_method_of_many_passes_stops_after_the_first(backend: ToyBackend, x: np.ndarray) -> None:
    found = xaicore.fitting_methods(None, x[:1], backend=backend)
    assert {found[name] for name in ("gradcam", "rise", "scorecam", "ablationcam", "reciprocam")} == {None}
    assert len(backend.calls) < 80  # rise alone takes 4000


def test_what_stops_all_methods_is_raised(backend: ToyBackend, x: np.ndarray) -> None:
    broken = x[:1].copy()
    broken[:] = np.nan
    with pytest.raises(xaicore.BackendError, match="NaN"):
        xaicore.fitting_methods(None, broken, backend=backend)


def test_explain_takes_options_of_methods(shop: Workshop) -> None:
    draw(Path("a.png"))
    typed = ["gradcam", "rise(masks=3, grid=4)", "rise (masks=3,grid=5)", "rise(masks=3, grid=4)", "eigencam()"]
    result = shop.explain("a.png", *(word for one in typed for word in ("--method", one)))
    assert result.exit_code == 0
    names = ["gradcam", "rise (masks=3, grid=4)", "rise (masks=3, grid=5)", "eigencam"]
    assert [row["method"] for row in shop.logged()] == names
    chosen = [xaicore.method("rise", masks=3, grid=grid) for grid in (4, 5)]
    picture = np.zeros((1, 3, 10, 20), np.float32)
    picture[0, 0, 2:8, 4:12] = 1
    explainer = xaicore.Explainer(sys.modules["net"].build())
    expected = [one.maps.mean() for one in explainer.compare(picture, chosen).values()]
    assert [row["mean"] for row in shop.logged()[1:3]] == pytest.approx(expected)
    assert expected[0] != pytest.approx(expected[1])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("rise(masks)", "--method 'rise(masks)': expected options as in --method \"rise(masks=2000, p=0.3)\"; values"),
        ("rise(masks=many)", "--method 'rise(masks=many)': expected options as in"),
        ("rise(**{})", "--method 'rise(**{})': expected options as in"),
        ("rise(masks=1, masks=2)", "--method 'rise(masks=1, masks=2)': expected options as in"),
        ("rise(p=1) + f(p=1)", "--method 'rise(p=1) + f(p=1)': expected options as in"),
        ("rise(mask=3)", "method 'rise' has no option 'mask'; it has masks=4000, grid=7, p=0.5, seed=0; did you mean"),
        ("rice(masks=3)", "no method called 'rice'; known: cam, "),
    ],
)
def test_errors_of_typed_options(shop: Workshop, typed: str, message: str) -> None:
    draw(Path("a.png"))
    result = shop.explain("a.png", "--method", typed)
    assert result.exit_code == 2
    assert message in result.stderr


def test_methods_in_messages_can_be_typed() -> None:
    advice = "Read only the later ones, such as xaicore.method('legrad', blocks=2), with grid=(4, 4)"
    assert in_options(advice) == 'Read only the later ones, such as --method "legrad(blocks=2)", with --grid 4x4'


def test_a_narrow_terminal_has_two_columns(monkeypatch: pytest.MonkeyPatch, shop: Workshop) -> None:
    def narrow(stderr: bool = False) -> Console:
        return Console(stderr=stderr, width=80, markup=False, emoji=False, highlight=False)

    monkeypatch.setattr("xaicore.cli.methods.console", narrow)
    lines = [line.rstrip() for line in shop.run("methods").stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    first = next(i for i, line in enumerate(lines) if line.startswith(" scorecam "))
    assert lines[first].split("  ")[-1] == "Score-CAM (Wang et al. 2020): w = softmax_c f(x H_c)."
    assert lines[first + 1].strip() == "One pass per channel."
    assert lines[first + 2].strip() == "cost 1 + C; needs activations, inputs; options"
    assert lines[first + 3].strip() == "channels=None"
