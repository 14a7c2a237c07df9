"""What `xaicore explain` is asked for, the same for loggers and for a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xaicore.cli.labels import read_targets
from xaicore.cli.model import as_output
from xaicore.errors import InputError
from xaicore.source.listing import Listing
from xaicore.targets import Target, TopK

__all__ = ["Request"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of `xaicore explain` that say what is explained, as click reads them.

    Raises:
        InputError: `--target` and `--top-k` are given.
    """

    paths: Sequence[str]
    model: str | None
    weights: str | None
    trust: bool
    preprocess: str | None
    device: str | None
    backend: str | None
    output: str | None
    methods: Sequence[str]
    layers: Sequence[str]
    targets: Sequence[str]
    top_k: int | None
    labels: str | None
    truth: str | None
    activation: str | None
    kind: str | None
    axes: str | None
    grid: tuple[int, ...] | None
    input_axes: str | None
    outliers: str | None
    smooth: int | tuple[int, float] | None
    augment: Sequence[str]
    fuse: str
    batch_size: int

    def __post_init__(self) -> None:
        if self.targets and self.top_k is not None:
            raise InputError(f"--target {self.targets[0]} and --top-k {self.top_k}: pass one of them")

    @property
    def loading(self) -> tuple[str | None, str | None, str | None, bool]:
        """The arguments of `load_model` beside the model's name."""
        return self.preprocess, self.device, self.weights, self.trust

    @property
    def reading(self) -> Mapping[str, Any]:
        """Those arguments of `Explainer` that are typed as they are, by name."""
        names = ("activation", "kind", "axes", "grid", "input_axes", "outliers", "smooth")
        return {name: getattr(self, name) for name in names}

    @property
    def options(self) -> Mapping[str, Any]:
        """Arguments of `Explainer` beside the model and the method."""
        return {
            **self.reading,
            "layer": self.layers or None,
            "backend": self.backend,
            "output": as_output(self.output),
            "augment": self.augment or None,
            "fuse": None if self.fuse == "none" else self.fuse,
            "batch_size": self.batch_size,
        }

    def target(
        self, listing: Listing, class_names: Sequence[str] | None
    ) -> Target | str | int | list[list[int]] | None:
        """What is explained in these pictures, as `Explainer` takes it.

        Raises:
            XaicoreError: as `read_targets` does.
        """
        return read_targets(self.targets, listing.truth, class_names) if self.top_k is None else TopK(self.top_k)
