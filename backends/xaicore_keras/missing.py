"""What Keras lacks, and what to type. Imports neither Keras nor a framework."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

__all__ = ["INSTALL", "missing"]

FRAMEWORKS = ("tensorflow", "jax", "torch")
"""What is installed for most models. What else Keras is set to is for Keras to find."""
INSTALL = 'pip install "xaicore[tensorflow]", or pip install "xaicore[jax]"'


def missing() -> tuple[list[str], str] | None:
    """(names, what to type), or None where Keras and the framework that it is set to are installed."""
    there, chosen = [name for name in FRAMEWORKS if find_spec(name)], _chosen()
    lacks = [] if find_spec("keras") else ["keras"]
    if not there and chosen in FRAMEWORKS:
        return [*lacks, "one of tensorflow, jax and torch"], INSTALL
    if lacks:
        return lacks, 'pip install "xaicore[keras]"'
    if chosen in FRAMEWORKS and chosen not in there:
        return [chosen], f'export KERAS_BACKEND={there[0]}, or pip install "xaicore[{chosen}]"'
    return None


def _chosen() -> str:
    """The framework that `import keras` takes: KERAS_BACKEND, else that of keras.json, else TensorFlow."""
    named = os.environ.get("KERAS_BACKEND")
    if named is not None:
        return named
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    try:
        named = json.loads(Path(home, "keras.json").read_text(encoding="utf-8")).get("backend")
    except (OSError, ValueError, AttributeError):  # Keras writes this file when it is first imported
        named = None
    return named if isinstance(named, str) else "tensorflow"
