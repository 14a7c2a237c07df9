"""The subjects of Keras' benchmark: the bare forward pass, xaicore, Grad-CAM by hand, and the peers.

A subject is built once for a model and the layer to explain, and then called with a batch. Apart from the forward
passes and `resume`, it returns one heatmap per image and class at the input's resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from benchmarks.report import Run


def bare(model: keras.Model, layer: str) -> Run:
    """The forward pass alone, as the framework compiles it, until its result is available."""
    return _for_backend(tensorflow=_tensorflow_forward, jax=_jax_forward, torch=_torch_forward)(model)


def _tensorflow_forward(model: keras.Model) -> Run:
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
    return tf.function(lambda x: model(x, training=False), input_signature=signature)


def _jax_forward(model: keras.Model) -> Run:
    import jax

    @jax.jit
    def forward(trained: list[Any], others: list[Any], x: Any) -> Any:
        outputs, _ = model.stateless_call(trained, others, x, training=False)
        return outputs

    def run(x: Any) -> Any:
        trained = [variable.value for variable in model.trainable_variables]  # `predict` replaces all of them
        others = [variable.value for variable in model.non_trainable_variables]
        return forward(trained, others, x).block_until_ready()

    return run


def _torch_forward(model: keras.Model) -> Run:
    import torch

    def run(x: Any) -> Any:
        with torch.inference_mode():
            return model(x, training=False)

    return run


def xaicore_one(model: keras.Model, layer: str) -> Run:
    """Grad-CAM of the predicted class, with the upsampled map; xaicore finds the layer."""
    import xaicore

    explainer = xaicore.Explainer(model)
    return lambda x: explainer(x).heatmaps()


def xaicore_five(model: keras.Model, layer: str) -> Run:
    """Grad-CAM of the five most probable classes, with the upsampled maps; xaicore finds the layer."""
    import xaicore

    explainer = xaicore.Explainer(model)
    five = xaicore.targets.TopK(5)
    return lambda x: explainer(x, five).heatmaps()


def xaicore_resume(model: keras.Model, layer: str) -> Run:
    """The outputs computed from the layer's activations, as perturbation methods need them many times."""
    import xaicore

    backend = xaicore.Explainer(model).backend
    _, *spatial, channels = model.get_layer(layer).output.shape
    activations = np.random.default_rng(0).random((8, channels, *spatial), np.float32)
    return lambda x: backend.resume(x, layer, activations[: len(x)])


def predict(model: keras.Model, layer: str) -> Run:
    """The forward pass as most users call it."""
    return lambda x: model.predict(x, verbose=0)


def tutorial(model: keras.Model, layer: str) -> Run:
    """Grad-CAM as in tutorials, eager; but in batches, and with the models built once instead of in each call."""
    gradient = _for_backend(tensorflow=_tensorflow_gradient, jax=_jax_gradient, torch=_torch_gradient)(model, layer)

    def run(x: Any) -> Any:
        maps, gradients = gradient(x)
        weights = ops.mean(gradients, axis=(1, 2), keepdims=True)
        cams = ops.relu(ops.sum(weights * maps, axis=-1, keepdims=True))
        cams = cams / (ops.max(cams, axis=(1, 2, 3), keepdims=True) + 1e-8)
        return ops.convert_to_numpy(ops.image.resize(cams, x.shape[1:3]))

    return run


def _tensorflow_gradient(model: keras.Model, layer: str) -> Run:
    """As on keras.io, "Grad-CAM class activation visualization"."""
    import tensorflow as tf

    both = keras.Model(model.inputs, [model.get_layer(layer).output, model.output])

    def run(x: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            maps, predictions = both(x)
            score = tf.reduce_max(predictions, axis=1)
        return maps, tape.gradient(score, maps)

    return run


def _jax_gradient(model: keras.Model, layer: str) -> Run:
    """The model is cut in two at the layer; `jax.grad` differentiates the second half."""
    import jax

    features = keras.Model(model.inputs, model.get_layer(layer).output)
    classifier = keras.Model(model.get_layer(layer).output, model.output)
    gradient = jax.grad(lambda maps: classifier(maps).max(axis=1).sum())

    def run(x: Any) -> tuple[Any, Any]:
        maps = features(x)
        return maps, gradient(maps)

    return run


def _torch_gradient(model: keras.Model, layer: str) -> Run:
    """As on TensorFlow, with torch's autograd."""
    import torch

    both = keras.Model(model.inputs, [model.get_layer(layer).output, model.output])

    def run(x: Any) -> tuple[Any, Any]:
        maps, predictions = both(x)
        (gradients,) = torch.autograd.grad(predictions.amax(dim=1).sum(), maps)
        return maps.detach(), gradients

    return run


def tf_keras_vis(model: keras.Model, layer: str) -> Run:
    """tf-keras-vis, on logits as its manual recommends."""
    import tensorflow as tf
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear

    cam = Gradcam(model, model_modifier=ReplaceToLinear(), clone=True)
    return lambda x: cam(lambda outputs: tf.reduce_max(outputs, axis=1), x, penultimate_layer=layer)


def xplique(model: keras.Model, layer: str) -> Run:
    """xplique; it needs the class as an argument, hence a second forward pass."""
    import tensorflow as tf
    from xplique.attributions import GradCAM

    forward = _tensorflow_forward(model)
    cam = GradCAM(model, conv_layer=layer)

    def run(x: Any) -> Any:
        scores = forward(x)
        return cam(x, tf.one_hot(tf.argmax(scores, axis=1), scores.shape[1]))

    return run


def _for_backend(**choices: Callable[..., Run]) -> Callable[..., Run]:
    return choices[keras.backend.backend()]


Subject = Callable[[keras.Model, str], Run]

OURS: dict[str, Subject] = {"xaicore": xaicore_one, "xaicore, 5 classes": xaicore_five, "resume": xaicore_resume}
BY_HAND: dict[str, Subject] = {"model.predict": predict, "tutorial": tutorial}
PEERS: dict[str, Subject] = {"tf-keras-vis": tf_keras_vis, "xplique": xplique}
SUBJECTS: dict[str, Subject] = {"bare": bare, **OURS, **BY_HAND, **PEERS}
