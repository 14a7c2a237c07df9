"""TensorFlow's matrix products have gradients of their own: equal to those that TensorFlow registers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's products")


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
def test_a_product_is_differentiated_as_by_tensorflow(transpose_a: bool, transpose_b: bool, dtype: str) -> None:
    import tensorflow as tf

    from xaicore_keras.engines.tensorflow_products import quick_products

    rng = np.random.default_rng(0)
    a = array(rng, (5, 3) if transpose_a else (3, 5), dtype)
    b = array(rng, (4, 5) if transpose_b else (5, 4), dtype)
    g = array(rng, (3, 4), dtype)

    def gradients(is_quick: bool) -> list[np.ndarray]:
        with tf.Graph().as_default() as graph:
            x, y = tf.constant(a), tf.constant(b)
            if is_quick:
                with quick_products(graph):
                    product = tf.linalg.matmul(x, y, transpose_a, transpose_b)
            else:
                product = tf.linalg.matmul(x, y, transpose_a, transpose_b)
            found = tf.gradients(product, [x, y], grad_ys=tf.constant(g))
            with tf.compat.v1.Session() as session:
                return session.run(found)

    for quick, plain in zip(gradients(True), gradients(False), strict=True):
        np.testing.assert_allclose(quick, plain, rtol=1e-5, atol=1e-6)


def array(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = rng.normal(size=shape)
    return (values + 1j * rng.normal(size=shape) if dtype == "complex64" else values).astype(dtype)
