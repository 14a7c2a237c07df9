"""A published net: the one of RapidOCR that tells whether a line of text stands upside down."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

import xaicore

package = find_spec("rapidocr_onnxruntime")
if package is None:
    pytest.skip("needs rapidocr-onnxruntime: make test-plugins", allow_module_level=True)

FILE = Path(package.origin).parent / "models" / "ch_ppocr_mobile_v2.0_cls_infer.onnx"


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """A short word on the left of a white line, and the same line upside down."""
    line = np.full((48, 192, 3), 255, np.uint8)
    cv2.putText(line, "Rain", (6, 36), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 3)
    return np.stack([line, line[::-1, ::-1]])


def prepared(pictures: np.ndarray) -> np.ndarray:
    return (pictures / np.float32(127.5) - 1).transpose(0, 3, 1, 2).astype(np.float32)


@pytest.mark.parametrize("method", ["reciprocam", "scorecam", "eigencam", "ablationcam"])
def test_the_evidence_lies_on_the_word(pictures: np.ndarray, method: str) -> None:
    explainer = xaicore.load(FILE, method=method)
    explanation = explainer(prepared(pictures), images=pictures, class_names=["upright", "upside down"])
    assert explanation.predicted.tolist() == [0, 1]
    assert explanation.scores.min() > 0.9
    assert explanation.layer == "Div@17"
    on_word = [explanation.maps[0][:, :48].sum(), explanation.maps[1][:, 48:].sum()]
    assert (np.array(on_word) > 0.55 * explanation.maps.sum(axis=(1, 2))).all()


def test_a_method_of_inputs_runs_on_two_passes_of_it(pictures: np.ndarray) -> None:
    explanation = xaicore.load(FILE, method=xaicore.method("rise", masks=40))(prepared(pictures[:1]), targets=[[0, 1]])
    assert explanation.maps.shape == (2, 48, 192)
    assert np.isfinite(explanation.maps).all()
    assert explanation.maps.max() > 0
