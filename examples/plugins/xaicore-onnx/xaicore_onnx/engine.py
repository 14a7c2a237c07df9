"""Runs parts of a graph: from its inputs or a layer, to any tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx.utils import Extractor

from xaicore import InputError, facts
from xaicore_onnx.graph import Graph

__all__ = ["Engine"]


class Engine:
    """Sessions of a graph's parts, made when they are needed.

    Args:
        graph: the whole.
        providers: of ONNX Runtime, in the order in which they are tried.
    """

    def __init__(self, graph: Graph, providers: Sequence[str]) -> None:
        self.graph, self.providers = graph, list(providers)
        self._parts = Extractor(graph.model)
        for tensor in graph.made_by:
            self._parts.value_infos.setdefault(tensor, onnx.ValueInfoProto(name=tensor))
        self._sessions: facts.ByShape[onnxruntime.InferenceSession] = facts.ByShape()

    def run(self, given: Mapping[str, np.ndarray], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        """{tensor: its value} of the wanted tensors, from {input or tensor: its value}, all with the images first.

        A graph of a fixed number of images runs several times.

        Raises:
            InputError: the graph does not take these inputs; the message has ONNX Runtime's.
        """
        count, at_once = len(next(iter(given.values()))), self.fixed_count
        rows = count if at_once is None else at_once
        if count % rows:
            raise InputError(f"{count} images for a graph that takes {rows} at once: pass a multiple of {rows}")
        each = [self._run({k: v[i : i + rows] for k, v in given.items()}, wanted) for i in range(0, count, rows)]
        return {
            name: np.concatenate([one[name] for one in each]) if len(each) > 1 else each[0][name] for name in wanted
        }

    @property
    def fixed_count(self) -> int | None:
        """How many images the graph takes at once; None for any number."""
        lengths = {one.lengths[0] for one in self.graph.inputs if one.lengths}
        return next(iter(lengths)) if len(lengths) == 1 else None

    def _run(self, given: Mapping[str, np.ndarray], wanted: Sequence[str]) -> dict[str, np.ndarray]:
        try:
            values = self._session(given, wanted).run(list(wanted), dict(given))
        except Exception as exc:  # ONNX Runtime's errors have no public base class
            shapes = ", ".join(f"{name} {value.shape} {value.dtype}" for name, value in given.items())
            raise InputError(f"the graph does not take {shapes}: {exc}") from exc
        return dict(zip(wanted, values, strict=True))

    def _session(self, given: Mapping[str, np.ndarray], wanted: Sequence[str]) -> onnxruntime.InferenceSession:
        key = (*given, None, *wanted)
        if key not in self._sessions:
            for name, value in given.items():
                if name in self.graph.made_by:
                    kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
                    self._parts.value_infos[name] = onnx.helper.make_tensor_value_info(name, kind, None)
            part = self._parts.extract_model(list(given), list(dict.fromkeys(wanted)))
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3  # its warnings are about the graph that the user has
            self._sessions[key] = onnxruntime.InferenceSession(part.SerializeToString(), options, self.providers)
        return self._sessions[key]
