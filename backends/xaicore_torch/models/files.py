"""Models and weights in files of PyTorch: weights for a model that code built, or a whole model that was pickled."""

from __future__ import annotations

import os

import torch

from xaicore import InputError, ModelSpec, NamedModel
from xaicore_torch.models.weights import NESTED, load_into, path_of, read_file, state_in

__all__ = ["load"]


def load(spec: ModelSpec) -> NamedModel:
    """The model that code built, with the weights of a file; or the model in a file.

    Raises:
        InputError: the weights do not fit, the file holds weights alone, or it is not trusted.
    """
    if spec.model is not None:
        path = path_of(spec)
        load_into(spec.model, state_in(read_file(path, spec.trust, "weights"), path, "weights"), f"weights={path!r}")
        return NamedModel(spec.model, f"{spec.text}, weights {path}", is_pretrained=True)
    path = os.path.expanduser(spec.text)
    if spec.weights is not None:
        raise InputError(
            f"spec={spec.text!r} and weights={spec.weights!r} are two files: name the code that builds the "
            f"model, spec='net.py:build', and one of them as weights"
        )
    if not spec.pretrained:
        raise InputError(f"spec={spec.text!r} is a file of a trained model: weights='none' is for a library's model")
    held = read_file(path, spec.trust, "spec")
    if isinstance(held, dict):  # such as a checkpoint with the module in it, perhaps beside that of its loss
        modules = {name: value for name, value in held.items() if isinstance(value, torch.nn.Module)}
        held = next((modules[name] for name in (*NESTED, *modules) if name in modules), held)
    if isinstance(held, torch.nn.Module):
        return NamedModel(held.eval(), f"{type(held).__name__} of {path}", is_pretrained=None)
    names = list(state_in(held, path, "spec"))
    raise InputError(
        f"spec={spec.text!r} holds weights alone ({len(names)} tensors: {', '.join(names[:3])}, ...), not how the "
        f"model computes: pass the code that builds it, spec='net.py:build' and weights={spec.text!r}, or a library's "
        f"model, such as spec='torchvision/resnet50' and weights={spec.text!r}"
    )
