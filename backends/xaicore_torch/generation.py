"""The words that a model of Transformers generates, and the one pass that explains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from xaicore import InputError
from xaicore.errors import type_name
from xaicore_torch.layout import unwrap
from xaicore_torch.state import preserved_model

__all__ = ["Generated", "generated"]


@dataclass(frozen=True, eq=False)
class Generated:
    """What was generated: `explain(model, it.inputs, Words(it.tokens, it.start), output="logits")` explains each word.

    Attributes:
        inputs: keyword arguments of the model for the pass in which it is given all of its own words.
        tokens: (N, L) int64, the ids that were generated; -1 behind the end of a sequence.
        start: the position of the scores that predict the first of them.
    """

    inputs: dict[str, Any]
    tokens: np.ndarray
    start: int


def generated(model: nn.Module, inputs: Mapping[str, Any], **options: Any) -> Generated:
    """Let a model of Transformers generate, by its own `generate`, and return the pass that gives the same words.

    A causal model gives each position the scores that it had when it generated the next token, so that one pass over
    the whole sequence explains every word. The model and all random states are as before.

    Args:
        model: with `generate`: an encoder with a decoder, a decoder, or a decoder that reads image tokens.
        inputs: its keyword arguments, such as {"pixel_values": pixels}, with "input_ids" for a prompt.
        options: of `generate`, such as max_new_tokens=20. Without do_sample=True, the most probable tokens are taken.

    Raises:
        InputError: the model does not generate, or gives no scores of tokens.
    """
    model = unwrap(model)
    generate = getattr(model, "generate", None)
    if generate is None or not isinstance(inputs, Mapping):
        raise InputError(
            f"generated({type_name(model)}, {type_name(inputs)}): expected a model of Transformers with generate(), "
            "and a dict of its keyword arguments"
        )
    device = next(model.parameters()).device
    # A model's first pass may register hooks and note that it did, as those of Transformers do: both stay, or neither.
    with preserved_model(model, device, mutable=lambda module: False):
        sequences = generate(**inputs, **{"do_sample": False, **options})
        sequences = getattr(sequences, "sequences", sequences)
        prompt = _prompt_length(sequences, inputs.get("input_ids"))
        forced = _forced(model, inputs, sequences)
        scores = getattr(model(**forced), "logits", None)
    if scores is None or scores.ndim != 3:
        raise InputError(f"{type_name(model)} returned no `logits` (N, positions, tokens) for its own words")
    words = sequences[:, prompt:]
    before = scores.shape[1] - (sequences.shape[1] - 1)  # positions of image tokens that the model puts before the ids
    tokens = _until_end(words.cpu().numpy(), _end_tokens(model))
    return Generated(forced, tokens, prompt - 1 + before)


def _prompt_length(sequences: torch.Tensor, prompt: torch.Tensor | None) -> int:
    """How many of the ids were given: a prompt, or the token that starts a sequence."""
    if prompt is None:
        return 1
    length = min(prompt.shape[1], sequences.shape[1])
    same = (sequences[:, :length] == prompt[:, :length].to(sequences.device)).all(dim=0)
    # Some models replace the first token of a prompt, and drop its last one.
    same[0] = True
    return int(same.cumprod(dim=0).sum())


def _forced(model: nn.Module, inputs: Mapping[str, Any], sequences: torch.Tensor) -> dict[str, Any]:
    """The model's arguments with all ids but the last."""
    ids = sequences[:, :-1]
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        return {**inputs, "decoder_input_ids": ids}
    forced = {**inputs, "input_ids": ids}
    mask = inputs.get("attention_mask")
    if mask is not None:
        more = torch.ones_like(ids[:, : ids.shape[1] - mask.shape[1]]).to(mask)
        forced["attention_mask"] = torch.cat([mask, more], dim=1)[:, : ids.shape[1]]
    return forced


def _end_tokens(model: nn.Module) -> set[int]:
    """The ids that end a sequence."""
    config = getattr(model, "generation_config", None)
    end = getattr(config, "eos_token_id", None)
    return set() if end is None else {int(end)} if isinstance(end, int) else {int(one) for one in end}


def _until_end(tokens: np.ndarray, ends: set[int]) -> np.ndarray:
    """Ids (N, L); -1 behind the first that ends its sequence."""
    is_end = np.isin(tokens, list(ends))
    behind = np.cumsum(is_end, axis=1) - is_end > 0
    return np.where(behind, -1, tokens)
