"""Which pictures are meant, and what their pixels are."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workshop import draw, write

from xaicore.errors import InputError
from xaicore.pictures import (
    SUFFIXES,
    File,
    PictureError,
    Preparation,
    find_pictures,
    picture_id,
    read_batch,
    read_picture,
)
from xaicore.pictures.jpeg import is_cut_jpeg
from xaicore.pictures.reading import read_array, read_pil
from xaicore.source.listing import Listing
from xaicore.source.reading import Reading


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")


def found(*paths: str) -> list[str]:
    return [picture_id(path) for path in find_pictures(paths)]


def test_folders_are_searched_to_the_bottom_in_natural_order() -> None:
    touch("p/10.jpg", "p/9.PNG", "p/sub/deep/1.tiff", "p/notes.txt", "p/.hidden.jpg", "p/.git/x.jpg", "p/none")
    assert found("p") == ["p/9.PNG", "p/10.jpg", "p/sub/deep/1.tiff"]


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_every_suffix_is_found(suffix: str) -> None:
    touch(f"p/a{suffix}", f"p/b{suffix.upper()}")
    assert found("p") == [f"p/a{suffix}", f"p/b{suffix.upper()}"]


def test_patterns() -> None:
    touch("p/1.jpg", "p/2.png", "p/sub/3.jpg", "p/sub/deep/4.jpg", "p/sub/readme.md")
    assert found("p/*.jpg") == ["p/1.jpg"]
    assert found("p/**/*.jpg") == ["p/1.jpg", "p/sub/3.jpg", "p/sub/deep/4.jpg"]
    assert found("p/[12].*") == ["p/1.jpg", "p/2.png"]
    assert found("p/s*") == ["p/sub/3.jpg", "p/sub/deep/4.jpg"]
    assert found("p/**") == ["p/1.jpg", "p/2.png", "p/sub/3.jpg", "p/sub/deep/4.jpg"]


def test_a_named_file_may_have_any_suffix_and_brackets() -> None:
    touch("scan", "a[1].jpg", "a1.jpg", ".hidden.png")
    assert found("scan", "a[1].jpg", ".hidden.png") == [".hidden.png", "a[1].jpg", "scan"]


def test_each_picture_once_under_its_first_spelling(here: Path) -> None:
    touch("p/1.jpg", "p/2.jpg")
    assert found("p/2.jpg", "./p", "p/../p/2.jpg", str(here / "p/1.jpg"), "p/*") == ["p/1.jpg", "p/2.jpg"]
    assert found(str(here / "p/2.jpg"), "p") == [(here / "p/2.jpg").as_posix(), "p/1.jpg"]


def test_home_in_a_quoted_pattern(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch("p/1.jpg")
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    assert found("~/p/*.jpg") == [(here / "p/1.jpg").as_posix()]


def test_a_path_without_pictures() -> None:
    touch("p/1.jpg", "empty/readme.md")
    with pytest.raises(InputError, match=r"^no such file or folder: 'q' \(in "):
        find_pictures(["p", "q"])
    with pytest.raises(InputError, match=r"^'HTTPS://x\.org/a\.png' is a URL, and xaicore downloads nothing"):
        find_pictures(["p", "HTTPS://x.org/a.png"])
    with pytest.raises(InputError, match=r"^no pictures in the folder 'empty' and its subfolders: .* \.avif, \.bmp, "):
        find_pictures(["empty"])
    with pytest.raises(InputError, match=r"^no pictures match the pattern 'empty/\*\.md': expected files with one of"):
        find_pictures(["empty/*.md"])


def test_natural_order() -> None:
    names = ["a1.png", "a2.png", "a10.png", "A11.png", "b/1.png", "b/02.png", "b/2.png", "b10/1.png", "b.png"]
    touch(*names)
    shuffled = names[::-1]
    random.Random(0).shuffle(shuffled)
    assert found(*shuffled) == names


PARTS = st.text(alphabet="ab1٣²Éß._ ", min_size=1, max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(PARTS, PARTS), min_size=1, max_size=6))
def test_any_names_can_be_ordered(names: list[tuple[str, str]]) -> None:
    paths = [f"{folder}d/{name}.png" for folder, name in names]
    touch(*paths)
    assert found(*paths) == found(*reversed(paths))


def test_ids_are_text_and_differ() -> None:
    assert picture_id(Path("p") / "é.png") == "p/é.png"
    assert picture_id(Path(os.fsdecode(b"caf\xe9.png"))) == "caf\\xe9.png"


def test_pixels_are_rgb() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    assert np.array_equal(read_picture(write(Path("a.png"), picture)), picture)
    assert np.array_equal(read_picture(write(Path("写真 é.bmp"), picture)), picture)


def test_grey_transparent_and_deep_pictures_become_rgb() -> None:
    grey = np.arange(35, dtype=np.uint8).reshape(5, 7)
    for name, pixels in (
        ("grey.png", grey),
        ("clear.png", np.dstack([grey] * 3 + [np.zeros_like(grey)])),
        ("deep.png", grey.astype(np.uint16) * 256),
    ):
        Path(name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        assert np.array_equal(read_picture(Path(name)), np.dstack([grey] * 3)), name


def test_exif_orientation_is_honoured() -> None:
    """Orientation 6: the stored picture has to be turned clockwise, so what is on its left comes to the top."""
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:, :16, 0] = 255  # left half red
    stored[:, 16:, 2] = 255  # right half blue
    jpeg = cv2.imencode(".jpg", stored[..., ::-1])[1].tobytes()
    tiff = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    marker = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    Path("turned.jpg").write_bytes(jpeg[:2] + marker + jpeg[2:])
    picture = read_picture(Path("turned.jpg")).astype(int)
    assert picture.shape == (32, 16, 3)
    assert np.abs(picture[:12] - [255, 0, 0]).max() < 30
    assert np.abs(picture[20:] - [0, 0, 255]).max() < 30


def test_what_is_no_picture(here: Path) -> None:
    whole = draw(Path("whole.png")).read_bytes()
    Path("half.png").write_bytes(whole[: len(whole) // 2])
    Path("text.jpg").write_bytes(b"just words")
    Path("empty.jpg").write_bytes(b"")
    jpeg = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))[1].tobytes()
    Path("half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    for name in ("half.png", "half.jpg", "text.jpg"):
        message = rf"^{name} is no picture that OpenCV {cv2.__version__} can decode, or only a part of one$"
        with pytest.raises(PictureError, match=message):
            read_picture(Path(name))
    with pytest.raises(PictureError, match=r"^empty\.jpg is an empty file$"):
        read_picture(Path("empty.jpg"))
    with pytest.raises(PictureError, match=r"^gone\.jpg cannot be read: No such file or directory$"):
        read_picture(Path("gone.jpg"))


@pytest.mark.parametrize(
    "flags", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2], [cv2.IMWRITE_JPEG_OPTIMIZE, 1]]
)
def test_a_jpeg_is_whole_up_to_its_last_byte(flags: list[int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    whole = cv2.imencode(".jpg", pixels, flags)[1].tobytes()
    assert not is_cut_jpeg(whole)
    assert not is_cut_jpeg(whole + b"a film behind it \xff\xda \xff\xe1")
    assert [length for length in range(2, len(whole)) if not is_cut_jpeg(whole[:length])] == []
    thumbnail = b"\xff\xe1" + (len(whole) + 2).to_bytes(2, "big") + whole
    assert not is_cut_jpeg(whole[:2] + thumbnail + whole[2:])
    assert is_cut_jpeg(whole[:2] + thumbnail + whole[2:-2])
    assert not is_cut_jpeg(b"\x89PNG")


def saved(name: str, image: PIL.Image.Image, **options: Any) -> Path:
    image.save(name, **options)
    return Path(name)


def turned(orientation: int) -> PIL.Image.Exif:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    return exif


def dots(*shape: int, dtype: type = np.uint8) -> PIL.Image.Image:
    return PIL.Image.fromarray(np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (13, 17, *shape), dtype))


RGB = dots(3)
IMAGES: dict[str, tuple[PIL.Image.Image, dict[str, Any], str]] = {
    "rgb.png": (RGB, {}, "RGB"),
    "grey.png": (RGB.convert("L"), {}, "L"),
    "bits.png": (RGB.convert("1"), {}, "1"),
    "palette.png": (RGB.quantize(40), {}, "P"),
    "clear_palette.png": (RGB.quantize(40), {"transparency": 3}, "P"),
    "clear.png": (dots(4), {}, "RGBA"),
    "clear_grey.png": (dots(4).convert("LA"), {}, "LA"),
    "deep.png": (dots(dtype=np.uint16), {}, "I;16"),
    "deep.tif": (dots(dtype=np.uint16), {}, "I;16"),
    "ink.tif": (RGB.convert("CMYK"), {}, "CMYK"),
    "ink.jpg": (RGB.convert("CMYK"), {}, "CMYK"),
    "film.gif": (RGB.quantize(64), {}, "P"),
    **{f"turned{n}.png": (RGB, {"exif": turned(n)}, "RGB") for n in range(1, 9)},
    "turned6.webp": (RGB, {"exif": turned(6), "lossless": True}, "RGB"),
}


def test_what_opencv_4_makes_of_a_part_of_a_jpeg_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = saved("whole.jpg", RGB).read_bytes()
    Path("part.jpg").write_bytes(whole[:-20])
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: np.zeros((13, 17, 3), np.uint8))
    assert not read_picture(Path("whole.jpg")).any()
    with pytest.raises(PictureError, match=r"^part\.jpg is no picture .* can decode, or only a part of one$"):
        read_picture(Path("part.jpg"))


@pytest.mark.parametrize("name", IMAGES)
def test_images_of_pillow_have_the_pixels_of_their_files(name: str) -> None:
    image, options, mode = IMAGES[name]
    path = saved(name, image, **options)
    with PIL.Image.open(path) as opened:
        assert opened.mode == mode
        found = read_pil(opened, name).astype(int)
        assert (opened.mode, opened.size) == (mode, image.size)  # the caller's image stays
    wanted = read_picture(path)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= (mode == "CMYK")  # the two round ink differently


def test_images_of_pillow_that_are_no_pictures() -> None:
    half = saved("whole.png", RGB).read_bytes()[:300]
    Path("half.png").write_bytes(half)
    with pytest.raises(PictureError, match=r"^x\[2\] cannot be decoded: image file is truncated"):
        read_pil(PIL.Image.open("half.png"), "x[2]")
    for mode in ("I", "F"):
        with pytest.raises(PictureError, match=rf"^x has the mode '{mode}', which does not say .* array\.astype"):
            read_pil(RGB.convert("L").convert(mode), "x")


def test_arrays_that_are_pictures() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for array in (grey, grey[..., None], np.dstack([grey] * 3)):
        assert np.array_equal(read_array(array, "x"), np.dstack([grey] * 3))


def test_a_batch_keeps_pictures_and_positions_together() -> None:
    for name, patch in (("0.png", (0, 0, 1, 1)), ("2.png", (0, 0, 2, 2)), ("3.png", (0, 0, 4, 4))):
        draw(Path(name), "green", patch)
    touch("1.png", "4.png", "5.png")
    prepare = Preparation(lambda picture: (np.float32(picture.mean((0, 1))), picture), "mean")
    sources = [File(Path(f"{i}.png")) for i in range(6)]
    batch = read_batch(sources, prepare, skips=True)
    green = (batch.images[..., 1] == 255).sum(axis=(1, 2))
    assert (batch.kept.tolist(), green.tolist()) == ([0, 2, 3], [1, 4, 16])
    assert np.allclose(batch.x[:, 1], green * 255 / 200)
    assert list(batch.skipped.items()) == [(f"{i}.png", f"{i}.png is an empty file") for i in (1, 4, 5)]
    assert batch.reasons == "1.png is an empty file; 4.png is an empty file; 5.png is an empty file"
    with pytest.raises(PictureError, match=r"^1\.png is an empty file$"):
        read_batch(sources, prepare)
    touch("6.png")
    message = r"^none of the 4 pictures could be read\. 1\.png is an empty file; .*; 5\.png is an .*; and 1 more$"
    with pytest.raises(InputError, match=message):
        read_batch([*(sources[n] for n in (1, 4, 5)), File(Path("6.png"))], prepare, skips=True)


def test_batches_of_a_source_keep_pictures_ids_and_truth_together() -> None:
    for name, patch in (("0.png", (0, 0, 1, 1)), ("2.png", (0, 0, 2, 2)), ("3.png", (0, 0, 4, 4))):
        draw(Path(name), "green", patch)
    touch("1.png", "4.png", "5.png")
    prepare = Preparation(lambda picture: (np.float32(picture.mean((0, 1))), picture), "mean")
    listing = Listing.of([File(Path(f"{i}.png")) for i in range(6)], np.arange(6))
    seen = []
    for batch in Reading.of(listing, prepare, 2).batches(2, ""):
        green = None if batch.images is None else (batch.images[..., 1] == 255).sum(axis=(1, 2))
        assert green is None or np.allclose(batch.x[:, 1], green * 255 / 200)
        truth = None if batch.truth is None else batch.truth.tolist()
        broken = [(one.item.id, one.error) for one in batch.broken]
        seen.append((batch.ids, None if green is None else green.tolist(), truth, broken))
    assert seen == [
        (["0.png"], [1], [0], [("1.png", "1.png is an empty file")]),
        (["2.png", "3.png"], [4, 16], [2, 3], []),
        ([], None, None, [(f"{i}.png", f"{i}.png is an empty file") for i in (4, 5)]),
    ]
