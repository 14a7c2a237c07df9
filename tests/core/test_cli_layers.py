"""`xaicore layers`: the layers, and the one that would be taken."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from workshop import Workshop, draw, read_table


def test_table_of_a_picture(shop: Workshop) -> None:
    draw(Path("a.png"))
    result = shop.run("layers", "a.png", "--model", "net:build")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()[3:-1]]
    assert rows == [
        ["input", "Scale", "1", "x", "3", "x", "10", "x", "20", "nchw", "10", "x", "20"],
        ["->", "colour", "Conv", "1", "x", "3", "x", "10", "x", "20", "nchw", "10", "x", "20"],
        ["mean", "Pool", "1", "x", "3", "x", "1", "x", "1", "yes"],
    ]
    assert [row["pooled"] for row in read_table(result.stdout)] == ["", "", "yes"]
    assert result.stderr == "without --layer, explain chooses colour\noutputs (1, 3) are logits\n"


def test_json_of_the_built_in_picture(shop: Workshop) -> None:
    result = shop.run("layers", "--model", "net:build", "--json")
    picture = {"axes": "nchw", "size": [480, 320], "prefix": 0, "suffix": 0}
    nothing = dict.fromkeys(picture)
    assert json.loads(result.stdout) == {
        "default": "colour",
        "error": None,
        "layers": [
            {"name": "input", "type": "Scale", "shape": [1, 3, 480, 320], "spatial": True, "pooled": False, **picture},
            {"name": "colour", "type": "Conv", "shape": [1, 3, 480, 320], "spatial": True, "pooled": False, **picture},
            {"name": "mean", "type": "Pool", "shape": [1, 3, 1, 1], "spatial": False, "pooled": True, **nothing},
        ],
        "outputs": {"shape": [1, 3], "kind": "logits", "link": None},
    }


def test_a_model_without_a_map_says_why(shop: Workshop) -> None:
    shop.module(
        "tiny",
        "import net\nbuild = net.build\ndef preprocess(picture): return net.only_x(picture)[:, :1, :1]\n",
    )
    (shop.site / "colours_backend.py").write_text(
        (shop.site / "colours_backend.py").read_text().replace("(n, c, h, w), True", "(n, c, h, w), h * w > 1")
    )
    shop.monkeypatch.delitem(sys.modules, "colours_backend", raising=False)
    result = shop.run("layers", "--model", "tiny:build")
    assert result.exit_code == 0
    assert "->" not in result.stdout
    assert result.stderr.startswith("no layer gives a map of the picture; the last ones: input (1, 3, 1, 1), colour")
    as_json = json.loads(shop.run("layers", "--model", "tiny:build", "--json").stdout)
    assert as_json["default"] is None
    assert as_json["error"].startswith("no layer gives a map of the picture")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "net:bild"], "--model net:bild: net has no 'bild'; did you mean 'build'?"),
        (["gone.png", "--model", "net:build"], "gone.png cannot be read: No such file or directory"),
        (["--model", "json:loads"], "--model json:loads: building the model raised TypeError"),
        (["--model", "net:np.pi"], "no backend accepts builtins.float (bases from: none); tried colours: declined"),
    ],
)
def test_errors(shop: Workshop, arguments: list[str], message: str) -> None:
    result = shop.run("layers", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {message}")
