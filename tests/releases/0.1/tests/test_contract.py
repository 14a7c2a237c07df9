"""The contract, as version 1 of the kit has it."""

import json

import numpy as np
import xaicore_stonelog
import xaicore_stonenet
from stonenet import Net

from xaicore import testing


class TestStonenet(testing.BackendTests):
    kit_version = 1
    plugin = xaicore_stonenet
    frameworks = ("stonenet",)
    lacks = {"tokens": "there is one net, of convolutions", "pair": "it takes one picture"}  # noqa: RUF012

    def build_conv(self, net):
        weights = {"conv1": net.conv1, "conv2": net.conv2, "dense": net.dense}
        biases = {"conv1.bias": net.bias1, "conv2.bias": net.bias2, "dense.bias": net.bias}
        return Net(weights | biases, net.link), {name: name for name in net.layers}

    def to_inputs(self, picture):
        return picture

    def state(self, model):
        return {**vars(model), "hooks": len(model.hooks)}


class TestModels(testing.ModelSourceTests):
    kit_version = 1
    plugin = xaicore_stonenet
    frameworks = ("stonenet",)
    model = "stonenet/tiny"
    suffix = ".npz"

    def save(self, model, file):
        np.savez(file, **model.weights)


class TestStonelog(testing.LoggerTests):
    kit_version = 1
    plugin = xaicore_stonelog
    lacks = {"network": "it writes files"}  # noqa: RUF012

    def options(self, folder):
        return {"folder": str(folder / "stones")}

    def rows(self, folder):
        lines = map(json.loads, (folder / "stones" / "stone.jsonl").read_text(encoding="utf-8").splitlines())
        rows = [line for line in lines if "id" in line]
        return {tuple(row[name] for name in ("step", "id", "k", "method", "layer")): row for row in rows}.values()


class TestStonecam(testing.MethodTests):
    kit_version = 1
    plugin = "xaicore_stonecam:stonecam"
