"""Backends whose numbers are right, and whose facts differ from the closed form where no single check had looked."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from broken_backends import Changed, OtherFacts, breaks
from broken_on_other_nets import is_a
from framework import Sound

from xaicore.layers import no_run


@breaks("facts-layers")
class PutsTheImagesElsewhere(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, batch_axis=1) if is_a(self, "conv") and layer.name == "pool" else layer


@breaks("facts-reached", only_by="test_where_gradients_arrive")
class SaysThatNothingArrivesAtWords(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, reached={}) if is_a(self, "words") and layer.name == "embedding" else layer


@breaks("facts-reached", only_by="test_where_gradients_arrive")
class SaysThatGradientsArriveEverywhere(OtherFacts):
    def of_layer(self, layer):
        everywhere = {axis: [True] * len(at) for axis, at in layer.reached.items()}
        return replace(layer, reached=everywhere) if is_a(self, "causal") else layer


@breaks("facts-inputs", only_by="test_readers_of_all_inputs")
class TakesAllRunsForThoseOfEachInput(OtherFacts):
    def of_pass(self, facts):
        inputs = tuple(replace(one, reader_runs=(True, False)) for one in facts.inputs)
        return replace(facts, inputs=inputs) if is_a(self, "pair") else facts


@breaks("facts-outputs", only_by="test_score_maps_of_few_classes")
class DropsTheOnlyClass(Changed):
    def change(self, captured):
        outputs = captured.outputs
        return replace(captured, outputs=outputs[:, 0]) if outputs.ndim == 4 and outputs.shape[1] == 1 else captured


@breaks("backend-arrays", only_by="test_inputs_as_arrays")
class TakesWordsForFractions(Sound):
    @staticmethod
    def to_numpy(value):
        return np.asarray(value, np.float32) if np.asarray(value).dtype == np.int32 else np.asarray(value)


@breaks("backend-hash", only_by="test_a_model_with_weights_has_a_hash")
class KnowsNoHash(Sound):
    def weights_hash(self):
        return None


@breaks("powers-attention", only_by="test_attention_along_rows_and_columns")
class CountsTheRowsOfOnePicture(Sound):
    def attention_facts(self, name, weights):
        return replace(super().attention_facts(name, weights), shape=(1, *weights.shape[1:]))


@breaks("powers-attention", only_by="test_whether_gradients_reach_attention")
class DoesNotSeeWhetherAttentionIsReached(Sound):
    def attention_facts(self, name, weights):
        return replace(super().attention_facts(name, weights), reached=None)


@breaks("powers-guided", only_by="test_rules_of_one_target")
class AppliesRulesToSeveralTargets(Sound):
    def backward(self, values, rows, rule):
        return super().backward(values, rows, rule if rows.shape[1] > 1 else "plain")


@breaks("facts-reads", only_by="test_which_tokens_are_of_the_picture")
class TellsPartsOfAllLayers(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, parts={0: {1: (0, 9)}}) if is_a(self, "halves") and layer.name == "embedding" else layer


@breaks("facts-runs", only_by="test_the_first_run_of_layers_that_run_once")
class CountsRunsFromZero(Sound):
    def run_of(self, layer):
        if is_a(self, "conv") and layer.endswith("#1"):
            raise no_run(layer, 1, 1)
        return super().run_of(layer)


@breaks("facts-outputs", only_by="test_score_maps_of_few_classes")
class TakesHeightForTwoClasses(OtherFacts):
    def of_pass(self, facts):
        return replace(facts, class_axis=2) if facts.outputs.get(0, ())[1:2] == (2,) else facts


@breaks("facts-takes", only_by="test_what_layers_take_as_arrays")
class GivesWhatTheReaderTakesForAll(Sound):
    def input_of(self, inputs, layer):
        return super().input_of(inputs, next(iter(self.net.layers)))


@breaks("backend-quiet", only_by="test_resuming_quietly")
class WarnsOfSeveralRowsPerImage(Sound):
    def resume_parts(self, inputs, layer, activations):
        if is_a(self, "residual") and len(activations) > len(inputs) > 1:
            warnings.warn("it is run as a whole", RuntimeWarning, stacklevel=2)
        return super().resume_parts(inputs, layer, activations)
