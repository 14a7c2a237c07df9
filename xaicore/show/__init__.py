"""What people see of an explanation: pictures, drawings, captions, pages.

Nothing here imports `Explanation`: functions take arrays, and rows as `Explanation.row` gives them.
"""

from xaicore.show.drawing import Drawing
from xaicore.show.encoding import png
from xaicore.show.rows import by_group, by_target, image_key, image_name, map_key, mean, scores
from xaicore.show.words import caption, digest, escape_surrogates, evidence, finite, safe_name, slug, verdict, views

__all__ = [
    "Drawing",
    "by_group",
    "by_target",
    "caption",
    "digest",
    "escape_surrogates",
    "evidence",
    "finite",
    "image_key",
    "image_name",
    "map_key",
    "mean",
    "png",
    "safe_name",
    "scores",
    "slug",
    "verdict",
    "views",
]
