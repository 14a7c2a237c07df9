"""A model that CAM explains: a body, global average pooling and a dense layer."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import nn

from xaicore import BackendError, LayerError
from xaicore_torch.outputs import first_tensor

__all__ = ["CamModel", "Dropped"]


class CamModel(nn.Module):
    """outputs = activation(dense(mean of the layer's map over its positions)); takes what `body` takes.

    Attributes:
        body: a copy of the model that this one was made from; it runs up to the last run of the layer.
        dense: the classifier, whose rows are the weights of CAM.
        layer: the pooled layer's name in `body`.
        activation: "softmax", "sigmoid" or None.
        frozen: whether the body keeps its weights and stays in evaluation mode.
    """

    def __init__(
        self,
        body: nn.Module,
        layer: str,
        dense: nn.Linear,
        activation: str | None = None,
        runs: int = 1,
        channels_last: bool = False,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.body = body
        self.dense = dense
        self.layer = layer
        self.activation = activation
        self.frozen = frozen
        self._runs = runs
        self._channels_last = channels_last
        self.training = dense.training = body.training  # not train(): modules in the body have flags of their own
        if frozen:
            body.requires_grad_(False).eval()

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """(N, classes) for the arguments of `body`."""
        maps = self._maps(args, kwargs)
        maps = maps.to(next(self.dense.parameters()).dtype)  # not dense.weight, which a parametrization would compute
        if self._channels_last:
            maps = maps.movedim(-1, 1)
        y: torch.Tensor = self.dense(maps.flatten(2).mean(dim=2))
        if self.activation == "softmax":
            return y.softmax(dim=1)
        return y.sigmoid() if self.activation == "sigmoid" else y

    def train(self, mode: bool = True) -> CamModel:
        """Set the mode, as of any module; a frozen body stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.body.eval()
        return self

    def extra_repr(self) -> str:
        """The pooled layer and what follows it."""
        return f"layer={self.layer!r}, activation={self.activation!r}, frozen={self.frozen}"

    def _maps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        """The layer's first tensor, at its last run; nothing runs after that.

        The hook lives for this call only. So it runs after the hooks of an explanation, and gets what these put in the
        output's place.
        """
        thread, runs = threading.get_ident(), 0
        maps: list[torch.Tensor] = []

        def stop(module: nn.Module, args: Any, output: Any) -> None:
            nonlocal runs
            if threading.get_ident() != thread:  # another thread's pass through the same modules
                return
            runs += 1
            tensor = first_tensor(output)
            if tensor is None:
                raise LayerError(f"layer {self.layer!r} gave no tensor for these inputs, as it did for the example")
            maps[:] = [tensor]
            if runs == self._runs:
                raise _LayerReached(maps)

        hook = self.body.get_submodule(self.layer).register_forward_hook(stop)
        try:
            self.body(*args, **kwargs)
        except _LayerReached as reached:
            if reached.maps is not maps:  # raised for a CamModel around this one
                raise
        finally:
            hook.remove()
        if not maps:
            raise LayerError(f"layer {self.layer!r} did not run for these inputs, as it did when the model was made")
        return maps[0]


class _LayerReached(BaseException):
    """The layer has run for the last time. Not an Exception, which a model may catch."""

    def __init__(self, maps: list[torch.Tensor]) -> None:
        super().__init__()
        self.maps = maps


class Dropped(nn.Module):
    """Replaces a module whose weights served only after the pooled layer, so that names and positions stay."""

    def __init__(self, name: str, layer: str) -> None:
        super().__init__()
        self.name = name
        self.layer = layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Raise: it runs only if the model takes another path than for the example.

        Raises:
            BackendError: always.
        """
        raise BackendError(
            f"{self.name!r} was dropped by cam_model, since it ran only after {self.layer!r} for the example input; "
            "for this one it ran before. Make the model from an example that takes the same path: inputs=..."
        )
