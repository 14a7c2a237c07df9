"""Maps that a backend computes where its tensors lie are those that NumPy computes of whole arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xaicore
from xaicore import BackendError, Explainer, LayerError, MethodError, testing
from xaicore.backend import Backend
from xaicore.methods import METHODS

FORMULAS = [name for name, method in METHODS.items() if method.is_formula]
TARGETS = [[0, 3], [1, 2], [2, 2]]


class Remote(testing.ReferenceBackend):
    """Tensors in a memory of their own; it counts what travels to the host."""

    on_accelerator = True

    def capture(self, *args: Any, **kwargs: Any) -> Any:
        captured = super().capture(*args, **kwargs)
        self.whole, self.reduced = set(captured.activations), dict(captured.reduced)
        return captured


def both(net: Any, method: Any, layer: Any, x: Any, targets: Any = TARGETS, **options: Any) -> tuple[Any, Any]:
    """The explanations of whole arrays, and of reduced ones."""
    remote = Remote(net)
    there = Explainer(net, method, layer, remote, progress=False, **options)(x, targets)
    here = Explainer(net, method, layer, testing.ReferenceBackend(net), progress=False, **options)(x, targets)
    assert remote.reduced
    assert not remote.whole
    return here, there


def check_same(here: Any, there: Any, atol: float = 0.0) -> None:
    assert not here.empty.all()
    np.testing.assert_allclose(there.maps, here.maps, rtol=1e-5, atol=atol or 1e-5 * np.abs(here.maps).max())
    assert there.layer == here.layer
    assert there.method == here.method
    np.testing.assert_array_equal(there.empty, here.empty)
    np.testing.assert_array_equal(there.scores, here.scores)


def pictures(net: Any, count: int = 3) -> Any:
    found = net.pictures(count)
    return found if len(found) > 1 else found[0]


def test_the_formulas() -> None:
    assert FORMULAS == ["gradcam", "gradcam++", "xgradcam", "hirescam", "gradcam-elementwise", "layercam", "refinecam"]


@pytest.mark.parametrize("name", FORMULAS)
def test_convolutions_and_several_layers(name: str) -> None:
    net = testing.ConvNet()
    check_same(*both(net, name, ["relu1", "relu2"], pictures(net)))


@pytest.mark.parametrize("name", FORMULAS[:-1])
def test_tokens_with_a_prefix(name: str) -> None:
    net = testing.TokenNet()
    check_same(*both(net, name, "tokens", pictures(net)), atol=1e-7)  # HiResCAM's products cancel there


@pytest.mark.parametrize("name", FORMULAS[:-1])
def test_one_run_of_a_layer_that_runs_twice(name: str) -> None:
    net = testing.PairNet()
    check_same(*both(net, name, "relu#2", pictures(net)))


@pytest.mark.parametrize("options", [{"smooth": 2}, {"augment": "hflip"}, {"fuse": "max"}], ids=str)
def test_versions_of_the_pictures(options: dict[str, Any]) -> None:
    net = testing.ConvNet()
    check_same(*both(net, "gradcam++", ["relu1", "relu2"], pictures(net), **options))


def test_several_formulas_share_the_pass() -> None:
    net, x = testing.ConvNet(), pictures(testing.ConvNet())
    remote = Remote(net)
    there = Explainer(net, layer="relu2", backend=remote).compare(x, ["gradcam", "layercam"], targets=1)
    here = Explainer(net, layer="relu2", backend=testing.ReferenceBackend(net)).compare(x, ["gradcam", "layercam"], 1)
    (table,) = remote.reduced.values()
    positions = int(np.prod(there["gradcam"].maps.shape[1:]))
    assert table.shape == (3, 1, 3 + 2 * positions)
    assert table.dtype == np.float32
    for name in ("gradcam", "layercam"):
        check_same(here[name], there[name])


@pytest.mark.parametrize("second", ["eigencam", "gradient", lambda activations, gradients: gradients.sum(axis=2)])
def test_another_method_brings_whole_arrays(second: Any) -> None:
    net, x = testing.ConvNet(), pictures(testing.ConvNet())
    remote = Remote(net)
    Explainer(net, layer="relu2", backend=remote).compare(x, ["gradcam", second], targets=1)
    assert remote.whole == {"relu2"}
    assert not remote.reduced


@pytest.mark.filterwarnings("ignore:the maps at 'mixed' are blank")
def test_left_out_outliers_bring_whole_arrays() -> None:
    net, x = testing.TokenNet(), pictures(testing.TokenNet())
    remote = Remote(net)
    Explainer(net, layer="mixed", backend=remote, outliers="mask")(x)
    assert "mixed" in remote.whole
    assert not remote.reduced


@pytest.mark.parametrize("change", [{"on_accelerator": False}, {"powers": Backend.powers}], ids=str)
def test_a_backend_that_is_not_asked(change: dict[str, Any]) -> None:
    net, x = testing.ConvNet(), pictures(testing.ConvNet())
    remote = type("Other", (Remote,), change)(net)
    Explainer(net, layer="relu2", backend=remote)(x)
    assert remote.whole == {"relu2"}
    assert not remote.reduced


def test_the_caller_s_formula() -> None:
    """Signed, one map for all targets, with an option."""

    def mine(activations: Any, gradients: Any, xp: Any = np, *, scale: float = 1.0) -> Any:
        return scale * (xp.sum(activations, axis=1) - xp.mean(activations, axis=1))[:, None]

    mine.signed = True  # type: ignore[attr-defined]
    net = testing.ConvNet()
    here, there = both(net, xaicore.method(mine, scale=-2.0), "relu2", pictures(net))
    assert (here.maps < 0).any()
    check_same(here, there)


def test_an_option_that_is_called_xp_is_the_module() -> None:
    def mine(activations: Any, gradients: Any, *, xp: Any = np) -> Any:
        return xp.sum(gradients, axis=2)

    assert xaicore.method(mine).options == {}
    net = testing.ConvNet()
    check_same(*both(net, mine, "relu2", pictures(net)))


def test_a_formula_that_fails() -> None:
    def mine(activations: Any, gradients: Any, xp: Any = np) -> Any:
        return xp.no_such_name(gradients)

    net = testing.ConvNet()
    with pytest.raises(MethodError, match=r"'mine' takes arrays of any module, and fails with those of numpy: .*xp"):
        Explainer(net, mine, "relu2", Remote(net))(pictures(net))


@pytest.mark.parametrize("backend", [Remote, testing.ReferenceBackend])
def test_maps_of_another_shape(backend: Any) -> None:
    def mine(activations: Any, gradients: Any, xp: Any = np) -> Any:
        return gradients

    net = testing.ConvNet()
    with pytest.raises(MethodError, match=r"'mine' gave maps of shape \(3, 1, .*; expected \(3, 1, "):
        Explainer(net, mine, "relu2", backend(net))(pictures(net))


@pytest.mark.parametrize("where", ["activations", "gradients"])
def test_what_is_not_finite_is_refused_alike(where: str) -> None:
    def backend(base: Any) -> Any:
        class Bad(base):
            def forward(self, *pictures: np.ndarray) -> Any:
                values = super().forward(*pictures)
                if where == "activations":
                    values["relu2"][0, 0, 0, 0] = np.nan
                return values

            def backward(self, values: Any, rows: Any, rule: str) -> Any:
                pulled = super().backward(values, rows, rule)
                if where == "gradients":
                    pulled["relu2"][1, 0, 0, :2, 0] = np.inf
                return pulled

        return Bad

    net, said = testing.ConvNet(), []
    for base in (Remote, testing.ReferenceBackend):
        with pytest.raises(BackendError) as caught:
            Explainer(net, "layercam", "relu2", backend(base)(net))(pictures(net), TARGETS)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert f"the {where}" in said[0]
    assert ("have 1 " if where == "activations" else "have 2 ") in said[0]


def test_a_layer_without_a_map_is_refused_alike() -> None:
    net, said = testing.ConvNet(), []
    for backend in (Remote(net), testing.ReferenceBackend(net)):
        with pytest.raises(LayerError) as caught:
            Explainer(net, "gradcam", "dense", backend)(pictures(net))
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_a_reduction_that_is_left_out() -> None:
    class Forgetful(Remote):
        def capture(self, *args: Any, reduce: Any = None, **kwargs: Any) -> Any:
            return super().capture(*args, **kwargs)

    net = testing.ConvNet()
    with pytest.raises(BackendError, match="gave reduced for no layer, not for 'relu2'"):
        Explainer(net, "gradcam", "relu2", Forgetful(net))(pictures(net))
