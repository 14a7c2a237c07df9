"""The Python of the page on Keras runs as it stands there."""

import keras
import numpy as np
import pages


def test_the_page_on_keras():
    names = pages.run("docs/keras.md")
    explanation, explainer, x = names["explanation"], names["explainer"], names["x"]
    assert explanation.maps.shape == (4, 4, 3)
    one, other = explanation.maps[0], explanation.maps[1]
    assert one.any() or other.any()
    assert not (one * other).any()  # the ReLUs of a map and of its negative
    assert explainer(x, 1).outputs_kind == "logits"
    assert not any(weight.trainable for weight in names["backbone"].weights)
    np.testing.assert_allclose(explanation.scores.reshape(2, 2).sum(axis=1), 1, rtol=1e-6)
    score = keras.ops.convert_to_numpy(names["old_for_its_kind"](names["two_heads"](names["small"])))
    np.testing.assert_allclose(names["of_score"].scores, score, rtol=1e-4, atol=1e-6)
