"""OpenCV, or an error that says how to get one that loads.

`import cv2` fails on most servers when the desktop build is installed, because that one wants libGL. The rest
of the package imports cv2 from here, so that the remedy is named in one place.
"""

from xaicore.errors import DependencyError

__all__ = ["cv2"]

try:
    import cv2
except ImportError as exc:
    raise DependencyError(
        f"OpenCV does not load: {exc}. xaicore needs no screen, so take the build without one: "
        "pip uninstall -y opencv-python opencv-contrib-python; "
        "pip install --force-reinstall opencv-python-headless"
    ) from exc
