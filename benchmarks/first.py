"""The first minute's machine time: `xaicore explain` of one picture, relative to a script that only runs the model.

`python -m benchmarks.first [torch tensorflow jax ...]`. Both are whole processes, in processor time (user and system),
the least of ROUNDS: import the framework, build the network, run one forward pass; and `xaicore explain` of the same
network, which also finds the layer, explains, and writes the run's folder. Weights are random.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

ROUNDS = 3

_NET = """
from torch import nn

def build():
    blocks = [nn.Conv2d(3, 64, 7, 4, 3), nn.ReLU()]
    for _ in range(20):
        blocks += [nn.Conv2d(64, 64, 3, 1, 1), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1000)).eval()
"""
_TORCH = """
import net, torch
with torch.inference_mode():
    net.build()(torch.zeros(1, 3, 224, 224))
"""
_KERAS = """
import keras, numpy
model = keras.applications.MobileNetV2(weights=None)
model.predict(numpy.zeros((1, 224, 224, 3), "float32"), verbose=0)
"""
_BY_NAME = ["keras/MobileNetV2", "--weights", "none"]
SUBJECTS: dict[str, tuple[str, Sequence[str], Mapping[str, str]]] = {
    "torch": (_TORCH, ["net:build", "--preprocess", "imagenet"], {}),
    "tensorflow": (_KERAS, _BY_NAME, {"KERAS_BACKEND": "tensorflow"}),
    "jax": (_KERAS, _BY_NAME, {"KERAS_BACKEND": "jax"}),
}
"""{framework: (script of the forward pass, --model and its options for the same network, environment)}."""


def main(names: Sequence[str]) -> None:
    print("| framework | import, build, one pass: s | xaicore explain: s | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder, "picture.png")
        cv2.imwrite(str(picture), np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8))
        Path(folder, "net.py").write_text(_NET)
        paths = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
        for name in names or SUBJECTS:
            script, model, environment = SUBJECTS[name]
            environment = {**environment, "PYTHONPATH": paths}
            bare = [sys.executable, "-c", script]
            asked = ["explain", str(picture), "--model", *model, "--out", str(Path(folder, name))]
            explain = [sys.executable, "-m", "xaicore", *asked]
            pairs = [(_processor_time(bare, environment), _processor_time(explain, environment)) for _ in range(ROUNDS)]
            least, own = map(min, zip(*pairs, strict=True))
            print(f"| {name} | {least:.2f} | {own:.2f} | {own / least:.2f} |", flush=True)


def _processor_time(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """The processor time of a process and of its children, in seconds.

    Raises:
        SystemExit: the process failed; with what it printed.
    """
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=printed, stderr=printed)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            printed.seek(0)
            sys.exit(f"{' '.join(command)}\n{printed.read()}")
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1:])
