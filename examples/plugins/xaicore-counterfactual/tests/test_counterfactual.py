"""The contract of methods, checked on this one."""

from xaicore import testing


class TestCounterfactual(testing.MethodTests):
    kit_version = 2
    plugin = "xaicore_counterfactual:counterfactual"
