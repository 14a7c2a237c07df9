"""Files of weights for PyTorch: read without running code, found in checkpoints, compared with the model."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import torch

from xaicore import DependencyError, InputError, ModelSpec
from xaicore.models import misfit, other_classes

__all__ = ["NESTED", "load_fitting", "load_into", "path_of", "read_file", "state_in"]

NESTED = ("state_dict", "model_state_dict", "model", "model_state", "net", "weights")
"""Where checkpoints keep a model's weights beside those of an optimiser; the first that is there counts."""


def path_of(spec: ModelSpec) -> str:
    """The file of weights that a spec names.

    Raises:
        InputError: there is no such file.
    """
    path = os.path.expanduser(spec.weights or "")
    if not os.path.isfile(path):
        raise InputError(f"weights={spec.weights!r}: no such file (in {os.getcwd()})")
    return path


def read_file(path: str, trust: bool, argument: str) -> Any:
    """What a file holds: {name: tensor}, a checkpoint, or with `trust` any object.

    Args:
        path: the file; `.safetensors`, or what `torch.save` wrote.
        trust: unpickle whatever it holds, which may run code.
        argument: what the caller's argument is called, for messages.

    Raises:
        InputError: it is neither, or holds more than tensors and is not trusted.
        DependencyError: safetensors is not installed.
    """
    if path.lower().endswith(".safetensors"):
        return _safetensors(path, argument)
    if not _is_torch_file(path):
        raise InputError(f"{argument}={path!r} is no file that torch.load or safetensors reads")
    try:
        held = torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as exc:
        raise InputError(
            f"{argument}={path!r} holds more than weights, and reading it runs code that is in the file. If you trust "
            "where it is from, add trust=True; safer is a file of model.state_dict()"
        ) from exc
    except (AttributeError, ImportError) as exc:  # of a module that was pickled
        raise InputError(
            f"{argument}={path!r} needs code that is not here ({type(exc).__name__}: {exc}): run in the folder that it "
            "was saved in, or save model.state_dict()"
        ) from exc
    except Exception as exc:
        if "TorchScript" in str(exc):
            raise _torchscript(path, argument) from exc
        first = str(exc).partition("\n")[0]
        raise InputError(f"{argument}={path!r} cannot be read: {type(exc).__name__}: {first}") from exc
    if isinstance(held, torch.jit.ScriptModule):
        raise _torchscript(path, argument)
    return held


def state_in(held: Any, path: str, argument: str) -> dict[str, torch.Tensor]:
    """The weights of a model, {name: tensor}, in what a file holds.

    Raises:
        InputError: there are none.
    """
    if isinstance(held, torch.nn.Module):
        return dict(held.state_dict())
    found = held
    for name in NESTED:
        if isinstance(held, Mapping) and isinstance(held.get(name), (Mapping, torch.nn.Module)):
            return state_in(held[name], path, argument)
    if not isinstance(found, Mapping) or not any(isinstance(value, torch.Tensor) for value in found.values()):
        seen = ", ".join(map(str, list(held)[:5])) if isinstance(held, Mapping) else type(held).__qualname__
        raise InputError(
            f"{argument}={path!r} holds no weights of a model: expected {{name: tensor}}, perhaps under "
            f"{', '.join(map(repr, NESTED[:3]))}; found {seen or 'an empty dict'}"
        )
    return {str(name): value for name, value in found.items() if isinstance(value, torch.Tensor)}


def load_into(model: torch.nn.Module, state: Mapping[str, torch.Tensor], origin: str) -> None:
    """Set all weights of a model. A prefix that all names share, as of DataParallel and Lightning, is left out.

    Args:
        model: the model.
        state: {name: tensor}.
        origin: the argument and the file, for messages.

    Raises:
        InputError: weights are missing, left over, or of another shape.
    """
    state = _without_prefix(model, state)
    problem = misfit(_shapes(model.state_dict()), _shapes(state))
    if problem is not None:
        raise InputError(f"{origin} does not fit {type(model).__name__}: {problem}")
    model.load_state_dict(dict(state), strict=False)  # batch counters may be missing


def load_fitting(build: Callable[..., Any], classes: str, path: str, spec: ModelSpec) -> Any:
    """A library's model with the weights of a file, also where these were trained for another number of classes.

    Args:
        build: makes the model; takes the number of classes as a keyword.
        classes: this keyword.
        path: the file.
        spec: the request.

    Raises:
        InputError: the weights do not fit.
    """
    state = state_in(read_file(path, spec.trust, "weights"), path, "weights")
    model = build()
    count = other_classes(_shapes(model.state_dict()), _shapes(_without_prefix(model, state)))
    if count is not None:
        model = build(**{classes: count})
    load_into(model, state, f"weights={path!r}")
    return model.eval()


def _is_torch_file(path: str) -> bool:
    """Whether it begins as a zip archive does, or as a pickle, which older versions wrote."""
    with open(path, "rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def _torchscript(path: str, argument: str) -> InputError:
    return InputError(
        f"{argument}={path!r} is TorchScript, whose layers cannot be observed: save the state_dict() of the model that "
        "it was made of, and pass spec='net.py:build' and weights='weights.pt'"
    )


def _safetensors(path: str, argument: str) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as exc:
        raise DependencyError(f"{argument}={path!r} needs safetensors: pip install safetensors") from exc
    try:
        return load_file(path)
    except Exception as exc:
        raise InputError(f"{argument}={path!r} is no safetensors file: {type(exc).__name__}: {exc}") from exc


def _without_prefix(model: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights under the model's own names: "module.conv.weight" as "conv.weight"."""
    known, found = set(model.state_dict()), dict(state)
    while found and not known & found.keys():
        heads = {name.partition(".")[0] for name in found}
        if len(heads) > 1 or not all("." in name for name in found):
            return dict(state)
        found = {name.partition(".")[2]: value for name, value in found.items()}
    return found


def _shapes(state: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """{name: shape}, without the counters of batch normalisation, which no output depends on."""
    return {
        name: tuple(value.shape)
        for name, value in state.items()
        if isinstance(value, torch.Tensor) and not name.endswith("num_batches_tracked")
    }
