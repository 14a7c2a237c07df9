"""Checks of activations: values, layouts, precision, and whose they are."""

from __future__ import annotations

import numpy as np

from xaicore.errors import XaicoreError
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, deviate, same
from xaicore.testing.subject import Subject, directions

__all__ = ["ActivationChecks"]


class ActivationChecks(BackendCase):
    """Activations are those of the layers that were asked for."""

    @checks("backend-activations")
    def test_activations(self) -> None:
        """Layer by layer, in the axes that the backend reports."""
        for subject in self.subjects():
            for name in subject.maps:
                captured = subject.capture([name])
                same("layers in `activations`", list(captured.activations), [subject.named(name)])
                what = f"activations at {name!r} of the {subject.net.name} net"
                self.close(what, subject.activations(captured, name), subject.values[name])

    @checks("backend-several")
    def test_several_layers_in_one_pass(self) -> None:
        """In any order, each as alone."""
        for subject in self.subjects():
            rows = directions(subject.net, 2)
            together = subject.capture(subject.maps[::-1], subject.aim(rows))
            for name in subject.maps:
                alone = subject.arrays(subject.capture([name], subject.aim(rows)), name)
                for what, came in subject.arrays(together, name).items():
                    self.close(f"{what} at {name!r} among others", came, alone[what])

    @checks("backend-layers")
    def test_layers_are_listed(self) -> None:
        """Names, shapes of one image or all, maps, and the order of completion."""
        for subject in self.subjects():
            listed, names = subject.listed, []
            for name in subject.layers:
                layer = listed.get(subject.layers[name])
                if layer is None:
                    deviate("`layers`", f"an entry for {subject.layers[name]!r}", f"entries for {', '.join(listed)}")
                names.append(layer.name)
                if not layer.type:
                    deviate(f"the type of layer {name!r}", "the name of its class", repr(layer.type))
                self._check_layer(subject, name)
            order = [name for name in listed if name in names]
            expected = [subject.layers[name] for name in _bases(subject.net.layers) if name in subject.layers]
            if subject.net.name != "pair":
                same(f"layers of the {subject.net.name} net in order of completion", order, expected)

    def _check_layer(self, subject: Subject, name: str) -> None:
        layer = subject.listed[subject.layers[name]]
        shapes = [shape[1:] for shape in subject.shapes(name)]
        what = f"{name!r} of the {subject.net.name} net"
        if len(shapes[0]) == 3:
            same(f"{what} is a map", layer.spatial, True)
            if tuple(layer.shape)[1:] not in shapes:
                deviate(
                    f"the shape of {what}", " or ".join(f"(N, {str(one)[1:]}" for one in shapes), tuple(layer.shape)
                )
        elif len(shapes[0]) == 1:
            same(f"{what} is a map", layer.spatial, False)
        same(f"{what} is made by a pooling layer", layer.pooled, name == "pool")

    @checks("backend-arrays")
    def test_arrays_are_float32_of_numpy(self) -> None:
        """Of pictures in double precision, too, where the model takes them."""
        subject = self.subject()
        rows = directions(subject.net, 2)
        captured = subject.capture([subject.last_map], subject.aim(rows))
        same("input_size", tuple(captured.input_size), subject.pictures[0].shape[2:])
        name = subject.named(subject.last_map)
        arrays = {"outputs": captured.outputs, f"activations[{name!r}]": captured.activations[name]}
        if self.has_gradients:
            arrays[f"gradients[{name!r}]"] = captured.gradients[name]
        for what, array in arrays.items():
            if not isinstance(array, np.ndarray):
                deviate(what, "a NumPy array", f"a {type(array).__name__}")
            same(f"the type of {what}", str(array.dtype), "float32")
        doubled = subject.to_inputs(*(picture.astype(np.float64) for picture in subject.pictures))
        try:
            again = subject.capture([subject.last_map], subject.aim(rows), doubled)
        except XaicoreError:  # the model does not take them
            return
        same("the type of outputs for pictures in float64", str(again.outputs.dtype), "float32")
        self.close("outputs for pictures in float64", again.outputs, subject.values["dense"])

    @checks("backend-fresh")
    def test_a_pass_belongs_to_its_inputs(self) -> None:
        """Other pictures give other arrays, and leave those of the pass before as they were."""
        for subject in self.subjects():
            rows, names = directions(subject.net, 2), subject.maps
            first = subject.capture(names, subject.aim(rows))
            kept = {name: subject.activations(first, name).copy() for name in names}
            kept_outputs = first.outputs.copy()
            others = subject.net.pictures(seed=9)
            second = subject.capture(names, subject.aim(-rows), subject.to_inputs(*others))
            values = subject.net.forward(*others)
            self.close("outputs for other pictures", second.outputs, values["dense"])
            for name in names:
                self.close(
                    f"activations at {name!r} for other pictures", subject.activations(second, name), values[name]
                )
                self.close(f"activations at {name!r} after a later pass", subject.activations(first, name), kept[name])
            self.close("outputs after a later pass", first.outputs, kept_outputs)

    @checks("backend-deterministic")
    def test_the_same_pass_twice(self) -> None:
        """To the last bit."""
        for subject in self.subjects():
            rows, name = directions(subject.net, 2), subject.last_map
            one, two = (subject.capture([name], subject.aim(rows)) for _ in range(2))
            again = {"outputs": two.outputs, **subject.arrays(two, name)}
            for what, a in {"outputs": one.outputs, **subject.arrays(one, name)}.items():
                b = again[what]
                if a.tobytes() != b.tobytes():
                    deviate(
                        f"{what} of the same pass, twice", "the same bits", f"a difference of {np.abs(a - b).max()}"
                    )


def _bases(names: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(name.partition("#")[0] for name in names))
