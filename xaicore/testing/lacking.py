"""What the tests of a backend may leave out: `docs/plugins.md` lists the same, under the same names."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FEATURES", "Feature"]


@dataclass(frozen=True)
class Feature:
    """What a framework or a backend may not have, and its tests then declare in `lacks`.

    Attributes:
        text: what it is.
        by: the method of the tests that supplies it; "" for what the backend itself shows or does.
        needs: what is not asked for without it: "facts", or the method or power behind it. "" is always asked for.
    """

    text: str
    by: str = ""
    needs: str = ""


FEATURES: dict[str, Feature] = {
    "gradients": Feature("a way back; without it, the framework only runs forward"),
    "facts": Feature("what `observe` reports"),
    "heads": Feature("a softmax or sigmoid at the end, as `net.link` says", "build_conv"),
    "logits": Feature("what such an end took; without it, outputs are called probabilities", "", "heads"),
    "bias": Feature("biases of layers", "build_conv"),
    "residual": Feature("a block with batch norms and a skip", "build_residual"),
    "segments": Feature("a score for each class at each position, in any order of axes", "build_segments"),
    "shares": Feature("the convolutional net whose softmax is written out of single operations", "build_shares"),
    "half": Feature("the convolutional net on pictures of four channels, in float16", "build_half"),
    "turned": Feature(
        "the convolutional net on grey pictures, whose channel is on the other side; before any pass, "
        "`channels_last` tells it from the other nets",
        "build_turned",
    ),
    "leaky": Feature("the convolutional net with a leaky ReLU", "build_leaky"),
    "modes": Feature("modes that a caller may be in, such as switched-off gradients", "modes"),
    "frozen": Feature("weights whose gradients can be switched off", "freeze"),
    "alias": Feature("a second name of a layer, as of a module that is stored in two places", "alias", "facts"),
    "tokens": Feature("a transformer of one block, whose class token is read", "build_tokens", "facts"),
    "pair": Feature("two pictures through one convolution", "build_pair", "facts"),
    "loop": Feature("a convolution that runs twice, on what it made itself", "build_loop", "facts"),
    "blocks": Feature("a transformer of two blocks", "build_blocks", "facts"),
    "words": Feature("a picture and whole numbers, by name", "build_words", "facts"),
    "causal": Feature(
        "a transformer whose tokens read those before them, without a class token", "build_causal", "facts"
    ),
    "queries": Feature("learned queries that read tokens, and softmaxes over channels", "build_queries", "facts"),
    "recurrent": Feature("a part of the picture, whose columns a recurrent layer reads", "build_recurrent", "facts"),
    "outputs": Feature("two outputs, of which `output=` chooses one", "build_outputs", "facts"),
    "coupled": Feature("images that depend on each other, as those of batch statistics do", "build_coupled", "facts"),
    "halves": Feature("the halves of a picture through one convolution, and words", "build_halves", "facts"),
    "open": Feature("two blocks, whose attentions are written out of single operations", "build_open", "facts"),
    "masked": Feature("three blocks, whose attentions take masks and a bias", "build_masked", "facts"),
    "sequence": Feature(
        "scores for each column of a picture, (columns, N, classes): the images come second", "build_sequence", "facts"
    ),
    "axial": Feature(
        "patches that read those of their row, then those of their column: several rows of attention weights per image",
        "build_axial",
        "facts",
    ),
    "takes": Feature("`takes` of layers", "", "facts"),
    "reads": Feature("`reads` of layers", "", "facts"),
    "reached": Feature("`reached` of layers", "", "facts"),
    "reader": Feature("`reader_shape` and `reader_axis` of inputs", "", "facts"),
    "moves": Feature("`moves` of tokens, `reader_moves` and `reader_spans`", "", "facts"),
    "class_axis": Feature("`class_axis` of a score map, as its layers show it", "build_segments", "facts"),
    "frames": Feature("`run_frames`: which runs of the reader a run depends on", "build_halves", "facts"),
    "parts": Feature("`parts`: which tokens depend on which input", "build_halves", "facts"),
    "float16": Feature(
        'a copy by `in_precision("float16")`; it raises a `BackendError` that names the type', "", "in_precision"
    ),
    "bfloat16": Feature('a copy by `in_precision("bfloat16")`, likewise', "", "in_precision"),
    "values": Feature("what the weights of an attention are multiplied with", "", "attention"),
    "covariance": Feature("the difference between attention and a softmax over channels", "build_queries", "attention"),
}
"""{name in `lacks`: what it is}."""
