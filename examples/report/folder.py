"""Pictures from a folder with one folder per class, such as DIR/cat and DIR/dog."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import click
import cv2
import numpy as np

from examples.report.pictures import SIZE, Box, Data, Picture, Pictures

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
VALIDATION = 0.25
"""The share of each class's pictures that is used for validation."""
MIN_PER_CLASS = 4
WATCHED_PER_CLASS, WATCHED_CLASSES = 3, 4
"""Heatmaps are logged for this many pictures of each of this many classes."""


def folder(root: Path, per_class: int, seed: int) -> Data:
    """The report's data: up to `per_class` pictures of each class, selected and split at random by the seed.

    Raises:
        ClickException: there are fewer than two classes, or one has too few readable pictures.
    """
    classes = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(classes) < 2:
        content = f"one class only, {classes[0].name!r}" if classes else "no folders"
        raise click.ClickException(f"{root} has {content}; expected one folder per class, such as cat and dog")
    rng = np.random.default_rng(seed)
    train: list[list[Picture]] = []
    validation: list[list[Picture]] = []
    for label, path in enumerate(classes):
        pictures = read_class(root, path, label, per_class, rng)
        count = max(1, round(len(pictures) * VALIDATION))
        validation.append(pictures[:count])
        train.append(pictures[count:])
    return Data(
        f"{sum(map(len, train))} training and {sum(map(len, validation))} validation pictures, from the folder "
        f"{root.name}. Each picture with several objects is a mosaic of four validation pictures.",
        tuple(path.name for path in classes),
        Pictures.stack(list(chain(*train))),
        Pictures.stack(list(chain(*validation))),
        Pictures.stack(watched([path.name for path in classes], validation)),
    )


def read_class(root: Path, path: Path, label: int, per_class: int, rng: np.random.Generator) -> list[Picture]:
    """Up to `per_class` pictures of one class, in random order.

    Raises:
        ClickException: fewer than MIN_PER_CLASS pictures are readable.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    pictures: list[Picture] = []
    for n in rng.permutation(len(files)):
        image = square(files[n])
        if image is None:
            click.echo(f"skipped: {files[n]} cannot be read as a picture", err=True)
        else:
            pictures.append(Picture(image, label, files[n].relative_to(root).as_posix()))
        if len(pictures) == per_class:
            break
    click.echo(f"class {path.name}: {len(pictures)} of {len(files)} pictures")
    if len(pictures) < MIN_PER_CLASS:
        raise click.ClickException(
            f"{path} has {len(pictures)} readable pictures; expected {MIN_PER_CLASS} or more, for training and "
            "validation"
        )
    return pictures


def square(file: Path) -> np.ndarray | None:
    """The central square of a picture, (SIZE, SIZE, 3) uint8 RGB; None if the file cannot be read."""
    content = np.fromfile(file, np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if image is None:
        return None
    side = min(image.shape[:2])
    top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
    image = image[top : top + side, left : left + side]
    return cv2.cvtColor(cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def watched(names: Sequence[str], validation: Sequence[Sequence[Picture]]) -> list[Picture]:
    """Single pictures of each class, and three mosaics: of the first class, of the second, and of both."""
    single = [picture for pictures in validation[:WATCHED_CLASSES] for picture in pictures[:WATCHED_PER_CLASS]]
    first, second = ([pictures[n % len(pictures)] for n in range(4)] for pictures in validation[:2])
    return [
        *single,
        mosaic(f"four of {names[0]}", first),
        mosaic(f"four of {names[1]}", second),
        mosaic(f"{names[0]} and {names[1]}", [first[0], second[0], second[1], first[1]]),
    ]


def mosaic(name: str, four: Sequence[Picture]) -> Picture:
    """Four pictures in two rows, at half their size, with the box of each."""
    half = SIZE // 2
    cells = [cv2.resize(picture.image, (half, half), interpolation=cv2.INTER_AREA) for picture in four]
    image = np.concatenate([np.concatenate(cells[:2], axis=1), np.concatenate(cells[2:], axis=1)])
    corners = [(x, y) for y in (0, half) for x in (0, half)]
    boxes = tuple(Box(picture.truth, x, y, x + half, y + half) for picture, (x, y) in zip(four, corners, strict=True))
    labels = {picture.truth for picture in four}
    return Picture(image, labels.pop() if len(labels) == 1 else -1, name, boxes)
