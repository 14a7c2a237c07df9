"""The report's pictures, its command line and its conclusions, without any framework."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from processes import ROOT
from toynet import ToyBackend, ToyNet
from wandb_reading import OfflineRun, records

import xaicore
from examples.report import command as module
from examples.report.command import Tracker, command
from examples.report.conclusions import Evidence, Findings, conclude, numbers
from examples.report.folder import folder, mosaic, square
from examples.report.pictures import SIZE, Box, Data, Picture, Pictures, network_input
from examples.report.scenes import BACKGROUNDS, UNSEEN_BACKGROUNDS, Cutout, Studio, photo, scenes

# --- scenes ---


def test_scenes_keep_validation_apart() -> None:
    data = scenes(12, 16, 0)
    assert (data.class_names, data.outputs, data.targets) == (("cat", "dog"), 1, [[0, 1]])
    assert data.train.truth.tolist() == [0, 1] * 6
    assert data.validation.truth.tolist() == [0, 1] * 8
    assert Counter(id.split()[0] for id in data.train.ids) == {"cat": 6, "mastiff": 6}
    assert Counter(id.split()[0] for id in data.validation.ids) == {"cat": 8, "mastiff": 4, "dalmatian": 4}
    assert {id.split()[2] for id in data.train.ids} <= set(BACKGROUNDS)
    assert {id.split()[2] for id in data.validation.ids} <= set(UNSEEN_BACKGROUNDS)
    assert not set(BACKGROUNDS.values()) & set(UNSEEN_BACKGROUNDS.values())
    assert data.description.startswith("12 training and 16 validation pictures, composed")
    assert len(set(data.train.ids + data.validation.ids + data.watched.ids)) == 36


def test_scenes_are_the_same_each_time() -> None:
    one, two, other = scenes(4, 4, 0), scenes(4, 4, 0), scenes(4, 4, 1)
    for part in ("train", "validation", "watched"):
        assert np.array_equal(getattr(one, part).images, getattr(two, part).images)
        assert getattr(one, part).boxes == getattr(two, part).boxes
        assert not np.array_equal(getattr(one, part).images, getattr(other, part).images)


def test_watched_scenes_show_what_they_say() -> None:
    watched = scenes(2, 2, 0).watched
    assert watched.truth.tolist() == [0, 0, 1, 1, 0, 1, -1, -1]
    assert [[box.label for box in boxes] for boxes in watched.boxes] == [
        *([0], [0], [1], [1]),
        *([0, 0], [1, 1], [0, 1], [1, 0]),
    ]
    for boxes in watched.boxes[4:]:
        assert boxes[0].x1 <= SIZE // 2 <= boxes[1].x0


@pytest.mark.parametrize("animals", [("cat",), ("mastiff",), ("dalmatian", "cat")])
def test_a_box_is_around_its_animal(animals: tuple[str, ...]) -> None:
    """Over grey, whatever is not grey is the animal."""
    studio = Studio({}, np.random.default_rng(3))
    studio.backgrounds["grey"] = np.full((300, 400, 3), 128, np.uint8)
    for n in range(10):
        scene = studio.scene(str(n), *animals)
        changed = np.abs(scene.image.astype(int) - 128).max(axis=2) > 3
        outside = changed.copy()
        for box in scene.boxes:
            assert 0 <= box.x0 < box.x1 <= SIZE
            assert 0 <= box.y0 < box.y1 <= SIZE
            assert 0.19 * SIZE <= max(box.x1 - box.x0, box.y1 - box.y0) <= 0.51 * SIZE
            outside[box.y0 : box.y1, box.x0 : box.x1] = False
            within = changed[box.y0 : box.y1, box.x0 : box.x1]
            assert 0.4 < within.mean() < 1
            rows, columns = np.flatnonzero(within.any(axis=1)), np.flatnonzero(within.any(axis=0))
            assert rows[0] <= 3
            assert columns[0] <= 3
            assert rows[-1] >= len(within) - 4
            assert columns[-1] >= within.shape[1] - 4
        assert not outside.any()


def test_a_cutout_is_mirrored_as_a_whole() -> None:
    photograph = np.random.default_rng(0).integers(255, size=(80, 60, 3), dtype=np.uint8)
    cutout = Cutout.from_photo(1, photograph, np.array([(10, 10), (50, 10), (50, 70)]))
    assert cutout.picture.shape == (60, 40, 3)
    assert np.array_equal(cutout.picture, photograph[10:70, 10:50])
    assert cutout.opacity[6, 30] > 0.95
    assert cutout.opacity[50, 2] == 0
    one, other = cutout.resized(30, False), cutout.resized(30, True)
    assert one.opacity.shape == (30, 20)
    assert np.array_equal(one.picture, other.picture[:, ::-1])
    assert np.array_equal(one.opacity, other.opacity[:, ::-1])
    assert (one.label, other.label) == (1, 1)


def test_backgrounds_are_cut_and_mirrored_by_chance() -> None:
    studio = Studio({}, np.random.default_rng(0))
    studio.backgrounds["ramp"] = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 100, axis=0).repeat(3, axis=2)
    left, right = np.array([studio.scene(str(n), "cat").image[0, [0, -1], 0].astype(int) for n in range(40)]).T
    assert 10 < (left < right).sum() < 30
    assert 55 < np.abs(left - right).min() < 70  # 60 % of the height to all of it
    assert 85 < np.abs(left - right).max() < 101
    assert np.ptp(np.minimum(left, right)) > 60


def test_photographs_are_rgb_and_a_missing_one_is_named() -> None:
    cat = photo("skimage/data/chelsea.png")
    assert cat.shape == (300, 451, 3)
    assert cat[..., 0].mean() > cat[..., 2].mean() + 20  # it is a ginger one
    with pytest.raises(FileNotFoundError, match=r"^the package skimage has no picture data/tom.png: another version"):
        photo("skimage/data/tom.png")


def test_network_input() -> None:
    x = network_input(np.array([[[[0, 127, 255]]]], np.uint8))
    assert x.dtype == np.float32
    assert x.reshape(-1).tolist() == [-127 / 128, 0, 1]


# --- a folder ---


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """8 pictures each of red and of blue, some in a folder below."""
    for name, colour in (("red", (0, 0, 250)), ("blue", (250, 0, 0))):
        for n in range(8):
            path = tmp_path / "colours" / name / ("more" if n % 2 else ".") / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((20, 30, 3), np.maximum(np.array(colour) - n, 0), np.uint8))
    return tmp_path / "colours"


def test_a_folder_is_split_class_by_class(colours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder(colours, 100, 0)
    assert (data.class_names, data.outputs) == (("blue", "red"), 1)
    assert Counter(data.train.truth.tolist()) == {0: 6, 1: 6}
    assert Counter(data.validation.truth.tolist()) == {0: 2, 1: 2}
    assert len(set(data.train.ids + data.validation.ids)) == 16
    assert {id for id in data.train.ids + data.validation.ids if "more" in id} == {
        f"{name}/more/{n}.png" for name in ("red", "blue") for n in (1, 3, 5, 7)
    }
    for pictures in (data.train, data.validation):
        for image, truth, name in zip(pictures.images, pictures.truth, pictures.ids, strict=True):
            value = 250 - int(Path(name).stem)
            assert image[0, 0].tolist() == ([value, 0, 0] if truth == 1 else [0, 0, value])
            assert name.startswith(data.class_names[truth])
    assert capsys.readouterr().out == "class blue: 8 of 8 pictures\nclass red: 8 of 8 pictures\n"
    assert data.description.startswith("12 training and 4 validation pictures, from the folder colours.")


def test_a_folder_is_split_the_same_way_each_time(colours: Path) -> None:
    assert folder(colours, 100, 0).validation.ids == folder(colours, 100, 0).validation.ids
    assert folder(colours, 100, 0).validation.ids != folder(colours, 100, 1).validation.ids


def test_no_more_pictures_than_asked_for(colours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder(colours, 5, 0)
    assert (len(data.train), len(data.validation)) == (8, 2)
    assert "class red: 5 of 8 pictures" in capsys.readouterr().out


def test_what_cannot_be_read_is_skipped_with_a_word(colours: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (colours / "red" / "broken.jpg").write_bytes(b"nothing")
    (colours / "red" / "empty.jpg").touch()
    (colours / "red" / "notes.txt").write_text("no picture")
    data = folder(colours, 100, 0)
    assert Counter(data.train.truth.tolist()) == {0: 6, 1: 6}
    printed = capsys.readouterr()
    assert sorted(printed.err.splitlines()) == [
        f"skipped: {colours / 'red' / name} cannot be read as a picture" for name in ("broken.jpg", "empty.jpg")
    ]
    assert "class red: 8 of 10 pictures" in printed.out


def test_a_picture_is_cut_to_its_central_square(tmp_path: Path) -> None:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = (10, 20, 30)  # blue, green, red
    cv2.imwrite(str(tmp_path / "wide.png"), image)
    cv2.imwrite(str(tmp_path / "high.png"), image.transpose(1, 0, 2))
    for name in ("wide", "high"):
        found = square(tmp_path / f"{name}.png")
        assert found is not None
        assert found.shape == (SIZE, SIZE, 3)
        assert np.unique(found.reshape(-1, 3), axis=0).tolist() == [[30, 20, 10]]


def test_mosaics(colours: Path) -> None:
    watched = folder(colours, 100, 0).watched
    assert watched.ids[4:] == ("four of blue", "four of red", "blue and red")
    assert watched.truth.tolist() == [0, 0, 1, 1, 0, 1, -1]
    assert watched.boxes[:4] == ((),) * 4
    both, boxes = watched.images[6], watched.boxes[6]
    assert [box.label for box in boxes] == [0, 1, 1, 0]
    for box in boxes:
        cell = both[box.y0 : box.y1, box.x0 : box.x1]
        assert cell.shape == (SIZE // 2, SIZE // 2, 3)
        assert (cell.reshape(-1, 3).max(axis=0) > 200).tolist() == [box.label == 1, False, box.label == 0]


def test_a_mosaic_of_one_class_has_this_class() -> None:
    four = [Picture(np.full((SIZE, SIZE, 3), n, np.uint8), 2, str(n)) for n in range(4)]
    one = mosaic("four", four)
    assert (one.truth, {box.label for box in one.boxes}) == (2, {2})
    assert [int(one.image[box.y0, box.x0, 0]) for box in one.boxes] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({}, "has no folders; expected one folder per class, such as cat and dog"),
        ({"cat": 8}, "has one class only, 'cat'; expected one folder per class, such as cat and dog"),
        ({"cat": 8, "dog": 3}, "has 3 readable pictures; expected 4 or more, for training and validation"),
        ({"cat": 8, "dog": 0}, "has 0 readable pictures; expected 4 or more, for training and validation"),
    ],
)
def test_folders_that_will_not_do(classes: dict[str, int], message: str, tmp_path: Path) -> None:
    for name, many in classes.items():
        (tmp_path / name).mkdir()
        for n in range(many):
            cv2.imwrite(str(tmp_path / name / f"{n}.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "readme.txt").touch()
    (tmp_path / ".hidden").mkdir()
    with pytest.raises(click.ClickException) as caught:
        folder(tmp_path, 100, 0)
    assert message in caught.value.message
    assert str(tmp_path) in caught.value.message


# --- conclusions ---

RED, BLUE = 0, 1


def painted(name: str, truth: int, *patches: tuple[int, int, int], known: bool = True) -> Picture:
    """Black, with squares of 64: (class, x, y)."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    boxes = []
    for label, x, y in patches:
        image[y : y + 64, x : x + 64, 0 if label == RED else 2] = 255
        boxes.append(Box(label, x, y, x + 64, y + 64))
    return Picture(image, truth, name, tuple(boxes) if known else ())


def see(validation: list[Picture], watched: list[Picture]) -> tuple[Data, Findings]:
    """What is found of a net that adds up red for one class and blue for the other."""
    net = ToyNet()
    net.u = net.v = np.eye(3, dtype=np.float32)
    net.w = np.array([[1, 0, 0], [0, 0, 1]], np.float32) * 100
    explainer = xaicore.Explainer(net, backend=ToyBackend(net))
    train = Pictures.stack([painted("train", RED, (BLUE, 8, 8))])
    data = Data("Squares.", ("red", "blue"), train, Pictures.stack(validation), Pictures.stack(watched))
    return data, Findings.measure(explainer, data, lambda images: images.transpose(0, 3, 1, 2).astype(np.float32) / 255)


SEVERAL = painted("two reds", RED, (RED, 0, 0), (RED, 128, 128))
BOTH = painted("red and blue", -1, (BLUE, 0, 0), (RED, 128, 128))


def test_findings_of_a_net_that_is_right() -> None:
    data, found = see([painted("a", RED, (RED, 8, 8)), painted("b", BLUE, (BLUE, 100, 8))], [SEVERAL, BOTH])
    assert (found.accuracy, found.for_truth) == (1, {})
    assert found.mean_share(np.ones(2, bool)) == 1
    text = conclude(data, {"Toy": found})
    assert text.startswith("# Where a classifier of red, blue looks\n\nSquares.\n\n## Toy\n\n- Accuracy: 2 of 2 ")
    assert (
        "Of the evidence for the predicted class, 100 % lies in the box of the object, which takes 8 % of "
        "the picture: 100 % where the prediction is right.\n- Misclassified: 0\n"
    ) in text
    assert '"two reds" (red 1.00): 50 % + 50 % of the evidence for red lie in the boxes, which take 8 % + 8 %' in text
    assert text.count("lie in the boxes") == 1
    assert (
        '"red and blue": of the evidence for red (0.50), 100 % lies on red and 0 % on blue; of the evidence for blue '
        "(0.50), 100 % lies on blue and 0 % on red."
    ) in text
    assert numbers(data, {"Toy": found}) == {"Toy/accuracy": 1, "Toy/evidence in the box": 1}


def test_a_mistake_is_explained() -> None:
    """Two squares of blue beside one of red, of which alone the data knows."""
    image = painted("", RED, (RED, 8, 8), (BLUE, 100, 8), (BLUE, 8, 120)).image
    wrong = Picture(image, RED, "odd one", (Box(RED, 8, 8, 72, 72),))
    data, found = see([painted("a", RED, (RED, 8, 8)), wrong], [BOTH])
    assert found.accuracy == 0.5
    assert found.mean_share(np.array([True, True])) == 0.5
    text = conclude(data, {"Toy": found})
    assert "50 % lies in the box" in text
    assert "100 % where the prediction is right, 0 % where it is wrong." in text
    assert (
        'Misclassified: 1:\n  - "odd one" is classified as blue (1.00): of the evidence for blue, 0 % lies in the '
        "red's box (8 % of the picture); of that for red, 100 %.\n"
    ) in text


def test_a_mistake_in_a_picture_of_which_nothing_is_known() -> None:
    wrong = painted("odd one", RED, (BLUE, 150, 150), known=False)
    data, found = see([painted("a", RED, (RED, 8, 8), known=False), wrong], [BOTH])
    text = conclude(data, {"Toy": found})
    assert "in the box of the object" not in text
    assert (
        '"odd one" is classified as blue (1.00): the most evidence for blue is at the bottom right, for red nowhere'
        in text
    )
    assert numbers(data, {"Toy": found}) == {"Toy/accuracy": 0.5}


def test_the_most_confident_mistakes_are_shown() -> None:
    """The more blue, the more confident."""
    wrong = [
        Picture(painted("", RED, (BLUE, 0, 0)).image // k, RED, f"blue by {k}", (Box(RED, 9, 9, 20, 20),))
        for k in (60, 20, 90, 40)
    ]
    data, found = see(wrong, [BOTH])
    text = conclude(data, {"Toy": found})
    assert "Misclassified: 4, such as:\n" in text
    shown = [line.split('"')[1] for line in text.splitlines() if "is classified as" in line]
    assert shown == ["blue by 20", "blue by 40", "blue by 60"]


def test_more_pictures_than_a_batch() -> None:
    validation = [painted(f"p{n}", n % 2, (1 - n % 2 if n == 18 else n % 2, n, 0)) for n in range(20)]
    _, found = see(validation, [BOTH])
    assert [one.picture for one in found.for_predicted] == [f"p{n}" for n in range(20)]
    assert list(found.for_truth) == [18]
    assert found.for_truth[18].picture == "p18"
    assert found.accuracy == 0.95


def test_evidence() -> None:
    heatmap = np.zeros((SIZE, SIZE), np.float32)
    heatmap[10, 100], heatmap[200, 5] = 1, 0.5
    one = Evidence("p", 0, 0.5, heatmap, ())
    assert one.share(Box(0, 100, 10, 101, 11)) == pytest.approx(2 / 3)
    assert one.share(Box(0, 100, 10, 101, 11), Box(0, 90, 0, 120, 20)) == pytest.approx(2 / 3)
    assert one.share(Box(0, 0, 0, 224, 10)) == 0
    assert one.place() == "at the top centre"
    empty = one._replace(heatmap=heatmap * 0)
    assert np.isnan(empty.share(Box(0, 0, 0, 9, 9)))
    assert empty.place() == "nowhere"


# --- the command ---


def run(*arguments: str, story: object = None) -> tuple[int, str]:
    """A command whose story logs two epochs and finds nothing."""

    def tell(data: Data, epochs: int, tracker: Tracker) -> Mapping[str, Findings]:
        """Tell a story."""
        tracker.metrics(0, {"loss": np.float32(0.5), "accuracy": epochs})
        tracker.metrics(1, {"loss": 0.25, "accuracy": 1})
        click.echo(f"{len(data.train)} {len(data.validation)} {epochs} {sorted(tracker.loggers)} {tracker.name}")
        return {}

    done = CliRunner().invoke(command("toy")(story or tell), arguments)
    return done.exit_code, done.output


def test_a_story_gets_its_options(tmp_path: Path) -> None:
    out = tmp_path / "one"
    code, printed = run("--quick", "--logger", "disk", "--out", str(out))
    assert code == 0
    assert f"{module.QUICK_TRAIN} {module.QUICK_VALIDATION} {module.QUICK_EPOCHS} ['disk'] one" in printed
    assert f"open {out / 'index.html'}" in printed
    assert "wandb" not in printed
    assert [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()] == [
        {"epoch": 0, "loss": 0.5, "accuracy": 2.0},
        {"epoch": 1, "loss": 0.25, "accuracy": 1.0},
    ]
    assert (out / "conclusions.md").read_text() in printed
    assert "5 ['tensorboard'] two" in run("--epochs", "5", "--logger", "tensorboard", "--out", str(tmp_path / "two"))[1]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    code, printed = run("--quick", "--logger", "disk", "--out", str(tmp_path))
    assert (code, printed) == (1, f"Error: {tmp_path} is not an empty folder; name a new one with --out\n")
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_without_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    code, printed = run("--quick", "--out", str(tmp_path / "one"))
    assert code == 0
    assert "['disk'] one" in printed
    code, printed = run("--quick", "--logger", "wandb", "--out", str(tmp_path / "two"))
    assert (code, printed) == (
        1,
        'Error: the logger wandb needs the package wandb; try: pip install ".[wandb]"\n',
    )
    assert not (tmp_path / "two").exists()


def test_a_logger_that_nobody_knows(tmp_path: Path) -> None:
    def tell(data: Data, epochs: int, tracker: Tracker) -> Mapping[str, Findings]:
        """Tell a story."""
        with xaicore.open_loggers(tracker.loggers):
            return {}

    code, printed = run("--quick", "--logger", "diks", "--out", str(tmp_path / "out"), story=tell)
    assert code == 1
    assert "Error: no logger" in printed
    assert "diks" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("fails", [False, True])
def test_the_run_at_weights_and_biases_ends_with_the_story(
    fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    def tell(data: Data, epochs: int, tracker: Tracker) -> Mapping[str, Findings]:
        """Tell a story."""
        assert wandb.run is not None
        tracker.metrics(0, {"loss": 0.5})
        assert not fails, "something broke"
        return {}

    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "staged"))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    code, printed = run("--quick", "--logger", "wandb", "--out", str(tmp_path / "out"), story=tell)
    assert code == int(fails)
    assert wandb.run is None
    wandb.teardown()
    (log,) = (tmp_path / "out" / "wandb").glob("offline-run-*/run-*.wandb")
    assert [record.exit.exit_code for record in records(log) if record.WhichOneof("record_type") == "exit"] == [code]
    assert [row["loss"] for row in OfflineRun(log).rows if "loss" in row] == [0.5]
    assert (f"wandb sync {log.parent}" in printed) is not fails


def test_most_pictures_of_a_folder(colours: Path, tmp_path: Path) -> None:
    arguments = ("--logger", "disk", "--data", str(colours), "--most", "4", "--out", str(tmp_path / "out"))
    assert "6 2 4 ['disk'] out" in run(*arguments)[1]
    code, printed = run("--data", str(tmp_path / "nowhere"))
    assert code == 2
    assert "does not exist" in printed


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(flag: str) -> None:
    code, printed = run(flag)
    assert code == 0
    for said in ("Tell a story.", "--data", "--epochs", "--logger", "--out", "--quick", "[default: 4]"):
        assert said in printed


def test_nothing_here_imports_a_framework() -> None:
    code = "import sys, examples.report.command; print({'torch', 'keras', 'wandb', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
