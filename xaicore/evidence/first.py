"""The first pass, which serves all methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore import trees
from xaicore.backend import Backend
from xaicore.capture import Capture, Reduction
from xaicore.errors import BackendError
from xaicore.evidence.checks import check_captured, check_count
from xaicore.evidence.passes import Settle
from xaicore.evidence.plan import Plan
from xaicore.layers import Tokens
from xaicore.outputs import Answer, Parts
from xaicore.targets import Aim

__all__ = ["first_pass"]

AimFor = Callable[[Answer], Aim]
"""`aim_for(answer)` chooses the targets, and raises where the outputs cannot be explained."""


def first_pass(
    backend: Backend,
    x: Any,
    plan: Plan,
    names: Sequence[str],
    tokens: Tokens | None,
    settle: Settle,
    aim_for: AimFor,
    with_parts: bool = False,
    reductions: Mapping[str, Reduction] | None = None,
) -> tuple[Capture, Aim]:
    """One pass that gives all that a plan needs. Targets are compared with the outputs before anything is pulled back.

    Args:
        backend, x: the model and what it takes.
        plan: what is needed.
        names: the layers to capture.
        tokens: the attentions to capture, if any.
        settle, aim_for: read the outputs.
        with_parts: whether the targets read other outputs, too.
        reductions: of all these layers, where the backend computes what is needed of them.

    Raises:
        BackendError: the backend left something out, or did not call the direction once.
    """
    aims: list[Aim] = []

    def direction(outputs: np.ndarray, kind: str, parts: Parts = MappingProxyType({})) -> np.ndarray:
        aims.append(aim_for(settle(Answer(outputs, kind, parts=parts))))
        return aims[-1].direction

    extra: dict[str, Any] = {"parts": True} if with_parts else {}
    if tokens is not None:
        pulled = tokens.last(plan.pulled_blocks).blocks
        extra["attention"] = {block.name: block in pulled for block in tokens.blocks}
    if plan.rules:
        extra["rules"] = plan.rules
    if reductions is not None:
        extra["reduce"] = reductions
    take: Any = backend.capture  # whose keywords a backend without the powers lacks
    capture: Capture = take(x, names, direction if plan.has_direction else None, **extra)
    if not plan.has_direction:
        direction(capture.outputs, capture.outputs_kind, capture.parts)
    if trees.count(x) != len(capture.outputs) and backend.observe(x) is None:
        check_count(backend.with_batch_axis(x), capture, backend.name or type(backend).__name__)
    settled = settle(capture.answer)
    capture = replace(capture, outputs_kind=settled.kind, link=settled.link)
    if len(aims) != 1:
        raise BackendError(f"backend {backend.name!r} called direction {len(aims)} times; expected one call")
    check_captured(names, capture, "gradients" in plan.needs, backend.name, reductions is not None)
    return capture, aims[0]
