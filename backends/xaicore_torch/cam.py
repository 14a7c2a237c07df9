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
        maps = self._maps(args, kwargs).to(self.dense.weight.dtype)
        if self._channels_last:
            maps = maps.movedim(-1, 1)
        y = self.dense(maps.flatten(2).mean(dim=2))
        if self.activation == "softmax":
            return y.softmax(dim=1)
        return y.sigmoid() if self.activation == "sigmoid" else y

    def train(self, mode: bool = True) -> CamModel:
        """As any module; a frozen body stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.body.eval()
        return self

    def extra_repr(self) -> str:
        """What is pooled, and what comes out."""
        return f"layer={self.layer!r}, activation={self.activation!r}, frozen={self.frozen}"

    def _maps(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        """The layer's first tensor, at its last run; nothing runs after that.

        The hook is there for this call only, and so comes after those of an explanation: it sees what they put
        in the output's place.
        """
        me, runs = threading.get_ident(), 0
        seen: list[torch.Tensor] = []

        def stop(module: nn.Module, given: Any, answer: Any) -> None:
            nonlocal runs
            if threading.get_ident() != me:  # another thread's pass through the same modules
                return
            runs += 1
            seen[:] = [first_tensor(answer)]
            if runs == self._runs:
                raise _Reached(seen)

        hook = self.body.get_submodule(self.layer).register_forward_hook(stop)
        try:
            self.body(*args, **kwargs)
        except _Reached as reached:
            if reached.seen is not seen:  # of a CamModel around this one
                raise
        finally:
            hook.remove()
        if not seen:
            raise LayerError(f"layer {self.layer!r} did not run for these inputs, as it did when the model was made")
        return seen[0]


class _Reached(BaseException):
    """The layer has run. Not an Exception, which a model may catch for reasons of its own."""

    def __init__(self, seen: list[torch.Tensor]) -> None:
        super().__init__()
        self.seen = seen


class Dropped(nn.Module):
    """In the place of a module whose weights served only after the pooled layer: names and positions stay."""

    def __init__(self, name: str, layer: str) -> None:
        super().__init__()
        self.name = name
        self.layer = layer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Never runs, unless the model takes another way than it took for the example."""
        raise BackendError(
            f"{self.name!r} was dropped by cam_model, since it ran only after {self.layer!r} for the example input; "
            "for this one it ran before. Make the model from an example that takes the same way: inputs=..."
        )
