"""`python -m benchmarks.targets.words`: what the words of a caption cost, beside the pass that predicts all of them.

Each figure is a ratio to the bare teacher-forced pass, which runs before and after it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

import xaicore
from benchmarks.measure import seconds, time_ratio
from benchmarks.nets import build

__all__: list[str] = []

COUNT = 20
"""The words of the caption."""

VOCABULARY = 10_000

LIMIT = 1.5


class Captioner(nn.Module):
    """ResNet-50, and an LSTM that looks at its map at each word (Xu et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*list(build("ResNet-50").children())[:-3])
        self.keys = nn.Linear(2048, 512)
        self.words = nn.Embedding(VOCABULARY, 512)
        self.lstm = nn.LSTM(512, 512, batch_first=True)
        self.head = nn.Linear(512 + 2048, VOCABULARY)

    def forward(self, picture: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Logits (N, T, tokens)."""
        places = self.features(picture).flatten(2).transpose(1, 2)
        states, _ = self.lstm(self.words(words))
        where = (states @ self.keys(places).transpose(1, 2) / 512**0.5).softmax(-1)
        logits: torch.Tensor = self.head(torch.cat([states, where @ places], -1))
        return logits


def _captioner() -> tuple[nn.Module, Any]:
    return Captioner(), (torch.rand(1, 3, 224, 224), torch.randint(VOCABULARY, (1, COUNT)))


def _blip() -> tuple[nn.Module, Any]:
    """BLIP's base size, with random weights."""
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    import transformers as hf

    text = hf.BlipTextConfig(vocab_size=VOCABULARY, hidden_size=768, encoder_hidden_size=768)
    config = hf.BlipConfig(text_config=text.to_dict(), vision_config=hf.BlipVisionConfig(image_size=224).to_dict())
    ids = torch.randint(3, VOCABULARY, (1, COUNT))
    return hf.BlipForConditionalGeneration(config), {"pixel_values": torch.rand(1, 3, 224, 224), "input_ids": ids}


MODELS: dict[str, Callable[[], tuple[nn.Module, Any]]] = {"ResNet-50 and LSTM": _captioner}
if importlib.util.find_spec("transformers"):
    MODELS["BLIP, base"] = _blip


def _pass(model: nn.Module, x: Any) -> Any:
    with torch.inference_mode():
        return model(**x) if isinstance(x, dict) else model(*x)


def main() -> None:
    """Print a line per model: the layer, a pass, and the ratios of one word and of all."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=7)
    rounds = options.parse_args().rounds
    for name, make in MODELS.items():
        torch.manual_seed(0)
        model, x = make()
        explainer, bare = xaicore.Explainer(model.eval()), partial(_pass, model, x)
        target, word = xaicore.targets.Words(), xaicore.targets.Word(COUNT - 1)
        layer = explainer(x, target).layer
        bare()
        (words, kept), (one, of_one) = (
            time_ratio(partial(explainer, x, what), bare, rounds) for what in (target, word)
        )
        print(
            f"{name}: {layer}, a pass {seconds(bare):.2f} s, {COUNT} words {words:.2f} (limit {LIMIT}), of {kept} "
            f"undisturbed rounds of {rounds}; one word {one:.2f}, of {of_one}",
            flush=True,
        )


if __name__ == "__main__":
    main()
