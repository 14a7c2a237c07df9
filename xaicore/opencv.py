"""OpenCV, or an error that names the build to install.

The desktop build of OpenCV needs libGL, which most servers lack, so that `import cv2` fails there. The rest of the
package imports cv2 from here, so that the remedy is named in one place.
"""

from xaicore.errors import DependencyError

__all__ = ["cv2"]

try:
    import cv2
except ImportError as exc:
    raise DependencyError(
        f"OpenCV does not import: {exc}. xaicore needs no display, so install the headless build: "
        "pip uninstall -y opencv-python opencv-contrib-python; "
        "pip install --force-reinstall opencv-python-headless"
    ) from exc
