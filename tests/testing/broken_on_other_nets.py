"""Backends that are right on the first nets of the kit, and wrong on what real models have beside."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from broken_backends import Changed, OtherFacts, breaks, each
from framework import MODE, Model, Sound

from xaicore import OutputError
from xaicore.facts import AttentionFacts
from xaicore.testing.nets.net import Net
from xaicore.testing.nets.residual import ResidualNet

# Skips, norms, loops, blocks.


def is_a(backend: Sound, name: str) -> bool:
    return backend.net.name == name


@breaks("backend-gradients", only_by="test_passes_of_other_nets")
class ForgetsTheSkip(Sound):
    def backward(self, values, rows, rule):
        pulled = super().backward(values, rows, rule)
        if is_a(self, "residual"):
            pulled["relu1"] = pulled["relu1"] - pulled["relu2"] * (values["relu2"] > 0)[:, None]
        return pulled


@breaks("backend-gradients", only_by="test_passes_of_other_nets")
class TakesTheStatisticsOfTheBatch(Sound):
    def forward(self, *pictures):
        values = super().forward(*pictures)
        if is_a(self, "residual"):
            values["norm1"] = values["norm1"] - values["norm1"].mean(axis=(0, 2, 3), keepdims=True)
        return values


@breaks("backend-gradients", only_by="test_passes_of_other_nets")
class GivesTheLastRunForEach(Sound):
    def run_of(self, layer):
        return super().run_of(layer.partition("#")[0] if is_a(self, "loop") else layer)


@breaks("backend-gradients", only_by="test_passes_of_other_nets")
class AddsTheGradientsOfAllRuns(Sound):
    def backward(self, values, rows, rule):
        pulled = super().backward(values, rows, rule)
        if is_a(self, "loop"):
            pulled["shared#2"] = pulled["shared#2"] + pulled["shared#1"]
        return pulled


@breaks("backend-gradients", only_by="test_passes_of_other_nets")
class MovesTheClassesOfScoreMaps(Changed):
    def change(self, captured):
        if captured.outputs.ndim < 4:
            return captured
        return replace(captured, outputs=np.moveaxis(captured.outputs, 1, -1))


@breaks("backend-batch", only_by="test_batches_of_one")
class SqueezesABatchOfOne(Changed):
    def change(self, captured):
        if not is_a(self, "words") or len(captured.outputs) > 1:
            return captured
        return replace(captured, outputs=captured.outputs[0])


@breaks("backend-kinds", only_by="test_a_softmax_over_the_classes_of_a_score_map")
class DoesNotSeeTheSoftmaxOfAScoreMap(Changed):
    def change(self, captured):
        return replace(captured, link=None) if captured.outputs.ndim == 4 else captured


@breaks("state-restored", only_by="test_calls_on_other_nets")
class UpdatesTheStatistics(Sound):
    def observe(self, inputs):
        if isinstance(self.net, ResidualNet):
            self.net.conv1 += np.float32(1e-3)
        return super().observe(inputs)


@breaks("facts-layers", only_by="test_layers_of_other_nets")
class CountsALoopOnce(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, runs=1) if is_a(self, "loop") else layer


@breaks("facts-layers", only_by="test_layers_of_other_nets")
class SaysThatPicturesReadWords(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, reads=(0, 1)) if is_a(self, "words") else layer


@breaks("powers-input-gradients", only_by="test_input_gradients_of_other_nets")
class GivesGradientsOfWholeNumbers(Sound):
    def of_input(self, gradients, picture):
        return gradients.astype(np.float32)


@breaks("powers-input-gradients", only_by="test_input_gradients_of_other_nets")
class LetsRulesPassTheSkip(Sound):
    def backward(self, values, rows, rule):
        return super().backward(values, rows, "plain" if is_a(self, "residual") else rule)


@breaks("powers-resume")
class ResumesWithoutTheSkip(Sound):
    def resume_parts(self, inputs, layer, activations):
        if is_a(self, "residual"):
            inputs = inputs * np.float32(0)
        return super().resume_parts(inputs, layer, activations)


@breaks("powers-second", only_by="test_second_derivatives_of_other_nets")
class HasNoCurvatureOfWords(Sound):
    def second(self, inputs, layer, direction):
        found = super().second(inputs, layer, direction)
        return found + 1 if is_a(self, "words") else found


@breaks("powers-biases", only_by="test_biases_of_other_nets")
class TakesTheShiftForTheBiasOfANorm(Sound):
    def biases(self, inputs):
        found = super().biases(inputs)
        if isinstance(self.net, ResidualNet):
            shift = self.net.norms["norm1"]["shift"]
            found["norm1"] = np.broadcast_to(shift[:, None, None], found["norm1"].shape)
        return found


@breaks("powers-attention", only_by="test_two_attentions")
class GivesTheFirstAttentionForBoth(Changed):
    def change(self, captured):
        first = next(iter(captured.attention.values()), None) if is_a(self, "blocks") else None
        return replace(captured, attention=each(captured.attention, lambda one: first or one))


@breaks("powers-attention", only_by="test_causal_attention")
class DoesNotSeeTheMask(Sound):
    def attention_facts(self, name, weights):
        facts = super().attention_facts(name, weights)
        return replace(facts, causal=facts.causal and not is_a(self, "causal"))


@breaks("powers-attention", only_by="test_causal_attention")
class MasksNothing(Changed):
    def change(self, captured):
        if not is_a(self, "causal"):
            return captured
        smooth = each(captured.attention, lambda one: replace(one, weights=one.weights * 0.9 + 0.1 / 12))
        return replace(captured, attention=smooth)


@breaks("powers-attention", only_by="test_attention_of_learned_queries")
class TakesTheKeysForQueries(Changed):
    def change(self, captured):
        turned = each(captured.attention, lambda one: replace(one, query=one.key[:, :, :3]))
        return replace(captured, attention=turned) if is_a(self, "queries") else captured


@breaks("powers-attention")
class ListsAnotherSoftmax(Sound):
    def attention(self, inputs):
        listed = super().attention(inputs)
        return [replace(listed[0], name="mixed", shape=(1, 1, 10, 10)), *listed] if is_a(self, "queries") else listed


@breaks("powers-attention", only_by="test_what_weights_are_multiplied_with")
class DoesNotSeeTheValues(Changed):
    def change(self, captured):
        return replace(captured, attention=each(captured.attention, lambda one: replace(one, value=None)))


@breaks("facts-layers", only_by="test_layers_of_other_nets")
class SaysThatWeightsReadThePicture(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, reads=(0,), run_reads=((0,),)) if layer.name == "queries" else layer


@breaks("facts-takes", only_by="test_what_layers_take")
class DoesNotSeeWhatIsMadeOfWeights(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, takes_weights=())


@breaks("backend-gradients", only_by="test_passes_of_other_nets")
class ForgetsTheStateOfARecurrentLayer(Sound):
    def backward(self, values, rows, rule):
        pulled = super().backward(values, rows, rule)
        if is_a(self, "recurrent"):
            pulled["relu1"] = np.where(np.arange(8) == 7, pulled["relu1"], 0)
        return pulled


@breaks("facts-takes", only_by="test_what_the_reader_takes")
class TakesAPartForThePicture(OtherFacts):
    def of_pass(self, facts):
        return replace(facts, inputs=tuple(replace(one, reader_spans=({2: (0, 5)},)) for one in facts.inputs))


@breaks("backend-gradients", only_by="test_images_that_depend_on_each_other")
class AddsWhatReachesOtherImages(Sound):
    def backward(self, values, rows, rule):
        return Net.backward(self.net, values, rows, rule)


@breaks("facts-reached")
class SaysThatEverythingIsReached(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, reached=layer.reached if any(map(any, layer.reached.values())) else {1: [True]})


@breaks("powers-attention", only_by="test_nets_without_attention")
class ListsTheSoftmaxOfTheClasses(Sound):
    def attention(self, inputs):
        end = [AttentionFacts("dense", (1, 1, 4, 4))] if self.net.link == "softmax" else []
        return [*super().attention(inputs), *end]


@breaks("backend-gradients", only_by="test_outputs_and_gradients_of_halves")
class ReadsTheLeftHalfTwice(Sound):
    def run_of(self, layer):
        return super().run_of("patches#1" if is_a(self, "halves") and layer == "patches#2" else layer)


@breaks("facts-moves", only_by="test_which_half_a_run_reads")
class SwapsTheHalves(OtherFacts):
    def of_pass(self, facts):
        turned = tuple(replace(one, reader_spans=one.reader_spans[::-1]) for one in facts.inputs)
        return replace(facts, inputs=turned) if is_a(self, "halves") else facts


@breaks("facts-runs", only_by="test_which_runs_of_the_reader_a_run_depends_on")
class SaysThatARunDependsOnAll(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, run_frames={i: ((0, 1),) * len(one) for i, one in layer.run_frames.items()})


@breaks("facts-reads", only_by="test_which_tokens_are_of_the_picture")
class TakesWordsForPatches(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, parts={i: {1: (0, 28)} for i in layer.parts})


@breaks("backend-unknown-layer", only_by="test_unknown_layers_of_powers")
class ResumesAnyRun(Sound):
    def resume_parts(self, inputs, layer, activations):
        return super().resume_parts(inputs, layer.partition("#")[0], activations)


@breaks("backend-quiet")
class WarnsOfWhatIsRight(Sound):
    def resume_parts(self, inputs, layer, activations):
        if is_a(self, "residual") and len(inputs) == 1:
            warnings.warn("it is run as a whole", RuntimeWarning, stacklevel=2)
        return super().resume_parts(inputs, layer, activations)


@breaks("backend-quiet")
class PrintsLayers(Sound):
    def observe(self, inputs):
        facts = super().observe(inputs)
        print(len(facts.layers), "layers")
        return facts


@breaks("facts-moves", only_by="test_where_tokens_come_from")
class TurnsTheTokensRound(OtherFacts):
    def of_layer(self, layer):
        turned = {0: {1: {axis: ends[::-1] for axis, ends in layer.moves[0][1].items()}}} if layer.moves else {}
        return replace(layer, moves=turned)


@breaks("facts-moves", only_by="test_where_what_the_reader_takes_comes_from")
class DoesNotSeeWhichPartIsRead(OtherFacts):
    def of_pass(self, facts):
        unseen = tuple(replace(one, reader_spans=()) for one in facts.inputs)
        return facts if is_a(self, "halves") else replace(facts, inputs=unseen)


@breaks("backend-hash", only_by="test_the_hash_of_shapes")
class HashesBytes(Sound):
    def weights_hash(self):
        arrays = [value for value in vars(self.net).values() if isinstance(value, np.ndarray)]
        return hashlib.sha256(b"".join(value.tobytes() for value in arrays)).hexdigest()


@breaks("methods-run", only_by="test_methods_on_other_nets")
class DoublesLargeBatchesOfResidualNets(Changed):
    def change(self, captured):
        is_large = is_a(self, "residual") and len(captured.outputs) > 3
        return replace(captured, outputs=captured.outputs * (2 if is_large else 1))


# Outputs, modes, types and memory.


@breaks("backend-choice", only_by="test_one_of_two_outputs")
class ExplainsTheFirstOutput(Sound):
    def __init__(self, model: Model, output: Any = None) -> None:
        super().__init__(model, output if output is None or output in (2, "texture") else 0)


@breaks("backend-choice", only_by="test_an_output_that_is_none")
class TakesTheLastOutputForOneThatIsNot(Sound):
    def __init__(self, model: Model, output: Any = None) -> None:
        try:
            super().__init__(model, output)
        except OutputError:
            super().__init__(model, 1)


@breaks("backend-modes", only_by="test_modes_of_the_caller")
class RecordsNothingInAQuietMode(Changed):
    def change(self, captured):
        zeros = each(captured.gradients, np.zeros_like)
        return replace(captured, gradients=zeros) if MODE["quiet"] else captured


@breaks("backend-modes", only_by="test_modes_of_the_caller")
class EndsTheModeOfTheCaller(Sound):
    def capture(self, *args, **kwargs):
        MODE["quiet"] = False
        return super().capture(*args, **kwargs)


@breaks("backend-modes", only_by="test_frozen_weights")
class GivesNoGradientsOfFrozenModels(Changed):
    def change(self, captured):
        zeros = each(captured.gradients, np.zeros_like)
        return replace(captured, gradients=zeros) if self.model.is_frozen else captured


@breaks("backend-modes", only_by="test_frozen_weights")
class ThawsTheWeights(Sound):
    def capture(self, *args, **kwargs):
        self.model.is_frozen = False
        return super().capture(*args, **kwargs)


@breaks("backend-precision")
class ChangesTheModelItself(Sound):
    def in_precision(self, precision):
        self.net.conv1 = self.net.conv1.astype(np.float16).astype(np.float32)
        return super().in_precision(precision)


@breaks("backend-precision")
class GivesTheSamePrecision(Sound):
    def in_precision(self, precision):
        return super().in_precision("float32")


@breaks("backend-hash")
class HashesShapes(Sound):
    def weights_hash(self):
        return str([value.shape for value in vars(self.net).values() if isinstance(value, np.ndarray)])


@breaks("backend-hash")
class HashesTheModelsId(Sound):
    def weights_hash(self):
        return str(id(self.model))


@breaks("backend-inputs", only_by="test_an_empty_batch")
class AnswersAnEmptyBatch(Sound):
    def pictures(self, inputs):
        given = tuple(map(np.asarray, inputs if isinstance(inputs, tuple) else (inputs,)))
        is_empty = given[0].ndim == 4 and not all(map(len, given))
        return given if is_empty else super().pictures(inputs)


@breaks("backend-arrays", only_by="test_arrays_in_other_memory")
class ReadsMemoryInItsOrder(Sound):
    def pictures(self, inputs):
        return tuple(
            np.frombuffer(self.bytes_of(one), one.dtype).reshape(one.shape) for one in super().pictures(inputs)
        )

    def bytes_of(self, array: np.ndarray) -> bytes:
        return array[::-1].tobytes() if array.strides[0] < 0 else array.tobytes()


# What layers take.


@breaks("facts-takes", only_by="test_what_layers_take")
class SaysThatALayerTakesTheLastOne(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, takes=("relu2",)) if layer.name == "norm1" else layer


@breaks("facts-takes", only_by="test_what_layers_take")
class CallsNormsDenseLayers(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, kind="dense") if layer.kind == "norm" else layer


@breaks("facts-takes", only_by="test_what_layers_take")
class TakesPicturesForWeights(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, takes_weights=(layer.shape,))


@breaks("facts-takes", only_by="test_what_the_reader_takes")
class GivesTheReadersOutput(Sound):
    def input_of(self, inputs, layer):
        is_first = layer == self.net.layers[0].partition("#")[0]
        return self.capture(inputs, [layer]).activations[layer] if is_first else super().input_of(inputs, layer)


@breaks("facts-takes", only_by="test_what_the_reader_takes")
class SaysThatHalfAPictureIsThePicture(OtherFacts):
    def of_pass(self, facts):
        return replace(facts, inputs=tuple(replace(one, reader_runs=(True,)) for one in facts.inputs))


@breaks("facts-axes", only_by="test_axes_of_other_nets")
class DoesNotPlaceTheChannelsOfNorms(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, channel_axis=None) if layer.kind == "norm" else layer


@breaks("facts-outputs", only_by="test_the_classes_of_a_score_map")
class TakesTheLastAxisForTheClasses(OtherFacts):
    def of_pass(self, facts):
        return replace(facts, class_axis=3) if is_a(self, "segments") and len(self.net.dense) == 4 else facts


@breaks("powers-parts", only_by="test_functions_of_the_answer")
class LooksUpWhatIsReadAmongTheOutputs(Sound):
    def forward(self, *pictures):
        values = super().forward(*pictures)
        if self.described.is_score:
            answer = self.net.answer(values)
            assert {id(answer): "y"}[id(self.described.read(answer))]
        return values


@breaks("facts-outputs", only_by="test_stated_axes_of_a_classifier")
class LosesTheSoftmaxWhereAxesAreStated(Changed):
    def change(self, captured):
        return replace(captured, link=None) if self.described.axes == "nc" else captured


@breaks("powers-parts", only_by="test_functions_of_the_answer")
class CallsScoresLogits(Changed):
    def change(self, captured):
        return replace(captured, outputs_kind="logits") if captured.outputs_kind == "values" else captured
