"""Pictures as people have them, and as a model takes them: found, read, prepared, and stacked.

A `Source` is one picture that can be read; a `Preparation` makes a model's input of it; `read_batch` stacks the inputs
of one call.
"""

from xaicore.pictures.batch import PictureBatch, read_batch
from xaicore.pictures.example import example, or_imagenet, remedy
from xaicore.pictures.files import SUFFIXES, VIDEOS, find_pictures, picture_id
from xaicore.pictures.preparation import IMAGENET, Preparation, check_single
from xaicore.pictures.reading import PictureError, read_picture
from xaicore.pictures.sources import File, InMemory, Source, find_sources, sources_of
from xaicore.pictures.video import MOST_FRAMES, Frame

__all__ = [
    "IMAGENET",
    "MOST_FRAMES",
    "SUFFIXES",
    "VIDEOS",
    "File",
    "Frame",
    "InMemory",
    "PictureBatch",
    "PictureError",
    "Preparation",
    "Source",
    "check_single",
    "example",
    "find_pictures",
    "find_sources",
    "or_imagenet",
    "picture_id",
    "read_batch",
    "read_picture",
    "remedy",
    "sources_of",
]
