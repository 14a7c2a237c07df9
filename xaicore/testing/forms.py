"""Checks of models and pictures in the forms that frameworks allow: single operations, float16, turned axes, types."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.errors import MethodError, XaicoreError
from xaicore.layers.places import Places
from xaicore.outputs import Output
from xaicore.testing.attending import AttentionChecks
from xaicore.testing.checks import checks, close, deviate, refused, same
from xaicore.testing.described import DescribedChecks
from xaicore.testing.kit import some
from xaicore.testing.nets.forms import HalfNet, OpenNet, TurnedNet
from xaicore.testing.nets.net import Net
from xaicore.testing.nets.token import TokenNet
from xaicore.testing.subject import Subject, directions

__all__ = ["FormChecks"]

CODE = re.compile(r"pass ((?:np|x)\.\w+\(.*?\)(?=[.;, ]|$))")
"""What an error says to type for pictures `x`."""


class FormChecks(DescribedChecks, AttentionChecks):
    """The same numbers, whatever the form."""

    def _formed(self, kind: type[Net]) -> Subject:
        """This net; where an author does not supply it, a check is skipped."""
        self.need(kind.name)
        return self._built_once(kind())

    @checks("powers-attention", since=2)
    def test_attention_in_single_operations(self) -> None:
        """A product, a softmax and a product are an attention, whatever layer they run in."""
        self.need("facts")
        for subject in self._with_power("attention", [self._formed(OpenNet)]):
            net: Any = subject.net
            first, second = net.blocks
            self._check_net(subject, [(first, "tokens", "mixed1"), (second, "mixed1", "mixed2")])
            self._check_three_images(subject)

    def _check_three_images(self, subject: Subject) -> None:
        """More than there are heads, and no multiple of them."""
        net: Any = subject.net
        pictures = net.pictures(3, seed=4)
        name = subject.backend.attention(subject.inputs)[0].name
        came = subject.capture((), None, subject.to_inputs(*pictures), attention={name: False}).attention[name]
        expected = net.blocks[0].attend(net.forward(*pictures)["tokens"]).weights
        self.close("`weights` of three images", came.weights, expected)

    @checks("backend-half")
    def test_gradients_in_half_precision(self) -> None:
        """Small directions are not lost, and large ones do not overflow; also where layers are reduced."""
        subject = self._formed(HalfNet)
        captured = subject.capture([subject.last_map])
        close("outputs in float16", captured.outputs, subject.values["dense"], 3e-2, 3e-2)
        same("the type of outputs in float16", str(captured.outputs.dtype), "float32")
        for scale in (1e-6, 1e3) if self.has_gradients else ():
            self._check_half(subject, scale)

    def _check_half(self, subject: Subject, scale: float) -> None:
        rows = directions(subject.net, 2) * np.float32(scale)
        expected = subject.expected_gradients(rows, "logits")
        captured = subject.capture(subject.maps, lambda *_: rows)
        for name in subject.maps:
            came, what = subject.gradients(captured, name), f"gradients at {name!r} in float16, a direction of {scale}"
            close(what, came, expected[name], 3e-2, 3e-2 * np.abs(expected[name]).max())
        if self.having("reduce", subject):
            last = subject.last_map
            summed = {
                subject.named(last): lambda xp, a, g: xp.sum(xp.reshape(g, (*g.shape[:2], -1)), axis=-1)[..., None]
            }
            came = subject.capture([last], lambda *_: rows, reduce=summed).reduced[subject.named(last)]
            sums = expected[last].reshape(2, 3, -1).sum(axis=-1)[..., None]
            close(f"reduced gradients in float16, a direction of {scale}", came, sums, 3e-2, 3e-2 * np.abs(sums).max())

    @checks("backend-layout")
    def test_channels_on_the_other_side(self) -> None:
        """By `channels_last`, the facts and the numbers; a single picture becomes a batch."""
        subject = self._formed(TurnedNet)
        plain = self.subject()
        for one in (plain, subject, *([self._formed(HalfNet)] if self.has(HalfNet.name) else [])):
            shape = tuple(np.shape(one.backend.to_numpy(one.inputs)))
            what = f"channels_last of a model that takes pictures {shape}"
            same(what, bool(one.backend.channels_last), shape[1:3] == (6, 8))
            if one.backend.picture_size is not None:
                same(f"picture_size of a model that takes {shape}", tuple(one.backend.picture_size), (6, 8))
        rows, names = directions(subject.net, 2), subject.maps
        captured, expected = subject.capture(names, subject.aim(rows)), subject.net.backward(subject.values, rows)
        same("input_size of turned pictures", tuple(captured.input_size), (6, 8))
        self.close("outputs of the turned net", captured.outputs, subject.values["dense"])
        for name in names:
            self.close(f"activations at {name!r}, turned", subject.activations(captured, name), subject.values[name])
            if self.has_gradients:
                self.close(f"gradients at {name!r}, turned", subject.gradients(captured, name), expected[name])
        if self.having("input_gradients", subject):
            self._check_rule(subject, "plain")
        if type(subject.backend).with_batch_axis is not Backend.with_batch_axis:
            made = subject.backend.to_numpy(subject.backend.with_batch_axis(subject.inputs[0]))
            self.close("with_batch_axis of a turned picture", made, subject.backend.to_numpy(subject.inputs)[:1])
        self._check_frame(subject)

    def _check_frame(self, subject: Subject) -> None:
        if subject.facts is None:
            return
        for name in ("conv1", "conv2"):
            layer = subject.facts.named[subject.layers[name]]
            axis = layer.channel_axis
            length = None if axis is None else layer.shape[axis]
            same(f"channels of {name!r}, turned", length, subject.values[name].shape[1])
        places = Places(subject.backend, ())
        place = places.find(subject.inputs)[1]
        same("the layer that is explained in the turned net", places.layers, (subject.named(subject.last_map),))
        same("positions of turned pictures", place and tuple(place.frame.size), (6, 8))

    @checks("backend-inputs", since=2)
    def test_pictures_with_the_axes_of_others(self) -> None:
        """They are refused with their shape, single ones too; what the error says to type works."""
        self._check_moved(self.subject())
        if self.has(TurnedNet.name):
            self._check_moved(self._formed(TurnedNet))

    def _check_moved(self, subject: Subject) -> None:
        (picture,), shape = subject.pictures, tuple(np.shape(subject.backend.to_numpy(subject.inputs)))
        is_first = shape[1] == picture.shape[1]
        moved = subject.to_inputs(np.moveaxis(picture, 1, 3) if is_first else np.moveaxis(picture, 3, 1))
        takes_single = type(subject.backend).with_batch_axis is not Backend.with_batch_axis
        for x in (moved, moved[0]) if takes_single else (moved,):
            wrong = tuple(x.shape)
            call = functools.partial(subject.capture, [subject.last_map], inputs=x)
            error = refused(f"pictures {wrong} for a model that takes {shape}", call, XaicoreError)
            if str(wrong[-3:])[1:] not in str(error):
                deviate(f"the error for pictures {wrong}", "one that says their shape", error)
            found = CODE.search(str(error))
            if found:
                names = {"np": np, "x": x if len(wrong) == 4 or str(wrong) in str(error) else x[None]}
                made = eval(found[1], names)
                came = subject.capture([subject.last_map], inputs=made).outputs
                self.close(f"outputs for {found[1]}", came, subject.values["dense"][: len(came)])

    @checks("backend-nan", since=2)
    def test_large_pictures(self) -> None:
        """Numbers whose sum overflows are no NaN, nor infinite."""
        subject = self.subject()
        pictures = tuple(np.abs(picture) * np.float32(5e36) for picture in subject.pictures)
        try:
            came = subject.capture([subject.last_map], inputs=subject.to_inputs(*pictures)).outputs
        except XaicoreError as exc:
            deviate("pictures of large numbers", "outputs", str(exc))
        expected = subject.net.forward(*pictures)["dense"]
        close("outputs for pictures of large numbers", came, expected, 1e-3, 1e-4 * np.abs(expected).max())

    @checks("backend-arrays", since=2)
    def test_pictures_of_whole_numbers(self) -> None:
        """Facts and numbers are those of the same pictures in floating point; or they are refused."""
        for subject in self.subjects():
            if subject.net.name == "tokens":
                continue
            pictures = tuple((picture > 0).astype(np.uint8) * 3 for picture in subject.pictures)
            rows, inputs = directions(subject.net, 2), subject.to_inputs(*pictures)
            try:
                captured = subject.capture(subject.maps, subject.aim(rows), inputs)
            except XaicoreError:
                continue
            values = subject.net.forward(*pictures)
            expected, what = subject.net.backward(values, rows), f"for whole numbers in the {subject.net.name} net"
            self.close(f"outputs {what}", captured.outputs, values["dense"])
            for name in subject.maps:
                self.close(f"activations at {name!r} {what}", subject.activations(captured, name), values[name])
                if self.has_gradients:
                    self.close(f"gradients at {name!r} {what}", subject.gradients(captured, name), expected[name])
            both = subject.backend.observe(inputs), subject.facts
            seen = [[(one.reads, one.reached) for one in facts.layers] for facts in both if facts is not None]
            same(f"what layers read, and where gradients arrive, {what}", seen[:1], seen[1:])

    @checks("facts-outputs", since=2)
    def test_stated_axes_beside_those_that_the_layers_show(self) -> None:
        """`shown_class_axis` is what `class_axis` was without the caller's word; None where nobody stated axes."""
        self.need("facts")
        self._need_outputs()
        net = self.conv_net()
        plain, stated, turned = (
            self.described(net, output).facts for output in (None, Output(axes="nc"), Output(axes="nt"))
        )
        assert plain is not None
        assert stated is not None
        assert turned is not None
        for what, facts, shown in (("no", plain, None), ("stated", stated, plain.class_axis), ("other", turned, None)):
            same(f"shown_class_axis with {what} axes", facts.shown_class_axis, shown)

    @checks("powers-biases", since=2)
    def test_biases_before_a_link(self) -> None:
        """The layer that ends in a softmax or sigmoid is taken without it, as far as the outputs are logits."""
        self.need("heads")
        linked = (self.subject(self.conv_net(link)) for link in ("softmax", "sigmoid"))
        of_logits = (one for one in self._with_power("biases", linked) if one.capture().outputs_kind == "logits")
        for subject in some(of_logits, "outputs are called probabilities"):
            net: Any = subject.net
            came = [one for one in subject.backend.biases(subject.first_image).values() if one.shape == (1, 4)]
            if net.bias.any() and not any(np.allclose(one, net.bias, self.rtol, self.atol) for one in came):
                deviate(f"biases of 4 classes in a net that ends in a {net.link}", f"one of {net.bias}", came)

    @checks("powers-guided", since=2)
    def test_rules_without_relus(self) -> None:
        """They are refused, by a method that works."""
        self.need("facts", "tokens")
        for subject in self._with_power("guided", [self.subject(TokenNet())]):
            rows = directions(subject.net, 2)
            for rule in ("guided", "deconv"):
                call = functools.partial(subject.capture, (), subject.aim(rows), rules=(rule,))
                refused(f"the rule {rule!r} in a net without ReLUs", call, MethodError, rule, "method='gradient'")
