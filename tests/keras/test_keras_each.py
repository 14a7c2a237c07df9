"""Images of different sizes: what a call for each alone returns."""

import keras
import numpy as np
import pytest

import xaicore


def test_each_picture_is_explained_as_if_alone():
    keras.utils.set_random_seed(0)
    x = keras.Input((None, None, 3))
    maps = keras.layers.Conv2D(4, 3, activation="relu", name="maps")(x)
    model = keras.Model(x, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(maps)))
    rng = np.random.default_rng(0)
    pictures = [rng.random((20, 30, 3), np.float32), rng.random((16, 24, 3), np.float32)]
    with pytest.raises(xaicore.InputError, match=r"a map each: xaicore\.explain_each\(xaicore\.Explainer"):
        xaicore.explain(model, pictures, 1)
    found = xaicore.explain_each(xaicore.Explainer(model), pictures, 1)
    for one, picture in zip(found, pictures, strict=True):
        alone = xaicore.explain(model, picture[None], 1)
        assert one.input_size == picture.shape[:2]
        np.testing.assert_allclose(one.maps, alone.maps, rtol=1e-5, atol=1e-9)
