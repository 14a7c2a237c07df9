"""Backends with one fault each, and the clause that names it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from framework import Model, Sound

from xaicore import Attention, Backend, BackendError, Capture, Facts, Layer, LayerFacts, MethodError

BROKEN: dict[type[Backend], str] = {}
"""{backend: clause}."""

ONLY_BY: dict[type[Backend], str] = {}
"""{backend: the only test of that clause that finds its fault}."""


def breaks(clause: str, only_by: str = "") -> Any:
    def register(backend: type[Backend]) -> type[Backend]:
        BROKEN[backend] = clause
        if only_by:
            ONLY_BY[backend] = only_by
        return backend

    return register


def each(arrays: Mapping[str, np.ndarray], change: Any) -> dict[str, np.ndarray]:
    return {name: change(array) for name, array in arrays.items()}


class Changed(Sound):
    """What a sound backend gives, changed."""

    def change(self, captured: Capture) -> Capture:
        return captured

    def capture(self, *args: Any, **kwargs: Any) -> Capture:
        return self.change(super().capture(*args, **kwargs))


# Numbers.


@breaks("backend-activations")
class SwapsHeightAndWidth(Changed):
    def change(self, captured):
        return replace(captured, activations=each(captured.activations, lambda a: a.swapaxes(-1, -2)))


@breaks("backend-activations")
class GivesChannelsLast(Changed):
    def change(self, captured):
        return replace(captured, activations=each(captured.activations, lambda a: np.moveaxis(a, 1, -1)))


@breaks("backend-activations")
class GivesLayersThatNobodyAskedFor(Changed):
    def change(self, captured):
        return replace(captured, activations={**captured.activations, "dense": captured.outputs})


@breaks("backend-activations")
class GivesTheActivationBefore(Sound):
    def run_of(self, layer):
        run = super().run_of(layer)
        return {"relu1": "conv1", "relu2": "conv2"}.get(run, run)


@breaks("backend-gradients")
class TakesTheGradientOfAnotherClass(Sound):
    def backward(self, values, rows, rule):
        return super().backward(values, np.roll(rows, 1, axis=-1), rule)


@breaks("backend-gradients")
class ForgetsTheReLU(Sound):
    def backward(self, values, rows, rule):
        pulled = super().backward(values, rows, rule)
        return {**pulled, **({"conv2": pulled["relu2"]} if "conv2" in pulled else {})}


@breaks("backend-gradients")
class SumsInsteadOfMeans(Changed):
    def change(self, captured):
        return replace(captured, gradients=each(captured.gradients, lambda g: g * 48))


@breaks("backend-gradients")
class GivesGradientsWithoutADirection(Changed):
    def change(self, captured):
        zeros = each(captured.activations, lambda a: np.zeros_like(a[:, None]))
        return replace(captured, gradients=captured.gradients or zeros)


@breaks("backend-gradients")
class PullsBackFromTheLogitsInsteadOfProbabilities(Sound):
    def capture(self, inputs, layers, direction=None, **asked):
        def of_probabilities(outputs, kind, *more):
            return direction(self.net.answer({"dense": outputs}), "probabilities", *more)

        captured = super().capture(inputs, layers, direction and of_probabilities, **asked)
        outputs = self.net.answer({"dense": captured.outputs})
        return replace(captured, outputs=outputs, outputs_kind="probabilities") if self.net.link else captured


@breaks("backend-targets")
class IgnoresAllTargetsButTheFirst(Changed):
    def change(self, captured):
        return replace(captured, gradients=each(captured.gradients, lambda g: g[:, :1].repeat(g.shape[1], axis=1)))


@breaks("backend-targets")
class PutsTheAxisOfTargetsFirst(Changed):
    def change(self, captured):
        return replace(captured, gradients=each(captured.gradients, lambda g: g.swapaxes(0, 1)))


@breaks("backend-several")
class GivesTheLastLayerForAll(Changed):
    def change(self, captured):
        last = list(captured.activations.values())[-1:]
        return replace(captured, activations=each(captured.activations, lambda _: last[0]))


@breaks("backend-batch")
class MixesImagesInLargeBatches(Changed):
    def change(self, captured):
        mixed = each(captured.activations, lambda a: a if len(a) < 3 else np.roll(a, 1, axis=0))
        return replace(captured, activations=mixed)


@breaks("backend-batch")
class NormalisesOverTheBatch(Changed):
    def change(self, captured):
        return replace(captured, outputs=captured.outputs - captured.outputs.mean(axis=0))


@breaks("backend-arrays")
class GivesDoublePrecision(Changed):
    def change(self, captured):
        return replace(captured, outputs=captured.outputs.astype(np.float64))


@breaks("backend-arrays")
class SaysWidthBeforeHeight(Changed):
    def change(self, captured):
        return replace(captured, input_size=captured.input_size[::-1])


@breaks("backend-arrays")
class GivesLists(Changed):
    def change(self, captured):
        return replace(captured, outputs=captured.outputs.tolist())


@breaks("backend-fresh")
class KeepsTheFirstPass(Sound):
    def forward(self, *pictures):
        if not hasattr(self, "kept") or len(self.kept["input"]) != len(pictures[0]):
            self.kept = super().forward(*pictures)
        return self.kept


@breaks("backend-fresh")
class WritesIntoOneBuffer(Changed):
    buffers: ClassVar[dict[Any, np.ndarray]] = {}

    def change(self, captured):
        def buffered(array):
            buffer = self.buffers.setdefault(array.shape, array)
            buffer[:] = array
            return buffer

        return replace(captured, activations=each(captured.activations, buffered))


@breaks("backend-deterministic")
class IsNotQuiteTheSameTwice(Changed):
    passes = 0

    def change(self, captured):
        self.passes += 1
        return replace(captured, outputs=captured.outputs * np.float32(1 + self.passes * 1e-6))


@breaks("backend-nan")
class HidesNaN(Changed):
    def change(self, captured):
        return replace(captured, outputs=np.nan_to_num(captured.outputs))


@breaks("backend-outputs")
class PredictsInAnotherWay(Sound):
    def predict(self, inputs):
        return super().predict(inputs)[:, ::-1]


@breaks("backend-kinds")
class CallsProbabilitiesLogits(Changed):
    def change(self, captured):
        return replace(captured, outputs=self.net.answer({"dense": captured.outputs}))


@breaks("backend-kinds")
class DoesNotSeeTheSoftmax(Changed):
    def change(self, captured):
        return replace(captured, link=None)


@breaks("backend-kinds")
class TakesASigmoidForASoftmax(Changed):
    def change(self, captured):
        return replace(captured, link=captured.link and "softmax")


# The direction, names and inputs.


@breaks("backend-direction")
class AsksTwice(Sound):
    def capture(self, inputs, layers, direction=None, **asked):
        def twice(*args):
            direction(*args)
            return direction(*args)

        return super().capture(inputs, layers, direction and twice, **asked)


@breaks("backend-direction")
class AsksInAnotherThread(Sound):
    def capture(self, inputs, layers, direction=None, **asked):
        def elsewhere(*args):
            found = []
            thread = threading.Thread(target=lambda: found.append(direction(*args)))
            thread.start()
            thread.join()
            return found[0]

        return super().capture(inputs, layers, direction and elsewhere, **asked)


@breaks("backend-direction")
class AsksWithAnotherKind(Sound):
    def capture(self, inputs, layers, direction=None, **asked):
        return super().capture(inputs, layers, direction and (lambda o, k, *p: direction(o, "values", *p)), **asked)


@breaks("backend-direction-shape")
class CutsDirectionsThatDoNotFit(Sound):
    def capture(self, inputs, layers, direction=None, **asked):
        def cut(outputs, kind, *more):
            rows = direction(outputs, kind, *more)
            return (rows if rows.ndim == 3 else rows[:, None])[..., : outputs.shape[1]]

        return super().capture(inputs, layers, direction and cut, **asked)


@breaks("backend-unknown-layer")
class RaisesAKeyError(Sound):
    def run_of(self, layer):
        return {run: run for run in self.net.layers}[layer]


@breaks("backend-unknown-layer")
class TakesTheNearestLayer(Sound):
    def run_of(self, layer):
        return super().run_of(layer.rstrip("xy"))


@breaks("backend-unknown-layer")
class TakesTheLastRunForOneThatIsNot(Sound):
    def run_of(self, layer):
        return super().run_of(layer.partition("#9")[0])


@breaks("backend-inputs")
class LetsTheFrameworksErrorPass(Sound):
    def pictures(self, inputs):
        return inputs if isinstance(inputs, tuple) else (inputs,)


@breaks("backend-inputs")
class DropsChannelsThatAreTooMany(Sound):
    def pictures(self, inputs):
        return tuple(one[:, :3] for one in (inputs if isinstance(inputs, tuple) else (inputs,)))


@breaks("backend-single")
class AlwaysAddsAnAxis(Sound):
    def with_batch_axis(self, inputs):
        return inputs[None]


@breaks("backend-layers")
class ListsLayersBackwards(Sound):
    def layers(self, inputs):
        return super().layers(inputs)[::-1]


@breaks("backend-layers")
class TakesAVectorForAMap(Sound):
    def layers(self, inputs):
        return [Layer(one.name, one.type, one.shape, True, one.pooled) for one in super().layers(inputs)]


@breaks("backend-layers")
class CallsTheDenseLayerPooling(Sound):
    def layers(self, inputs):
        return [replace(one, pooled=one.pooled or one.name == "dense") for one in super().layers(inputs)]


# What a call leaves behind.


@breaks("state-restored")
class LeavesItsHook(Sound):
    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        self.model.hooks.append(self)
        yield


@breaks("state-restored")
class LeavesEvaluationMode(Sound):
    def observe(self, inputs):
        self.model.training = False
        return super().observe(inputs)


@breaks("state-restored")
class SetsTrainingModeWhateverItWas(Sound):
    def __init__(self, model: Model, output: Any = None) -> None:
        super().__init__(model, output)
        model.training = True

    def resume(self, *args):
        self.model.training = None
        return super().resume(*args)


@breaks("state-restored")
class StoresGradientsInTheModel(Sound):
    def backward(self, values, rows, rule):
        pulled = super().backward(values, rows, rule)
        self.model.gradients["dense"] += 1
        return pulled


@breaks("state-restored")
class RoundsTheWeights(Sound):
    def second(self, *args):
        self.net.dense = self.net.dense.astype(np.float16).astype(np.float32)
        return super().second(*args)


@breaks("state-random")
class DrawsFromTheGlobalGenerator(Sound):
    def observe(self, inputs):
        np.random.rand()
        return super().observe(inputs)


@breaks("state-inputs")
class ScalesTheInputsInPlace(Sound):
    def pictures(self, inputs):
        found = super().pictures(inputs)
        found[0][...] *= np.float32(0.5)
        return found


@breaks("state-direction")
class ForgetsToRestoreAfterAnException(Sound):
    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        self.model.hooks.append(self)
        yield
        self.model.hooks.pop()


@breaks("state-direction")
class ChangesWeightsAfterAnException(Sound):
    def capture(self, *args, **kwargs):
        try:
            return super().capture(*args, **kwargs)
        except Exception:
            self.net.dense = self.net.dense + 1
            raise


@breaks("state-direction")
class WrapsTheExceptionsOfADirection(Sound):
    def capture(self, *args, **kwargs):
        try:
            return super().capture(*args, **kwargs)
        except ArithmeticError:
            raise
        except Exception as exc:
            raise BackendError(str(exc)) from exc


@breaks("state-interrupt")
class RestoresAfterExceptionsAlone(Sound):
    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        self.model.hooks.append(self)
        try:
            yield
        except Exception:
            self.model.hooks.pop()
            raise
        self.model.hooks.pop()


@breaks("state-model")
class ForgetsToRestoreWhenTheModelFails(Sound):
    def pictures(self, inputs):
        try:
            return super().pictures(inputs)
        except Exception:
            self.model.training = None
            self.model.hooks.insert(0, self)
            raise


@breaks("state-passes")
class ForgetsToRestoreInLaterPasses(Sound):
    passes = 0

    @contextlib.contextmanager
    def hooked(self) -> Iterator[None]:
        self.passes += 1
        self.model.hooks.append(self)
        try:
            yield
        except BaseException:
            if self.passes < 3:
                self.model.hooks.pop()
            raise
        self.model.hooks.pop()


# Facts.


class OtherFacts(Sound):
    """Facts of a sound backend, changed."""

    def of_layer(self, layer: LayerFacts) -> LayerFacts:
        return layer

    def of_pass(self, facts: Facts) -> Facts:
        return facts

    def observe(self, inputs: Any) -> Facts:
        facts = super().observe(inputs)
        return self.of_pass(replace(facts, layers=tuple(map(self.of_layer, facts.layers))))


@breaks("facts-axes")
class SaysThatChannelsAreLast(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, channel_axis=None if layer.channel_axis is None else len(layer.shape) - 1)


@breaks("facts-axes")
class DoesNotKnowConvolutions(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, kind=None)


@breaks("facts-layers")
class ListsALayerTwice(OtherFacts):
    def of_pass(self, facts):
        return replace(facts, layers=(*facts.layers, facts.layers[0]))


@breaks("facts-layers")
class SaysTheShapeOfTheInput(OtherFacts):
    def of_pass(self, facts):
        shape = facts.inputs[0].shape
        return replace(facts, layers=tuple(replace(layer, shape=shape) for layer in facts.layers))


@breaks("facts-reads")
class SaysThatAllReadTheFirstInput(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, reads=(0,))


@breaks("facts-reached")
class SaysThatTheGradientArrivesEverywhere(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, reached={axis: [True] * n for axis, n in enumerate(layer.shape) if axis})


@breaks("facts-runs")
class CountsLayersOnce(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, runs=1, run_reads=None)


@breaks("facts-runs")
class SwapsTheRuns(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, run_reads=layer.run_reads[::-1])


@breaks("facts-inputs")
class ForgetsTheSecondInput(OtherFacts):
    def of_pass(self, facts):
        return replace(facts, inputs=facts.inputs[:1])


@breaks("facts-outputs")
class DoesNotPlaceTheClasses(OtherFacts):
    def of_pass(self, facts):
        return replace(facts, class_axis=None)


@breaks("facts-outputs")
class SaysAnotherLinkThanThePass(OtherFacts):
    def of_pass(self, facts):
        return replace(facts, link="sigmoid")


@breaks("backend-default-layer")
class SaysThatTheGradientNeverArrivesAtTheEnd(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, reached={}) if layer.name in ("relu2", "conv2") else layer


# Powers.


@breaks("powers-declared")
class DeclaresAnUnknownPower(Sound):
    powers = frozenset({"resume", "telepathy"})


@breaks("powers-declared")
class DeclaresMoreThanItHas(Sound):
    second = Backend.second


@breaks("powers-declared")
class DeclaresRulesThatItDoesNotTake(Sound):
    def capture(self, inputs, layers, direction=None):
        return super().capture(inputs, layers, direction)


@breaks("powers-refused")
class HasPowersThatItDoesNotDeclare(Sound):
    powers = frozenset({"attention"})


@breaks("powers-input-gradients")
class MultipliesByTheInput(Changed):
    def change(self, captured):
        given = {rule: [2 * one for one in arrays] for rule, arrays in captured.input_gradients.items()}
        return replace(captured, input_gradients=given)


@breaks("powers-input-gradients")
class GivesTheFirstInputForAll(Changed):
    def change(self, captured):
        given = {rule: [arrays[0]] * len(arrays) for rule, arrays in captured.input_gradients.items()}
        return replace(captured, input_gradients=given)


@breaks("powers-guided")
class TakesGuidedForPlain(Sound):
    def backward(self, values, rows, rule):
        return super().backward(values, rows, "plain")


@breaks("powers-guided")
class TakesDeconvForGuided(Sound):
    def backward(self, values, rows, rule):
        return super().backward(values, rows, "guided" if rule == "deconv" else rule)


@breaks("powers-guided")
class ChangesTheGradientsOfLayers(Sound):
    def capture(self, inputs, layers, direction=None, *, rules=(), **asked):
        captured = super().capture(inputs, layers, direction, rules=rules, **asked)
        return replace(captured, gradients=each(captured.gradients, np.abs)) if "guided" in rules else captured


@breaks("powers-resume")
class PartsOfTheFirstPass(Sound):
    def resume_parts(self, inputs, layer, activations):
        outputs, _ = super().resume_parts(inputs, layer, activations)
        return outputs, {0: self.capture(inputs, ()).outputs}


@breaks("powers-resume")
class ResumesInTheOrderOfVersions(Sound):
    def resume(self, inputs, layer, activations):
        outputs = super().resume(inputs, layer, activations)
        return outputs.reshape(2, -1, outputs.shape[1]).swapaxes(0, 1).reshape(outputs.shape)


@breaks("powers-resume")
class ResumesFromTheInputs(Sound):
    def resume(self, inputs, layer, activations):
        outputs = self.forward(*self.pictures(inputs))["dense"].astype(np.float32)
        return outputs.repeat(len(activations) // len(outputs), axis=0)


@breaks("powers-second")
class ForgetsTheFactor(Sound):
    def second(self, *args):
        return super().second(*args) * 2


@breaks("powers-biases")
class ForgetsTheDenseLayer(Sound):
    def biases(self, inputs):
        return {name: bias for name, bias in super().biases(inputs).items() if name != "dense"}


@breaks("powers-biases")
class TurnsBiasesAround(Sound):
    def biases(self, inputs):
        return each(super().biases(inputs), np.negative)


class OtherAttention(Changed):
    """Attention of a sound backend, changed."""

    def of(self, one: Attention) -> Attention:
        return one

    def change(self, captured):
        return replace(captured, attention={name: self.of(one) for name, one in captured.attention.items()})


@breaks("powers-attention")
class GivesScoresForWeights(OtherAttention):
    def of(self, one):
        return replace(one, weights=np.log(one.weights))


@breaks("powers-attention")
class SwapsQueriesAndKeys(OtherAttention):
    def of(self, one):
        return replace(one, weights=one.weights.swapaxes(-1, -2))


@breaks("powers-attention")
class GivesGradientsOfTheFirstTarget(OtherAttention):
    def of(self, one):
        g = one.weights_gradients
        return replace(one, weights_gradients=None if g is None else g[:, :1].repeat(g.shape[1], axis=1))


@breaks("facts-inputs")
class CallsAnInputTheReadersSource(Sound):
    def observe(self, inputs):
        facts = super().observe(inputs)
        return replace(facts, inputs=tuple(replace(one, reader_source=0) for one in facts.inputs))


@breaks("powers-parts")
class DoesNotPassParts(Sound):
    def capture(self, inputs, layers, direction=None, **asked):
        return super().capture(inputs, layers, direction and (lambda o, k, *_: direction(o, k)), **asked)


@breaks("powers-reduce")
class GivesWholeArraysBesideReducedOnes(Sound):
    def capture(self, inputs, layers, direction=None, *, reduce=(), **asked):
        whole = super().capture(inputs, layers, direction, **asked)
        return replace(super().capture(inputs, layers, direction, reduce=reduce, **asked), gradients=whole.gradients)


class OtherReduction(Sound):
    """Reductions of a sound backend, which get other arrays."""

    def arrays(self, a, g):
        return a, g

    def capture(self, inputs, layers, direction=None, *, reduce=None, **asked):
        changed = {name: self.of(reduction) for name, reduction in (reduce or {}).items()}
        return super().capture(inputs, layers, direction, reduce=changed, **asked)

    def of(self, reduction):
        return lambda xp, a, g: reduction(xp, *self.arrays(a, g))


@breaks("powers-reduce")
class ReducesOneTargetForAll(OtherReduction):
    def arrays(self, a, g):
        return a, g[:, :1].repeat(g.shape[1], axis=1)


@breaks("powers-reduce")
class LosesTheActivations(OtherReduction):
    def arrays(self, a, g):
        return a * 0, g


@breaks("powers-reduce")
class ReducesInHalfPrecision(OtherReduction):
    def arrays(self, a, g):
        return a.astype(np.float16), g.astype(np.float16)


@breaks("powers-reduce")
class HidesErrorsOfReductions(OtherReduction):
    def of(self, reduction):
        def tried(xp, a, g):
            try:
                return reduction(xp, a, g)
            except MethodError:
                return g.reshape(*g.shape[:2], -1)

        return tried


@breaks("powers-declared")
class DeclaresReducingWithoutTheKeyword(Sound):
    def capture(self, inputs, layers, direction=None, *, attention=(), rules=(), parts=False):
        return super().capture(inputs, layers, direction, attention=dict(attention), rules=rules, parts=parts)


@breaks("powers-cam")
class GivesTheRowsForAnyLayer(Sound):
    def classifier_weights(self, inputs, layer):
        return self.net.dense


@breaks("powers-cam")
class GivesColumns(Sound):
    def classifier_weights(self, inputs, layer):
        return super().classifier_weights(inputs, layer).T


@breaks("methods-run")
class RefusesAMethodThatItsPowersAllow(Sound):
    def classifier_weights(self, inputs, layer):
        raise MethodError("not today; use 'gradcam'")


@breaks("methods-run")
class GivesOtherOutputsInLongPasses(Changed):
    def change(self, captured):
        return replace(captured, outputs=captured.outputs * (1 if len(captured.outputs) < 4 else 2))


# The hook.


@breaks("plugin-hook")
class SpeaksAnotherVersion(Sound):
    api_version = 2


@breaks("plugin-hook")
class HasNoName(Sound):
    name = property(lambda self: "", lambda self, value: None)
