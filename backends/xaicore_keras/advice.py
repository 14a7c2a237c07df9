"""What to do about models and machines that behave in ways that a user does not expect."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

import keras

from xaicore.errors import BackendError, OutputError, XaicoreError
from xaicore_keras.answers import UnreadAnswer
from xaicore_keras.inputs import Inputs

__all__ = ["model_errors", "no_gradients", "warn_of_preprocessor"]


@contextlib.contextmanager
def model_errors(inputs: Inputs) -> Iterator[None]:
    """Raise what a model raises for these inputs as a BackendError, with what to do about it."""
    try:
        yield
    except XaicoreError:
        raise
    except UnreadAnswer as exc:
        raise OutputError(str(exc)) from exc.__cause__
    except Exception as exc:
        raise BackendError(f"the model raised {type(exc).__name__} for inputs {inputs}: {exc}{_remedy(exc)}") from exc


def _remedy(error: Exception) -> str:
    """What to do about an error that depends on the processor: TensorFlow enables oneDNN only on newer ones."""
    if keras.backend.backend() != "tensorflow" or not re.search(r"only supports (the )?NHWC", str(error)):
        return ""
    return (
        "\nTensorFlow runs channels-first convolutions on a CPU only with oneDNN, which it switches off on processors "
        "without AVX-512: set the environment variable TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported, or build "
        "the model with channels last"
    )


def warn_of_preprocessor(model: Any) -> bool:
    """Warn where `predict` preprocesses pictures, as models of keras-hub do, and a call of the model does not."""
    has_own_predict = not type(model).predict.__module__.startswith("keras.")
    if not has_own_predict or not callable(getattr(model, "preprocessor", None)):
        return False
    warnings.warn(
        f"{type(model).__name__} preprocesses pictures in predict(), with its `preprocessor`, not when it is called, "
        "as here: pass what the preprocessor makes of them, x = model.preprocessor(x)",
        RuntimeWarning,
        stacklevel=2,
    )
    return True


def no_gradients() -> BackendError:
    """The error for a direction, where the engine only runs forward."""
    return BackendError(
        f"Keras runs on {keras.backend.backend()!r}, for which no engine with gradients is installed: use a method "
        "without gradients, such as 'eigencam', or choose tensorflow, jax or torch: set KERAS_BACKEND before Keras is "
        "imported"
    )
