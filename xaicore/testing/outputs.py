"""Checks of outputs: values, kinds and links, and which inputs are taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xaicore.backend import Backend
from xaicore.errors import LayerError, XaicoreError
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, deviate, refused, same
from xaicore.testing.nets.forms import SharesNet
from xaicore.testing.nets.net import Net
from xaicore.testing.subject import Subject, directions

__all__ = ["OutputChecks"]


class OutputChecks(BackendCase):
    """Outputs are the model's, and are called what they are."""

    def heads(self) -> list[Net]:
        """The convolutional net with each end that the framework has."""
        links = (None,) if "heads" in self.lacks else (None, "softmax", "sigmoid")
        return [*map(self.conv_net, links), *([SharesNet()] if self.has(SharesNet.name) else [])]

    @checks("backend-outputs")
    def test_outputs(self) -> None:
        """With layers, with a direction, and in `predict`."""
        for subject in self.subjects():
            rows = directions(subject.net, 2)
            for what, captured in (
                ("without layers", subject.capture()),
                ("with a layer", subject.capture([subject.last_map])),
                ("with a direction", subject.capture([subject.last_map], subject.aim(rows))),
            ):
                self.close(f"outputs of the {subject.net.name} net {what}", captured.outputs, subject.values["dense"])
            predicted = subject.backend.predict(subject.inputs)
            self.close(f"`predict` of the {subject.net.name} net", predicted, subject.values["dense"])

    @checks("backend-kinds")
    def test_kinds_and_links(self) -> None:
        """Logits are asked for wherever they can be reached; probabilities are taken, if they are called so."""
        for net in self.heads():
            subject = self.subject(net)
            assert net.link is None or subject.values["dense"].min() < 0  # so that no logits pass for probabilities
            for layers in ((), (subject.last_map,)):
                captured = subject.capture(layers)
                what = f"a {net.name} net that ends in {net.link or 'its dense layer'}, with the layers {layers}"
                if captured.outputs_kind == "probabilities" and net.link is not None:
                    self.close(f"probabilities of {what}", captured.outputs, net.answer(subject.values))
                else:
                    same(f"outputs_kind of {what}", captured.outputs_kind, "logits")
                    came, expected = (_settled(one, net.link) for one in (captured.outputs, subject.values["dense"]))
                    self.close(f"logits of {what}", came, expected)
                    same(f"link of {what}", captured.link, net.link)

    @checks("backend-gradients")
    def test_gradients_through_the_end_of_the_net(self) -> None:
        """The direction is one of `outputs`: of logits, or of the probabilities that were handed out."""
        self.need("gradients")
        for net in self.heads():
            subject = self.subject(net)
            rows = directions(net, 2)
            captured = subject.capture([subject.last_map], lambda *_, rows=rows: rows)
            expected = subject.expected_gradients(rows, captured.outputs_kind)[subject.last_map]
            came = subject.gradients(captured, subject.last_map)
            self.close(f"gradients of a net that ends in {net.link or 'its dense layer'}", came, expected)

    @checks("backend-batch")
    def test_batches_equal_singles(self) -> None:
        """Image by image: outputs, activations and gradients."""
        for subject in self.subjects():
            pictures = subject.net.pictures(3, seed=4)
            rows, names = directions(subject.net, 3), subject.maps
            batch = self._seen(subject, pictures, rows, names)
            for n in (2, 0, 1):
                one = tuple(picture[n : n + 1] for picture in pictures)
                for what, came in self._seen(subject, one, rows[n : n + 1], names).items():
                    self.close(f"{what} of image {n} alone", came, batch[what][n : n + 1])

    def _seen(
        self, subject: Subject, pictures: tuple[np.ndarray, ...], rows: np.ndarray, names: list[str]
    ) -> dict[str, np.ndarray]:
        captured = subject.capture(names, subject.aim(rows), subject.to_inputs(*pictures))
        seen = {"outputs": captured.outputs}
        for name in names:
            seen |= {f"{what} at {name!r}": array for what, array in subject.arrays(captured, name).items()}
        return seen

    @checks("backend-single")
    def test_a_single_picture_becomes_a_batch(self) -> None:
        """And a batch stays one."""
        subject = self.subject()
        backend, batch = subject.backend, subject.inputs
        kept = backend.with_batch_axis(batch)
        self.close("with_batch_axis of a batch", *map(_array(subject), (kept, batch)))
        if type(backend).with_batch_axis is not Backend.with_batch_axis:  # a backend without it takes batches only
            made = backend.with_batch_axis(batch[0])
            self.close("with_batch_axis of a single picture", *map(_array(subject), (made, batch[:1])))

    @checks("backend-nan")
    def test_nan_is_handed_on(self) -> None:
        """A pixel that is NaN makes the outputs of its image NaN, and of no other; or it is refused."""
        subject = self.subject()
        pictures = subject.net.pictures()
        pictures[0][0, 1, 2, 3] = np.nan
        try:
            captured = subject.capture([subject.last_map], inputs=subject.to_inputs(*pictures))
        except XaicoreError:
            return
        self.close("outputs for a picture with a NaN", captured.outputs, subject.net.forward(*pictures)["dense"])

    @checks("backend-inputs")
    def test_inputs_that_the_model_does_not_take(self) -> None:
        """One channel too many: an error of xaicore's, with the shape."""
        subject = self.subject()
        (picture,) = subject.net.pictures()
        wrong = np.concatenate([picture, picture[:, :1]], axis=1)
        inputs = subject.to_inputs(wrong)
        for layers in ((), (subject.last_map,)):
            error = refused(
                "pictures with 4 channels for a model that takes 3",
                lambda layers=layers: subject.capture(layers, inputs=inputs),  # type: ignore[misc]
                XaicoreError,
            )
            shape = tuple(np.shape(inputs))
            if str(shape) not in str(error) and str(shape[1:])[1:] not in str(error):
                deviate("the error for 4 channels", f"one that says their shape {shape}", str(error))

    @checks("backend-unknown-layer")
    def test_unknown_layers_are_named(self) -> None:
        """With the nearest name."""
        subject = self.subject()
        known = subject.named(subject.last_map)
        for typed in (f"{known}x", f"{known}y"):
            refused(
                f"capture of the unknown layer {typed!r}",
                lambda typed=typed: subject.backend.capture(subject.inputs, [typed]),  # type: ignore[misc]
                LayerError,
                typed,
                known,
            )
        if self.has_facts:
            call = lambda: subject.backend.capture(subject.inputs, [f"{known}#9"])  # noqa: E731
            refused(f"capture of run 9 of {known!r}, which runs once", call, LayerError, known, "9")


def _settled(logits: np.ndarray, link: str | None) -> np.ndarray:
    """Softmax does not show which constant was added to the logits of an image; log p will do."""
    return logits - logits.mean(axis=1, keepdims=True) if link == "softmax" else logits


def _array(subject: Subject) -> Callable[[Any], np.ndarray]:
    return lambda value: np.asarray(subject.backend.to_numpy(value))
