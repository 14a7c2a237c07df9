"""What people see of an explanation: pictures, drawings, captions, pages.

Nothing here knows an `Explanation`: it works on arrays, and on rows as `Explanation.row` gives them.
"""

from xaicore.show.drawing import Drawing
from xaicore.show.rows import by_group, image_key, map_key, mean
from xaicore.show.words import caption, digest, escape_surrogates, finite, safe_name, slug, verdict

__all__ = [
    "Drawing",
    "by_group",
    "caption",
    "digest",
    "escape_surrogates",
    "finite",
    "image_key",
    "map_key",
    "mean",
    "safe_name",
    "slug",
    "verdict",
]
