"""Backends that are right on the nets of the kit, and wrong where these or their pictures have another form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from broken_backends import Changed, OtherFacts, breaks, each
from broken_on_other_nets import is_a
from framework import Sound

from xaicore import InputError


@breaks("powers-attention", only_by="test_attention_in_single_operations")
class SeesNoAttentionThatIsWrittenByHand(Sound):
    def attention(self, inputs):
        return [] if is_a(self, "open") else super().attention(inputs)


@breaks("powers-attention", only_by="test_attention_in_single_operations")
class TakesHeadsForImages(Changed):
    def change(self, captured):
        if len(captured.outputs) != 3:
            return captured
        turned = each(captured.attention, lambda one: replace(one, weights=one.weights[::-1].copy()))
        return replace(captured, attention=turned)


@breaks("backend-half")
class LosesSmallGradientsInHalfPrecision(Changed):
    def change(self, captured):
        rounded = each(captured.gradients, lambda g: g.astype(np.float16).astype(np.float32))
        return replace(captured, gradients=rounded) if is_a(self, "half") else captured


@breaks("backend-half")
class GivesOutputsInHalfPrecision(Changed):
    def change(self, captured):
        return replace(captured, outputs=captured.outputs.astype(np.float16)) if is_a(self, "half") else captured


@breaks("backend-layout")
class SaysThatChannelsAreFirstWhateverTheModel(Sound):
    channels_last = False  # type: ignore[assignment]  # of all models


@breaks("backend-layout")
class ReadsTheSizeOfTurnedPicturesFromOtherAxes(Changed):
    def change(self, captured):
        return replace(captured, input_size=(8, 1)) if is_a(self, "turned") else captured


@breaks("backend-layout")
class TurnsGradientsOfTurnedPictures(Changed):
    def change(self, captured):
        turned = each(captured.gradients, lambda g: g.swapaxes(-1, -2))
        return replace(captured, gradients=turned) if is_a(self, "turned") else captured


@breaks("backend-inputs", only_by="test_pictures_with_the_axes_of_others")
class SaysHowToMoveAxesTheWrongWay(Sound):
    def pictures(self, inputs):
        shape = np.shape(inputs) if isinstance(inputs, np.ndarray) else ()
        if shape[-1:] == (3,):
            raise InputError(f"inputs {shape}: pass np.moveaxis(x, 1, -1)")
        return super().pictures(inputs)


@breaks("backend-nan", only_by="test_large_pictures")
class TakesLargeNumbersForNaN(Sound):
    def pictures(self, inputs):
        with np.errstate(over="ignore"):
            if not isinstance(inputs, dict) and not all(np.isfinite(np.float32(np.sum(one))) for one in inputs):
                raise InputError("the inputs are not finite")
        return super().pictures(inputs)


@breaks("backend-arrays", only_by="test_pictures_of_whole_numbers")
class DoesNotKnowWhatReadsWholeNumbers(OtherFacts):
    def observe(self, inputs):
        found = super().observe(inputs)
        if np.asarray(inputs[0]).dtype.kind == "f":
            return found
        return replace(found, layers=tuple(replace(layer, reads=None) for layer in found.layers))


@breaks("backend-arrays", only_by="test_pictures_of_whole_numbers")
class ScalesWholeNumbers(Sound):
    def pictures(self, inputs):
        given = super().pictures(inputs)
        return tuple(one / np.float32(255) if one.dtype == np.uint8 else one for one in given)


@breaks("facts-outputs", only_by="test_stated_axes_beside_those_that_the_layers_show")
class DoesNotShowWhichAxisHoldsTheClasses(OtherFacts):
    def of_pass(self, facts):
        return replace(facts, shown_class_axis=None)


@breaks("facts-outputs", only_by="test_stated_axes_beside_those_that_the_layers_show")
class ShowsTheAxisThatNobodyStated(OtherFacts):
    def of_pass(self, facts):
        return replace(facts, shown_class_axis=1)


@breaks("powers-guided", only_by="test_rules_without_relus")
class IgnoresRulesWhereThereAreNoReLUs(Sound):
    def capture(self, *args, rules=(), **asked):
        if is_a(self, "tokens"):
            return super().capture(*args, rules=["plain" for _ in rules], **asked)
        return super().capture(*args, rules=rules, **asked)


@breaks("backend-kinds", only_by="test_logits_are_reached")
class ExplainsProbabilities(Sound):
    def capture(self, inputs, layers, direction=None, **asked):
        def of_probabilities(outputs, kind, *more):
            rows = direction(self.net.answer({"dense": outputs}), "probabilities", *more)
            return self.net.answer_back({"dense": outputs}, rows)

        captured = super().capture(inputs, layers, direction and of_probabilities, **asked)
        outputs = self.net.answer({"dense": captured.outputs}).astype(np.float32)
        return replace(captured, outputs=outputs, outputs_kind="probabilities") if self.net.link else captured


@breaks("powers-parts")
class GivesLogitsForParts(Sound):
    def parts(self, values):
        return {0: values["dense"].astype(np.float32)} if self.net.link else super().parts(values)


@breaks("powers-parts", only_by="test_functions_that_read_no_scores")
class TakesTruthValuesForScores(Sound):
    def capture(self, *args, **asked):
        read = self.described.read
        if read is not None:
            self.described = replace(self.described, read=lambda answer: _as_scores(read(answer)))
        return super().capture(*args, **asked)


def _as_scores(read):
    return read.astype(float) if isinstance(read, np.ndarray) and read.dtype == bool else read


@breaks("powers-guided", only_by="test_leaky_relus")
class TakesLeakyReLUsForReLUs(Sound):
    def backward(self, values, rows, rule):
        pulled = super().backward(values, rows, rule)
        return {name: g * 2 if name == "input" else g for name, g in pulled.items()} if is_a(self, "leaky") else pulled


@breaks("backend-gradients", only_by="test_layers_out_of_reach")
class GivesNoErrorForLayersOutOfReach(Changed):
    def capture(self, inputs, layers, direction=None, **asked):
        other = {"shape": "colour", "colour": "shape"}.get(self.net.end if is_a(self, "outputs") else "")
        captured = super().capture(inputs, layers, None if other in layers else direction, **asked)
        return replace(captured, gradients={other: captured.activations[other]}) if other in layers else captured


@breaks("powers-resume", only_by="test_resuming_from_rows_that_do_not_fit")
class ResumesFromAnyRows(Sound):
    def resume(self, inputs, layer, activations):
        whole = activations[: len(activations) // len(inputs) * len(inputs)] if is_a(self, "conv") else activations
        return super().resume(inputs, layer, whole)


@breaks("backend-inputs", only_by="test_what_is_no_picture")
class ReadsNumbersInTexts(Sound):
    def pictures(self, inputs):
        is_text = isinstance(inputs, np.ndarray) and inputs.dtype.kind == "U"
        return super().pictures(inputs.astype(np.float32) if is_text else inputs)


@breaks("backend-unknown-layer", only_by="test_names_of_layers")
class CallsLayersByOtherNames(Sound):
    def layer_name(self, name):
        return super().layer_name(name).upper()


@breaks("backend-names")
class KnowsOneNameOnly(Sound):
    def run_of(self, layer):
        self.model.second_names.clear()
        return super().run_of(layer)


@breaks("backend-names")
class CapturesUnderTheFirstName(Changed):
    def capture(self, inputs, layers, *args, **asked):
        known = dict.fromkeys(self.model.second_names.get(name, name) for name in layers)
        return super().capture(inputs, list(known), *args, **asked)


@breaks("backend-names")
class NamesNoLayerOfTheFacts(Sound):
    def layer_name(self, name):
        return name if name in self.model.second_names else super().layer_name(name)


@breaks("backend-names")
class ListsALayerUnderBothNames(OtherFacts):
    def of_layer(self, layer):
        again = tuple(name for name, first in self.model.second_names.items() if first == layer.name)
        return replace(layer, aliases=again)


@breaks("backend-names")
class ResumesFromTheLayerBefore(Sound):
    def resume(self, inputs, layer, activations):
        return super().resume(inputs, layer, activations * (2 if layer in self.model.second_names else 1))


@breaks("facts-axes", only_by="test_axes_of_all_layers")
class PlacesTheChannelsOfReLUs(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, channel_axis=3) if is_a(self, "residual") and layer.name == "relu1" else layer


@breaks("facts-axes", only_by="test_axes_of_all_layers")
class CountsTheTapsOfKernels(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, vectors=(9,)) if layer.kind == "convolution" else layer
