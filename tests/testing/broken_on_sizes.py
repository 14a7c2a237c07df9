"""Backends that keep of one call what holds for its inputs alone, and whose facts have gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from broken_backends import Changed, OtherFacts, breaks
from broken_on_other_nets import is_a
from framework import MODE, Sound

from xaicore import InputError


class Remembers(Sound):
    """Keeps what the first call showed."""

    def first(self, name, value):
        return vars(self).setdefault(f"first_{name}", value)


@breaks("backend-fresh", only_by="test_pictures_of_another_size")
class KeepsTheSizeOfTheFirstPictures(Remembers, Changed):
    def change(self, captured):
        return replace(captured, input_size=self.first("size", captured.input_size))


@breaks("backend-fresh", only_by="test_pictures_of_another_size")
class KeepsTheFactsOfTheFirstPictures(Remembers):
    def observe(self, inputs):
        return self.first("facts", super().observe(inputs))


@breaks("backend-fresh", only_by="test_pictures_of_another_size")
class SaysASizeThoughItTakesOthers(Sound):
    picture_size = (6, 8)


@breaks("backend-fresh", only_by="test_pictures_of_another_size")
class SaysAnotherSizeThanItTakes(Sound):
    picture_size = (8, 6)

    def pictures(self, inputs):
        given = super().pictures(inputs)
        if [one.shape[1:] for one in given] != [one.shape[1:] for one in self.net.pictures(1)]:
            raise InputError("the net takes pictures of one size")
        return given


@breaks("powers-resume", only_by="test_resuming_from_as_many_rows_of_other_images")
class KeepsHowManyRowsAnImageHas(Remembers):
    def resume_parts(self, inputs, layer, activations):
        if not is_a(self, "residual") or len(activations) != 6:
            return super().resume_parts(inputs, layer, activations)
        (picture,) = self.pictures(inputs)
        each = self.first("rows", 6 // len(picture))
        return super().resume_parts(np.resize(picture, (6 // each, *picture.shape[1:])), layer, activations)


@breaks("backend-layout", only_by="test_the_channels_of_each_net")
class SaysThatChannelsAreLastInPairs(Sound):
    @property
    def channels_last(self):  # type: ignore[override]  # depends on the model
        return self.net.name in ("turned", "pair")


@breaks("backend-inputs", only_by="test_inputs_by_name_in_another_order")
class ReadsInputsInTheirOrder(Sound):
    def pictures(self, inputs):
        return super().pictures(tuple(inputs.values()) if isinstance(inputs, dict) else inputs)


@breaks("backend-inputs", only_by="test_a_tuple_of_one")
class TakesATupleForABatch(Sound):
    def pictures(self, inputs):
        return super().pictures(np.stack(inputs)[:, 0] if isinstance(inputs, tuple) and len(inputs) == 1 else inputs)


@breaks("backend-arrays")
class MakesWholeNumbersFloats(Sound):
    @staticmethod
    def to_numpy(value):
        return np.asarray(value, np.float32)


@breaks("facts-reads", only_by="test_what_each_layer_reads_is_told")
class SeesNotWhatLaterLayersRead(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, reads=None) if layer.name == "dense" else layer


@breaks("facts-reads", only_by="test_what_each_layer_reads_is_told")
class SeesNotWhatRunsRead(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, run_reads=None)


@breaks("facts-reached", only_by="test_where_gradients_arrive_is_told")
class SeesNotWhereGradientsOfDenseLayersArrive(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, reached=None) if layer.name == "dense" else layer


@breaks("powers-attention")
class SeesNotWhetherGradientsReachAttention(Sound):
    def attention(self, inputs):
        return [replace(one, reached=None) for one in super().attention(inputs)]


@breaks("facts-inputs", only_by="test_readers_are_named")
class NamesNoReader(Sound):
    def observe(self, inputs):
        facts = super().observe(inputs)
        return replace(facts, inputs=tuple(replace(one, reader=None) for one in facts.inputs))


@breaks("facts-inputs")
class LooksAtTwoImages(Sound):
    def observe(self, inputs):
        return replace(super().observe(inputs), count=2)


@breaks("facts-layers", only_by="test_what_layers_are")
class CallsConvolutionsRecurrent(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, is_recurrent=layer.kind == "convolution")


@breaks("facts-layers", only_by="test_what_layers_are")
class DoesNotKnowRecurrentLayers(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, kind=None) if layer.kind == "recurrent" else layer


@breaks("facts-layers", only_by="test_what_layers_are")
class ReadsBackwards(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, reads_backwards=True)


@breaks("facts-layers")
class LooksForImagesAlongChannels(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, batch_axis=1)


@breaks("facts-layers", only_by="test_what_layers_are")
class FindsLayersInsideOfConvolutions(OtherFacts):
    def of_layer(self, layer):
        return replace(layer, is_leaf=layer.kind != "convolution")


@breaks("facts-moves", only_by="test_where_tokens_come_from")
class TellsAgainWhereTokensComeFrom(Sound):
    def observe(self, inputs):
        facts = super().observe(inputs)
        moves = next((one.moves for one in facts.layers if one.moves), {})
        again = (replace(one, moves=moves if one.name in ("tokens", "mixed") else one.moves) for one in facts.layers)
        return replace(facts, layers=tuple(again))


@breaks("backend-inputs", only_by="test_pictures_with_the_axes_of_others")
class TakesTurnedPicturesEitherWay(Sound):
    def pictures(self, inputs):
        is_other = is_a(self, "turned") and np.shape(inputs)[-1] != 1
        return super().pictures(np.moveaxis(inputs, 1 - 4, -1) if is_other else inputs)


@breaks("backend-gradients", only_by="test_layers_out_of_reach")
class HasSecondDerivativesOutOfReach(Sound):
    def second(self, inputs, layer, direction):
        is_other = is_a(self, "outputs") and layer == "colour"
        return np.zeros((2, 3, 3), np.float32) if is_other else super().second(inputs, layer, direction)


@breaks("backend-modes")
class ReadsTheLayoutFromTheMode(Sound):
    def __init__(self, model, output=None):
        super().__init__(model, output)
        self.is_turned = MODE["quiet"]

    @property
    def channels_last(self):  # type: ignore[override]  # depends on the mode
        return self.is_turned or super().channels_last
