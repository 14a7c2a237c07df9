"""Pictures of a cat or a dog, composed of real photographs that packages bring along.

The packages have no folder of cats and dogs, but one photograph of a cat and two of dogs. These are cut out and laid
over other photographs, at random places and sizes. So the box of every animal is known without anybody having drawn
it. Training and validation share neither a background nor the second dog: to tell that dog from a cat, a classifier
must have learnt more than two pictures by heart. The cat is always the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from examples.demo import package
from examples.report.pictures import SIZE, Data, Picture, Pictures, Thing

NAMES = ("cat", "dog")
SIZES = (0.2, 0.5)
"""How large an animal is: its longer side as a share of the picture's."""

FOOLBOX, SCIKIT_IMAGE = "foolbox/data/imagenet_{}.jpg", "skimage/data/{}"

# The outlines are drawn by hand, x and y in the photograph's pixels.
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

ABOUT = (
    "{train} pictures to learn from and {validation} to judge by, composed of real photographs: one cat and two dogs, "
    "cut out and laid over {backgrounds} other photographs at random places and sizes. The backgrounds and one of the "
    "dogs are only in those to judge by."
)


def scenes(train: int, validation: int, seed: int) -> Data:
    """So many pictures to learn from and to judge by, half of each class, and eight to watch."""
    random = np.random.default_rng(seed)
    learn = Studio(BACKGROUNDS, random)
    judge = Studio(UNSEEN_BACKGROUNDS, random)
    about = ABOUT.format(train=train, validation=validation, backgrounds=len(BACKGROUNDS) + len(UNSEEN_BACKGROUNDS))
    return Data(
        about,
        NAMES,
        Pictures.of([learn.scene(f"train {n}", ("cat", "mastiff")[n % 2]) for n in range(train)]),
        Pictures.of([judge.scene(str(n), ("cat", "mastiff", "cat", "dalmatian")[n % 4]) for n in range(validation)]),
        Pictures.of(
            [
                judge.scene("a", "cat"),
                judge.scene("b", "cat"),
                judge.scene("a", "mastiff"),
                judge.scene("a", "dalmatian"),
                judge.scene("a", "cat", "cat"),
                judge.scene("a", "mastiff", "dalmatian"),
                judge.scene("a", "cat", "mastiff"),
                judge.scene("b", "dalmatian", "cat"),
            ]
        ),
    )


@dataclass(frozen=True, eq=False)
class Cutout:
    """An animal without its surroundings: (h, w, 3) uint8 RGB, and how opaque it is, (h, w) from 0 to 1."""

    label: int
    picture: np.ndarray
    opacity: np.ndarray

    @staticmethod
    def of(label: int, photo: np.ndarray, outline: np.ndarray) -> Cutout:
        """What of a photograph lies within a polygon, (P, 2) int; its edge is soft."""
        opacity = np.zeros(photo.shape[:2], np.float32)
        cv2.fillPoly(opacity, [outline], 1)
        opacity = cv2.GaussianBlur(opacity, (9, 9), 0)
        (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
        return Cutout(label, photo[y0:y1, x0:x1], opacity[y0:y1, x0:x1])

    def resized(self, longer_side: float, flipped: bool) -> Cutout:
        """The same in another size, and mirrored if wanted."""
        scale = longer_side / max(self.opacity.shape)
        picture, opacity = (
            cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for part in (self.picture, self.opacity)
        )
        return (
            Cutout(self.label, picture[:, ::-1], opacity[:, ::-1]) if flipped else Cutout(self.label, picture, opacity)
        )


class Studio:
    """Composes scenes in front of some backgrounds, {name: file}."""

    def __init__(self, backgrounds: dict[str, str], random: np.random.Generator) -> None:
        self._random = random
        self._backgrounds = {name: photo(path) for name, path in backgrounds.items()}
        self._animals = {
            name: Cutout.of(label, photo(path), np.array(outline)) for name, (label, path, outline) in ANIMALS.items()
        }

    def scene(self, number: str, *animals: str) -> Picture:
        """One picture of these animals, side by side."""
        name = str(self._random.choice(list(self._backgrounds)))
        image = self._background(self._backgrounds[name])
        width = SIZE // len(animals)
        things = tuple(self._put(image, animal, n * width, width) for n, animal in enumerate(animals))
        labels = {thing.label for thing in things}
        truth = labels.pop() if len(labels) == 1 else -1
        return Picture(image, truth, f"{' and '.join(animals)} over {name} ({number})", things)

    def _background(self, whole: np.ndarray) -> np.ndarray:
        """A random square of a photograph."""
        height, width = whole.shape[:2]
        side = int(min(height, width) * self._random.uniform(0.6, 1))
        top, left = self._random.integers(height - side + 1), self._random.integers(width - side + 1)
        square = whole[top : top + side, left : left + side]
        image = cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        return image[:, ::-1].copy() if self._random.random() < 0.5 else image

    def _put(self, image: np.ndarray, animal: str, left: int, width: int) -> Thing:
        """Lay an animal over the image, at a random place within some of its columns."""
        size = self._random.uniform(*SIZES) * SIZE
        cutout = self._animals[animal].resized(min(size, width), bool(self._random.random() < 0.5))
        height, wide = cutout.opacity.shape
        x0 = left + int(self._random.integers(width - wide + 1))
        y0 = int(self._random.integers(SIZE - height + 1))
        place = image[y0 : y0 + height, x0 : x0 + wide]
        opacity = cutout.opacity[..., None]
        place[:] = np.rint(place * (1 - opacity) + cutout.picture * opacity)
        return Thing(cutout.label, x0, y0, x0 + wide, y0 + height)


def photo(path: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a package's file, such as "skimage/data/coffee.png"."""
    name, _, inside = path.partition("/")
    found = cv2.imread(str(Path(package(name), inside)), cv2.IMREAD_COLOR)
    if found is None:
        raise FileNotFoundError(f"the package {name} has no picture {inside}: another version may have it")
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB)
