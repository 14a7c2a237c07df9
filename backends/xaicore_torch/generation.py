"""Words that a model of Transformers generates, and the pass that explains them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from xaicore import BackendError, InputError
from xaicore.errors import type_name
from xaicore.outputs import tolerance
from xaicore_torch.inputs import prepare
from xaicore_torch.layout import unwrap
from xaicore_torch.outputs import is_half
from xaicore_torch.state import preserved_model

__all__ = ["Generated", "generated"]


BY_HAND = (
    "Explain a module of your own that runs the decoder on the generated ids and returns its logits (N, positions, "
    "tokens), with targets=xaicore.targets.Words(tokens, start=...)"
)
"""The way to words that no pass of the model itself predicts."""


@dataclass(frozen=True, eq=False)
class Generated:
    """What a model generated, and what it takes to predict all of it in one pass.

    `xaicore.explain(model, found.inputs, xaicore.targets.Words(found.tokens, start=found.start))` explains each token
    at the logits that predicted it.

    Attributes:
        inputs: the model's keyword arguments for this pass: those given, and the tokens that it reads.
        tokens: (N, L) int64, the generated ids; -1 behind the end of a shorter sequence.
        start: the position of the logits that predict the first of them.
    """

    inputs: dict[str, Any]
    tokens: np.ndarray
    start: int


def generated(model: nn.Module, inputs: Any, **options: Any) -> Generated:
    """Let a model of Transformers generate, and find the pass that predicts what it generated.

    A causal model gives each position the logits that it had when it generated the next token. That this pass does is
    checked: its logits are compared with those of the generation. The model and all random states are as before.

    Args:
        model: with a method `generate`: an encoder with a decoder, or a decoder that reads image tokens.
        inputs: the keyword arguments of `generate`, such as {"pixel_values": pixels}, with "input_ids" for a prompt; or
            one array, the first of them.
        options: of `generate`, such as max_new_tokens=20. Without do_sample=True, the most probable tokens are taken.

    Raises:
        InputError: the model does not generate, or the options are those of a beam search.
        BackendError: no pass predicts what it generated.
    """
    model = unwrap(model)
    generate = getattr(model, "generate", None)
    if generate is None:
        raise InputError(f"generated({type_name(model)}): expected a model of Transformers with generate()")
    if options.get("num_beams", 1) != 1:
        raise InputError(
            f"num_beams={options['num_beams']!r}: expected one sequence per image. For tokens that a beam search "
            "found, pass the model what it reads, and targets=xaicore.targets.Words(tokens, start=...)"
        )
    given = inputs if isinstance(inputs, Mapping) else {getattr(model, "main_input_name", "pixel_values"): inputs}
    batch = prepare(model, given)
    with preserved_model(model, batch.picture.device):
        settings = {"do_sample": False, "num_beams": 1, **options}
        settings |= {"output_logits": True, "return_dict_in_generate": True}
        found = generate(**batch.clone().kwargs, **settings)
        sequences, prompt = _sequences(found, batch.kwargs)
        forced = _forced(model, batch.kwargs, sequences)
        try:
            logits = getattr(model(**forced), "logits", None)
        except Exception as exc:  # whatever it raises for arguments that it does not take
            raise BackendError(
                f"{type_name(model)} takes no {_described(forced)}, {type(exc).__name__}: {exc}. {BY_HAND}"
            ) from exc
    if not isinstance(logits, torch.Tensor) or logits.ndim != 3:
        raise BackendError(
            f"{type_name(model)} returns no logits (N, positions, tokens) for {_described(forced)}. {BY_HAND}"
        )
    start = prompt - 1 + logits.shape[1] - (sequences.shape[1] - 1)
    tokens = _until_end(sequences[:, prompt:].cpu().numpy().astype(np.int64), _ends(model, options))
    _check_same(model, logits, found.logits, start, tokens)
    return Generated(forced, tokens, start)


def _sequences(found: Any, given: Mapping[str, Any]) -> tuple[torch.Tensor, int]:
    """(N, prompt + generated) ids, and the length of the prompt."""
    sequences, prompt = found.sequences, found.sequences.shape[1] - len(found.logits)
    if prompt <= 0 and "input_ids" in given:  # only the new tokens are returned
        before = given["input_ids"]
        return torch.cat([before, sequences.to(before.device)], 1), before.shape[1]
    if prompt <= 0 or not len(found.logits):
        raise BackendError(
            f"generate returned ids {tuple(sequences.shape)} after {len(found.logits)} steps: expected at least one "
            "step, and a token that the first one reads"
        )
    return sequences, prompt


def _forced(model: nn.Module, given: Mapping[str, Any], sequences: torch.Tensor) -> dict[str, Any]:
    """The arguments of a pass that reads all ids but the last."""
    read = sequences[:, :-1]
    has_encoder = bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))
    if has_encoder:
        return {**given, "decoder_input_ids": read}
    prompt = given.get("input_ids")
    if prompt is not None and read.shape[1] < prompt.shape[1]:
        raise BackendError(
            f"{type_name(model)} read input_ids {tuple(prompt.shape)}, and generated {tuple(sequences.shape)} that do "
            f"not begin with them: another decoder writes the answer. {BY_HAND}"
        )
    forced = {**given, "input_ids": read}
    mask = given.get("attention_mask")
    if mask is not None:
        forced["attention_mask"] = torch.cat([mask, mask.new_ones(len(mask), read.shape[1] - mask.shape[1])], 1)
    return forced


def _ends(model: nn.Module, options: Mapping[str, Any]) -> set[int]:
    """The ids that end a sequence, by the options and by all that the model's configurations say."""
    config = getattr(model, "config", None)
    holders = (getattr(model, "generation_config", None), config, getattr(config, "text_config", None))
    named = [options.get("eos_token_id"), *(getattr(holder, "eos_token_id", None) for holder in holders)]
    named.append(getattr(getattr(config, "text_config", None), "sep_token_id", None))
    return {one for ids in named for one in (ids if isinstance(ids, Sequence) else [ids]) if isinstance(one, int)}


def _until_end(tokens: np.ndarray, ends: set[int]) -> np.ndarray:
    """The ids, with -1 behind the first that ends a sequence."""
    is_end = np.isin(tokens, sorted(ends))
    return np.where(np.cumsum(is_end, axis=1) - is_end > 0, -1, tokens)


def _check_same(
    model: nn.Module, logits: torch.Tensor, generating: Sequence[torch.Tensor], start: int, tokens: np.ndarray
) -> None:
    """Refuse a pass that predicts something else than the generation.

    Raises:
        BackendError: it does.
    """
    steps = torch.stack([step.to(logits.device) for step in generating], 1).float()
    forced = logits[:, start : start + steps.shape[1]].float()
    is_word = torch.from_numpy(tokens >= 0).to(logits.device)
    if start >= 0 and forced.shape == steps.shape:
        largest = float(steps[is_word].abs().max()) if is_word.any() else 0.0
        if float((forced - steps)[is_word].abs().max() if is_word.any() else 0) <= tolerance(is_half(logits)) * largest:
            return
    raise BackendError(
        f"{type_name(model)} predicts something else in one pass, logits {tuple(logits.shape)}, than it did step "
        f"by step, {len(generating)} tokens: build its inputs yourself, and pass targets=xaicore.targets.Words(tokens, "
        "start=...), start being the position of the logits that predict the first token"
    )


def _described(inputs: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {tuple(value.shape)}" for name, value in inputs.items() if hasattr(value, "shape"))
