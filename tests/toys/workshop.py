"""A place for tests of the command line: pictures, a model in a module, and plugins installed as a stranger's are.

The model is a net of colours: its only map is the picture itself, one channel a class (red, green, blue), and
logit c is 8 times the mean of channel c. So the gradient is 8 / (H W) everywhere, Grad-CAM's map is the channel
of the class, and the box of a coloured patch is the patch.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click.testing
import cv2
import numpy as np
import pytest

from xaicore import plugins
from xaicore.cli import main

CLASSES = ("red", "green", "blue")
GAIN = 8

MODULE = '''
import numpy as np

class Colours:
    """What the plugin `colours` takes for a model."""
    device = "nowhere"

class Movable(Colours):
    def to(self, device):
        if device == "moon":
            raise RuntimeError("no such place")
        self.device = device
        return self

def build():
    return Colours()

def movable():
    return Movable()

def preprocess(picture):
    return np.float32(picture.transpose(2, 0, 1)) / 255, picture

def only_x(picture):
    return preprocess(picture)[0]
'''

PLUGIN = '''
import json, os
import numpy as np
import xaicore

class ColourBackend(xaicore.Backend):
    def __init__(self, model, output):
        self.model, self.output = model, output

    def layers(self, x):
        n, c, h, w = x.shape
        return [
            xaicore.Layer("input", "Scale", (n, c, h, w), True),
            xaicore.Layer("colour", "Conv", (n, c, h, w), True),
            xaicore.Layer("mean", "Pool", (n, c, 1, 1), False, True),
        ]

    def capture(self, x, layers, direction=None):
        x = np.asarray(x, np.float32)
        if x.shape[1] != 3:
            raise xaicore.BackendError(f"the model raised ValueError for inputs {x.shape}: three channels, please")
        if (x > 0.99).all(axis=(1, 2, 3)).any():  # a white picture is more than this backend can bear
            raise RuntimeError("too bright")
        for name in layers:
            if name not in ("input", "colour"):
                raise xaicore.LayerError(f"no layer called {name!r}; did you mean 'colour'?")
        outputs = xaicore.outputs.choose_output({0: 8 * x.mean(axis=(2, 3))}, self.output, x)
        gradients = {}
        if direction is not None:
            d = direction(outputs, "logits") * 8 / (x.shape[2] * x.shape[3])
            gradients = {
                name: np.broadcast_to(d[..., None, None], (*d.shape, *x.shape[2:])).astype(np.float32)
                for name in layers
            }
        return xaicore.Capture(outputs, "logits", dict.fromkeys(layers, x), x.shape[2:], gradients)

@xaicore.hookimpl
def xaicore_backend(model, output):
    return ColourBackend(model, output) if hasattr(model, "device") else None

class Notes(xaicore.Logger):
    """Writes down what it is told, into notes.jsonl; the frail one breaks at the second thing."""

    def __init__(self, frail):
        self.frail, self.count = frail, 0

    def _note(self, **said):
        with open("notes.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\\n")

    def open(self, run):
        self._note(open=run.name, config=dict(run.config))

    def log(self, explanation, step=None):
        self.count += 1
        if self.frail and self.count > 1:
            raise OSError("the pencil broke")
        for m in range(len(explanation)):
            self._note(**explanation.row(m), mean=float(explanation.maps[m].mean()))

    def close(self):
        self._note(closed=True)
'''

LOGGER_HOOK = """
@xaicore.hookimpl
def xaicore_logger(options):
    return Notes(frail={frail})
"""


class Workshop:
    """A working directory with `net.py`, and the distribution `colours 1.2` on the import path."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site, self.here = tmp_path / "site", tmp_path / "here"
        self.monkeypatch = monkeypatch
        self.here.mkdir()
        self.site.mkdir()
        self.module("net", MODULE)
        (self.site / "colours_backend.py").write_text(PLUGIN)
        for name, frail in (("notes", False), ("frail", True)):
            source = f"from colours_backend import Notes\nimport xaicore\n{LOGGER_HOOK.format(frail=frail)}"
            (self.site / f"colours_{name}.py").write_text(source)
        self.distribution(
            "colours",
            "1.2",
            {
                "xaicore.backends": {"colours": "colours_backend"},
                "xaicore.loggers": {"notes": "colours_notes", "frail": "colours_frail"},
            },
        )
        monkeypatch.chdir(self.here)
        monkeypatch.syspath_prepend(self.site)
        for variable in ("XAICORE_PLUGINS", "XAICORE_DEBUG", "FORCE_COLOR", "TTY_COMPATIBLE"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("XAICORE_CONFIG", str(tmp_path / "settings"))
        for module in ("colours_backend", "colours_notes", "colours_frail"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        plugins.installed.cache_clear()

    def close(self) -> None:
        plugins.installed.cache_clear()

    def module(self, name: str, source: str) -> None:
        """Write an importable module, and forget an older one of this name."""
        (self.here / f"{name}.py").write_text(source, encoding="utf-8")
        self.monkeypatch.delitem(sys.modules, name, raising=False)

    def distribution(
        self, name: str, version: str, groups: dict[str, dict[str, str]], requires: Sequence[str] = (), extra: str = ""
    ) -> None:
        """Install metadata, as pip would leave it."""
        folder = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        metadata += [f"Provides-Extra: {extra}"] * bool(extra) + [f"Requires-Dist: {line}" for line in requires]
        (folder / "METADATA").write_text("\n".join(metadata) + "\n")
        lines = [
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
            for group, points in groups.items()
        ]
        (folder / "entry_points.txt").write_text("\n".join(lines))
        plugins.installed.cache_clear()

    def run(self, *arguments: object) -> click.testing.Result:
        """The command line, in this process."""
        result = click.testing.CliRunner().invoke(main, [str(argument) for argument in arguments])
        unexpected = result.exception
        if unexpected is not None and not isinstance(unexpected, SystemExit):
            raise unexpected
        return result

    def explain(self, *arguments: object, logger: str | None = "notes") -> click.testing.Result:
        """`xaicore explain` with the model of this place."""
        sink = ["--logger", logger] if logger else []
        return self.run("explain", *arguments, "--model", "net:build", *sink)

    def notes(self) -> list[dict]:
        """What the loggers `notes` and `frail` wrote down."""
        file = self.here / "notes.jsonl"
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []

    def logged(self) -> list[dict]:
        """The rows among the notes."""
        return [note for note in self.notes() if "id" in note]


def draw(path: Path, colour: str = "red", patch: tuple[int, int, int, int] = (4, 2, 12, 8)) -> Path:
    """A black picture, 20 wide and 10 high, with a patch x0, y0, x1, y1 in a colour; the suffix says the format."""
    picture = np.zeros((10, 20, 3), np.uint8)
    x0, y0, x1, y1 = patch
    picture[y0:y1, x0:x1, CLASSES.index(colour)] = 255
    return write(path, picture)


def write(path: Path, picture: np.ndarray) -> Path:
    """An RGB picture as a file; any name will do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(path.suffix, picture[..., ::-1])
    path.write_bytes(data.tobytes())
    return path


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    """One for a test."""
    place = Workshop(tmp_path, monkeypatch)
    yield place
    place.close()


def score(area: float, others: int = 2) -> float:
    """The probability of a class whose patch covers this share of the picture, the other classes being absent."""
    return float(np.exp(GAIN * area) / (np.exp(GAIN * area) + others))


def read_table(printed: str) -> list[dict[str, str]]:
    """The rows of a printed table, by heading: cells stand below the start of their heading."""
    lines = printed.splitlines()
    rule = next(i for i, line in enumerate(lines) if set(line.strip()) in ({"─"}, {"-"}))
    starts = [(match.start(), match.group()) for match in re.finditer(r"\S+(?: \S+)*", lines[rule - 1])]
    ends = [start for start, _ in starts[1:]] + [None]
    rows = []
    for line in lines[rule + 1 :]:
        if not line.strip():
            break
        rows.append({name: line[start:end].strip() for (start, name), end in zip(starts, ends, strict=True)})
    return rows
