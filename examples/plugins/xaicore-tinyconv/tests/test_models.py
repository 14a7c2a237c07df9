"""The contract of models by name."""

import numpy as np
import xaicore_tinyconv

from xaicore import testing


class TestModels(testing.ModelSourceTests):
    kit_version = 2
    plugin = xaicore_tinyconv
    frameworks = ("tinyconv",)
    lacks = {"class_names": "no net of tinyconv was trained on named classes"}  # noqa: RUF012
    model = "tinyconv/small"
    suffix = ".npz"

    def save(self, model, file):
        np.savez(file, **vars(model))
