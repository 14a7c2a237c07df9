"""Backends that are right on the other nets, and wrong on masks, on images of another axis, and on an open softmax."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from broken_backends import Changed, breaks, each
from broken_on_other_nets import is_a
from framework import Sound

from xaicore.facts import AttentionFacts
from xaicore.outputs import Output
from xaicore.testing.nets.description import AXES


@breaks("powers-attention", only_by="test_masked_attention")
class TakesEveryMaskForCausal(Sound):
    def attention(self, inputs):
        found = super().attention(inputs)
        is_masked = is_a(self, "masked")
        return [replace(one, causal=one.causal or (is_masked and one.name == "mixed2")) for one in found]


@breaks("powers-attention", only_by="test_masked_attention")
class SeesThatAttentionIsCausalByItsNameAlone(Sound):
    def attention(self, inputs):
        return [replace(one, causal=is_a(self, "causal")) for one in super().attention(inputs)]


@breaks("powers-attention", only_by="test_masked_attention")
class ForgetsTheBias(Changed):
    def change(self, captured):
        if not is_a(self, "masked"):
            return captured
        alike = each(captured.attention, lambda one: replace(one, weights=np.roll(one.weights, 1, axis=1)))
        return replace(captured, attention=alike)


@breaks("powers-attention", only_by="test_masked_attention")
class GivesGradientsOfTheFirstBlockForTheSecond(Changed):
    def change(self, captured):
        if not is_a(self, "masked") or "mixed2" not in captured.gradients:
            return captured
        return replace(captured, gradients={**captured.gradients, "mixed2": captured.gradients["mixed1"]})


@breaks("powers-parts", only_by="test_images_on_another_axis")
class TurnsClassesAndColumns(Changed):
    def change(self, captured):
        is_turned = is_a(self, "sequence") and captured.outputs.shape[0] == 8
        return replace(captured, outputs=captured.outputs.swapaxes(0, 2).copy()) if is_turned else captured


@breaks("powers-parts", only_by="test_images_on_another_axis")
class GivesPartsByColumn(Sound):
    def parts(self, values):
        found = super().parts(values)
        return {name: np.moveaxis(one, 2, 0) for name, one in found.items()} if is_a(self, "sequence") else found


@breaks("powers-parts", only_by="test_images_on_another_axis")
class SaysThatClassesAreOnTheSecondAxis(Sound):
    def observe(self, inputs):
        return replace(super().observe(inputs), class_axis=1)


@breaks("backend-outputs", only_by="test_images_on_an_axis_that_nobody_stated")
class TakesTheFirstAxisForImages(Sound):
    def __init__(self, model, output=None):
        super().__init__(model, Output(axes=AXES) if model.net.name == "sequence" and output is None else output)


@breaks("backend-kinds", only_by="test_kinds_and_links")
class CallsProbabilitiesLogits(Changed):
    def change(self, captured):
        if not is_a(self, "shares"):
            return captured
        answer = self.net.answer({"dense": captured.outputs.astype(np.float64)})
        return replace(captured, outputs=answer.astype(np.float32), link=None)


@breaks("powers-attention", only_by="test_nets_without_attention")
class TakesClassesForTokens(Sound):
    def attention(self, inputs):
        is_map = is_a(self, "segments") and self.net.link == "softmax"
        return [AttentionFacts("dense", (1, 6, 8, 4))] if is_map else super().attention(inputs)
