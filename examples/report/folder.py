"""Pictures from a folder that has a folder for each class, such as DIR/cat and DIR/dog."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import click
import cv2
import numpy as np

from examples.report.pictures import SIZE, Data, Picture, Pictures, Thing

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
VALIDATION = 0.25
"""The share of each class that is kept from training."""
FEWEST = 4
"""Pictures a class."""
WATCHED, WATCHED_CLASSES = 3, 4
"""Pictures a class whose heatmaps are logged, and of how many classes."""


def folder(root: Path, most: int, seed: int) -> Data:
    """Up to so many pictures a class, chosen and split by chance: the same ones each time.

    Raises:
        ClickException: there are not two classes with enough pictures that can be read.
    """
    classes = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(classes) < 2:
        found = f"one class only, {classes[0].name!r}" if classes else "no folders"
        raise click.ClickException(f"{root} has {found}; expected a folder a class, such as cat and dog")
    random = np.random.default_rng(seed)
    train: list[list[Picture]] = []
    validation: list[list[Picture]] = []
    for label, path in enumerate(classes):
        pictures = read(root, path, label, most, random)
        kept = max(1, round(len(pictures) * VALIDATION))
        validation.append(pictures[:kept])
        train.append(pictures[kept:])
    return Data(
        f"{sum(map(len, train))} pictures to learn from and {sum(map(len, validation))} to judge by, from the folder "
        f"{root.name}. Those with several things in them are put together of four pictures to judge by.",
        tuple(path.name for path in classes),
        Pictures.of(list(chain(*train))),
        Pictures.of(list(chain(*validation))),
        Pictures.of(watched([path.name for path in classes], validation)),
    )


def read(root: Path, path: Path, label: int, most: int, random: np.random.Generator) -> list[Picture]:
    """Pictures of one class, in an order by chance.

    Raises:
        ClickException: there are too few.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    pictures: list[Picture] = []
    for n in random.permutation(len(files)):
        image = square(files[n])
        if image is None:
            click.echo(f"skipped: {files[n]} is no picture that can be read", err=True)
        else:
            pictures.append(Picture(image, label, files[n].relative_to(root).as_posix()))
        if len(pictures) == most:
            break
    click.echo(f"class {path.name}: {len(pictures)} of {len(files)} pictures")
    if len(pictures) < FEWEST:
        raise click.ClickException(
            f"{path} has {len(pictures)} readable pictures; expected {FEWEST} or more, to learn from and to judge by"
        )
    return pictures


def square(file: Path) -> np.ndarray | None:
    """The central square of a picture, (SIZE, SIZE, 3) uint8 RGB; None where it cannot be read."""
    content = np.fromfile(file, np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if image is None:
        return None
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    image = image[top : top + side, left : left + side]
    return cv2.cvtColor(cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def watched(names: Sequence[str], validation: Sequence[Sequence[Picture]]) -> list[Picture]:
    """Some of each class; four of the first class together, four of the second, and two of each."""
    single = [picture for pictures in validation[:WATCHED_CLASSES] for picture in pictures[:WATCHED]]
    first, second = ([pictures[n % len(pictures)] for n in range(4)] for pictures in validation[:2])
    return [
        *single,
        mosaic(f"four of {names[0]}", first),
        mosaic(f"four of {names[1]}", second),
        mosaic(f"{names[0]} and {names[1]}", [first[0], second[0], second[1], first[1]]),
    ]


def mosaic(name: str, four: Sequence[Picture]) -> Picture:
    """Four pictures in two rows, at half their size: where each one is, is known."""
    half = SIZE // 2
    cells = [cv2.resize(picture.image, (half, half), interpolation=cv2.INTER_AREA) for picture in four]
    image = np.concatenate([np.concatenate(cells[:2], axis=1), np.concatenate(cells[2:], axis=1)])
    corners = [(x, y) for y in (0, half) for x in (0, half)]
    things = tuple(
        Thing(picture.truth, x, y, x + half, y + half) for picture, (x, y) in zip(four, corners, strict=True)
    )
    labels = {picture.truth for picture in four}
    return Picture(image, labels.pop() if len(labels) == 1 else -1, name, things)
