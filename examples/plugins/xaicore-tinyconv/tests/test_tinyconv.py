"""The contract of backends, checked on this one."""

import tinyconv
import xaicore_tinyconv

from xaicore import testing


class TestTinyconv(testing.BackendTests):
    kit_version = 2
    plugin = xaicore_tinyconv
    frameworks = ("tinyconv",)
    lacks = {  # noqa: RUF012 (a constant)
        "facts": "a net of tinyconv is always the same, so that there is nothing to observe",
        "heads": "a net ends in its dense layer",
        "bias": "layers have none",
        "residual": "a net of tinyconv is always the same",
        "segments": "a net of tinyconv ends in its dense layer",
        "shares": "a net of tinyconv ends in its dense layer",
        "half": "a net of tinyconv computes in float32",
        "turned": "its pictures have their channels last",
        "leaky": "its activations are ReLUs",
        "modes": "it has none",
        "frozen": "weights have no gradients",
    }

    def build_conv(self, net):
        kernels = (kernel.transpose(2, 3, 1, 0) for kernel in (net.conv1, net.conv2))
        return tinyconv.Net(*kernels, net.dense.T), {name: name for name in net.layers}

    def to_inputs(self, picture):
        return picture.transpose(0, 2, 3, 1)

    def state(self, model):
        return vars(model)
