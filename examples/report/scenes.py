"""Pictures of cats and dogs, composed from photographs that Python packages contain.

The packages contain one photograph of a cat and two of dogs. These are cut out and laid over other photographs at
random places and sizes, so the box of every animal is known without annotation. The validation pictures have other
backgrounds than the training pictures, and a second dog, on which a classifier fails that has only memorised the
first one. There is only one cat.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from examples.demo import package
from examples.report.pictures import SIZE, Box, Data, Picture, Pictures

NAMES = ("cat", "dog")
SIZES = (0.2, 0.5)
"""Smallest and largest size of an animal: its longer side relative to the picture's side."""

FOOLBOX, SCIKIT_IMAGE = "foolbox/data/imagenet_{}.jpg", "skimage/data/{}"

# {animal: (class, photograph, outline)}. The outlines are drawn by hand, (x, y) in the photograph's pixels.
# fmt: off
ANIMALS = {
    "cat": (0, SCIKIT_IMAGE.format("chelsea.png"), (
        (33, 100), (34, 45), (45, 0), (398, 0), (380, 25), (352, 75), (362, 125), (355, 160), (320, 190), (305, 225),
        (298, 258), (270, 280), (200, 275), (120, 255), (70, 200), (38, 140))),
    "mastiff": (1, FOOLBOX.format("00_243"), (
        (131, 130), (140, 90), (165, 68), (200, 63), (222, 85), (230, 140), (240, 172), (255, 175), (295, 185),
        (312, 205), (306, 240), (292, 260), (280, 262), (284, 290), (284, 320), (268, 345), (258, 370), (248, 395),
        (260, 415), (250, 432), (225, 400), (228, 370), (205, 355), (180, 365), (180, 400), (182, 440), (165, 455),
        (152, 445), (160, 410), (150, 365), (133, 340), (131, 300), (137, 255), (120, 215), (118, 195), (135, 180))),
    "dalmatian": (1, FOOLBOX.format("16_251"), (
        (76, 200), (90, 150), (88, 60), (95, 40), (120, 33), (180, 27), (230, 45), (300, 75), (370, 95), (405, 140),
        (416, 160), (405, 220), (370, 305), (345, 308), (310, 265), (285, 310), (250, 360), (195, 400), (155, 390),
        (148, 365), (160, 300), (150, 245), (138, 200), (140, 130), (120, 120))),
}
# fmt: on

BACKGROUNDS = {
    "flasks": FOOLBOX.format("02_438"),
    "strawberries": FOOLBOX.format("04_949"),
    "cottage": FOOLBOX.format("05_853"),
    "jeep": FOOLBOX.format("06_609"),
    "yurt": FOOLBOX.format("08_915"),
    "window": FOOLBOX.format("12_741"),
    "chairs": FOOLBOX.format("01_559"),
    "cannon": FOOLBOX.format("13_471"),
    "coffee": SCIKIT_IMAGE.format("coffee.png"),
    "brick": SCIKIT_IMAGE.format("brick.png"),
    "grass": SCIKIT_IMAGE.format("grass.png"),
}
UNSEEN_BACKGROUNDS = {
    "car": FOOLBOX.format("07_609"),
    "shoe": FOOLBOX.format("11_630"),
    "sky": FOOLBOX.format("14_129"),
    "chestnuts": FOOLBOX.format("03_990"),
    "beetle": FOOLBOX.format("19_305"),
    "motorcycle": SCIKIT_IMAGE.format("motorcycle_left.png"),
    "gravel": SCIKIT_IMAGE.format("gravel.png"),
    "rocket": SCIKIT_IMAGE.format("rocket.jpg"),
}

DESCRIPTION = (
    "{train} training and {validation} validation pictures, composed from real photographs: one cat and two dogs, cut "
    "out and laid over {backgrounds} other photographs at random places and sizes. The validation pictures have other "
    "backgrounds than the training pictures, and only they show the second dog."
)


def scenes(train: int, validation: int, seed: int) -> Data:
    """The report's data: this many training and validation pictures, half of each class, and eight watched ones."""
    rng = np.random.default_rng(seed)
    seen, unseen = Studio(BACKGROUNDS, rng), Studio(UNSEEN_BACKGROUNDS, rng)
    backgrounds = len(BACKGROUNDS) + len(UNSEEN_BACKGROUNDS)
    return Data(
        DESCRIPTION.format(train=train, validation=validation, backgrounds=backgrounds),
        NAMES,
        Pictures.stack([seen.scene(f"train {n}", ("cat", "mastiff")[n % 2]) for n in range(train)]),
        Pictures.stack(
            [unseen.scene(str(n), ("cat", "mastiff", "cat", "dalmatian")[n % 4]) for n in range(validation)]
        ),
        Pictures.stack(
            [
                unseen.scene("a", "cat"),
                unseen.scene("b", "cat"),
                unseen.scene("a", "mastiff"),
                unseen.scene("a", "dalmatian"),
                unseen.scene("a", "cat", "cat"),
                unseen.scene("a", "mastiff", "dalmatian"),
                unseen.scene("a", "cat", "mastiff"),
                unseen.scene("b", "dalmatian", "cat"),
            ]
        ),
    )


@dataclass(frozen=True, eq=False)
class Cutout:
    """An animal without its background.

    Attributes:
        label: the animal's class.
        picture: (h, w, 3) uint8 RGB.
        opacity: (h, w) float32 from 0 to 1.
    """

    label: int
    picture: np.ndarray
    opacity: np.ndarray

    @staticmethod
    def from_photo(label: int, photo: np.ndarray, outline: np.ndarray) -> Cutout:
        """Cut the polygon `outline` (P, 2) int out of a photograph, with a soft edge."""
        opacity = np.zeros(photo.shape[:2], np.float32)
        cv2.fillPoly(opacity, [outline], 1)
        opacity = cv2.GaussianBlur(opacity, (9, 9), 0)
        (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
        return Cutout(label, photo[y0:y1, x0:x1], opacity[y0:y1, x0:x1])

    def resized(self, longer_side: float, flipped: bool) -> Cutout:
        """A copy whose longer side has this many pixels, mirrored horizontally if `flipped`."""
        scale = longer_side / max(self.opacity.shape)
        picture, opacity = (
            cv2.resize(array, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for array in (self.picture, self.opacity)
        )
        return (
            Cutout(self.label, picture[:, ::-1], opacity[:, ::-1]) if flipped else Cutout(self.label, picture, opacity)
        )


class Studio:
    """Composes scenes: animals in front of backgrounds.

    Args:
        backgrounds: {name: file of a package, as `photo` takes it}.
        rng: chooses backgrounds, places and sizes.

    Attributes:
        backgrounds: {name: (H, W, 3) uint8 RGB}.
    """

    def __init__(self, backgrounds: dict[str, str], rng: np.random.Generator) -> None:
        self._rng = rng
        self.backgrounds = {name: photo(path) for name, path in backgrounds.items()}
        self._animals = {
            name: Cutout.from_photo(label, photo(path), np.array(outline))
            for name, (label, path, outline) in ANIMALS.items()
        }

    def scene(self, number: str, *animals: str) -> Picture:
        """A picture of these animals side by side; its name ends in `number`."""
        name = str(self._rng.choice(list(self.backgrounds)))
        image = self._crop(self.backgrounds[name])
        columns = SIZE // len(animals)
        boxes = tuple(self._add(image, animal, n * columns, columns) for n, animal in enumerate(animals))
        labels = {box.label for box in boxes}
        truth = labels.pop() if len(labels) == 1 else -1
        return Picture(image, truth, f"{' and '.join(animals)} over {name} ({number})", boxes)

    def _crop(self, photograph: np.ndarray) -> np.ndarray:
        """A random square of a photograph, (SIZE, SIZE, 3), mirrored half of the time."""
        height, width = photograph.shape[:2]
        side = int(min(height, width) * self._rng.uniform(0.6, 1))
        top, left = self._rng.integers(height - side + 1), self._rng.integers(width - side + 1)
        square = photograph[top : top + side, left : left + side]
        image = cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        return image[:, ::-1].copy() if self._rng.random() < 0.5 else image

    def _add(self, image: np.ndarray, animal: str, left: int, columns: int) -> Box:
        """Lay an animal over the image, in place, at a random position within `columns` columns from `left`."""
        size = self._rng.uniform(*SIZES) * SIZE
        cutout = self._animals[animal].resized(min(size, columns), bool(self._rng.random() < 0.5))
        height, width = cutout.opacity.shape
        x0 = left + int(self._rng.integers(columns - width + 1))
        y0 = int(self._rng.integers(SIZE - height + 1))
        covered = image[y0 : y0 + height, x0 : x0 + width]
        opacity = cutout.opacity[..., None]
        covered[:] = np.rint(covered * (1 - opacity) + cutout.picture * opacity)
        return Box(cutout.label, x0, y0, x0 + width, y0 + height)


def photo(path: str) -> np.ndarray:
    """A package's picture, such as "skimage/data/coffee.png", as (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: the installed version of the package has no such picture.
    """
    name, _, file = path.partition("/")
    image = cv2.imread(str(Path(package(name), file)), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(f"the package {name} has no picture {file}: another version may have it")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
