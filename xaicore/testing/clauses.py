"""The contract of plugins, clause by clause. `docs/plugins.md` lists the same clauses under the same ids.

An id stays for good. A new clause carries the version of the kit that brought it.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CLAUSES", "KIT_VERSION", "Clause"]

KIT_VERSION = 2
"""Grows by one with each release that adds clauses."""


@dataclass(frozen=True)
class Clause:
    """One sentence of the contract.

    Attributes:
        id: the anchor in docs/plugins.md.
        text: what holds.
        since: the version of the kit that first checked it.
    """

    id: str
    text: str
    since: int = 1

    @property
    def place(self) -> str:
        """Where the documentation has it."""
        return f"docs/plugins.md#{self.id}"


_TEXTS = {
    "kit-declared": "What a plugin's tests leave out is declared in `lacks` with a reason, and nothing else is.",
    "plugin-hook": "`xaicore_backend` returns a `Backend` of this api_version for a model of its framework.",
    "plugin-declines": "`xaicore_backend` returns None for an object of no or another framework, and raises nothing.",
    "plugin-silent": "Importing the plugin prints nothing, imports no framework, and works where it is missing.",
    "backend-outputs": "`outputs` are the model's, (N, classes), in every pass and in `predict`.",
    "backend-kinds": "Logits are called logits, probabilities probabilities; `link` is what is put on the logits.",
    "backend-layers": "`layers` lists names, types, shapes (N, C, *spatial) and maps in order of completion.",
    "backend-activations": "`activations` are the outputs of the layers that were asked for, and of no others.",
    "backend-gradients": "`gradients` are d score / d layer for the direction given, (N, K, ...); else there are none.",
    "backend-targets": "`gradients[:, k]` belong to `direction[:, k]`: K targets share a pass, also of one class.",
    "backend-several": "Several layers in one pass give what each gives alone.",
    "backend-direction": "`direction` is called once per pass, in the caller's thread, with outputs and their kind.",
    "backend-direction-shape": "A direction of another shape than (N, K, *O) raises a `BackendError` that names both.",
    "backend-batch": "An image gives in a batch what it gives alone, in the same order.",
    "backend-arrays": "Arrays are NumPy float32, whatever inputs the model takes, and `input_size` is the picture's.",
    "backend-fresh": "A pass belongs to its inputs and weights, and later passes do not write into its arrays.",
    "backend-deterministic": "The same pass twice gives the same bits.",
    "backend-nan": "NaN is handed on or refused, and never replaced.",
    "backend-single": "`with_batch_axis` makes a batch of one of a single picture, and leaves a batch alone.",
    "backend-unknown-layer": "An unknown layer or run raises a `LayerError` with its name and the nearest layer.",
    "backend-names": "A layer that has several names is taken by each of them; the facts list it under one.",
    "backend-inputs": "Inputs that the model does not take raise an `XaicoreError` that says their shape, as "
    "the caller passed them.",
    "backend-default-layer": "The layer that is found without a name is the last map that the scores depend on.",
    "backend-choice": "`output` says which of several outputs is explained; one that is none is refused by name.",
    "backend-modes": "Modes of the framework that the caller is in, and weights without gradients, change no result.",
    "backend-precision": "`in_precision` gives a copy that computes in this type, and leaves the model as it was.",
    "backend-hash": "`weights_hash` is the same for the same weights, and another one for others; or it is None.",
    "backend-half": "Gradients of a model that computes in float16 are those of float32, as far as float16 can tell.",
    "backend-layout": "`channels_last` says where a model takes its channels; elsewhere, it gives the same numbers.",
    "backend-quiet": "A call that does what was asked prints nothing, and warns of nothing.",
    "facts-layers": "Facts list each layer once, in order of completion, with the shape that the framework has.",
    "facts-axes": "`kind` and `channel_axis` of a convolution are its own; with them, the core finds every map.",
    "facts-reads": "`reads` are the positions of the inputs that a layer's output depends on.",
    "facts-reached": "`reached` tells at which indices the gradient of the model's output arrives.",
    "facts-runs": "`runs` counts how often a layer ran, and `run_reads` what each run depended on.",
    "facts-inputs": "Facts list each input with its shape, and its reader's shape and channel axis.",
    "facts-takes": "`takes`, `takes_weights` and `input_of` tell what a layer took; `kind` and `is_leaf` what it is.",
    "facts-moves": "`moves`, `reader_moves` and `reader_spans` tell where in the picture things come from.",
    "facts-outputs": "`link`, `class_axis` and the shapes of all outputs are those of the model.",
    "state-restored": "A call leaves the model bit for bit as it was.",
    "state-inputs": "A call leaves the caller's inputs as they were.",
    "state-random": "A call leaves Python's and NumPy's random state as it was.",
    "state-direction": "An exception in `direction` passes unchanged, and the model is as it was.",
    "state-interrupt": "After a KeyboardInterrupt in `direction` the model is as it was.",
    "state-model": "After an exception in the model itself the model is as it was.",
    "state-passes": "After an exception in the third of many passes the model is as it was.",
    "powers-declared": "`powers` holds names of `xaicore.backend.POWERS`, and each method behind them is there.",
    "powers-refused": "A method that needs a power that is not declared is refused, and the error names what works.",
    "powers-attention": "`attention` lists every attention; weights, queries, keys, values, gradients are the model's.",
    "powers-input-gradients": 'The rule "plain" gives d score / d input, (N, K, *input) for each input.',
    "powers-guided": 'The rules "guided" and "deconv" change the way back through ReLUs, and nothing else.',
    "powers-resume": "`resume` gives the outputs of the model from a layer on; row i belongs to image i // R.",
    "powers-second": "`second` gives the Hessian of each score times the layer's activations.",
    "powers-biases": "`biases` gives f(z) - f'(z) z of every innermost layer where that is not zero.",
    "powers-parts": "`capture(parts=True)` gives all outputs, and `direction` gets them as a third argument.",
    "powers-reduce": "`capture(reduce=...)` gives what is made of layers where they lie, in the place of whole arrays.",
    "powers-cam": "`classifier_weights` are the rows of the dense layer, or the error names another method.",
    "methods-run": "Every core method that the powers allow gives the maps of the closed form.",
    "models-declines": "`xaicore_model` returns None for a name, file or code that is not its own, and raises nothing.",
    "models-light": "Listing libraries and declining a name print nothing, and import no framework.",
    "models-libraries": "`xaicore_model_libraries` lists each library with names, an example and what installs it.",
    "models-named": "`xaicore_model` returns a `NamedModel` that a backend takes; random weights are called so.",
    "models-unknown": "A name that the library does not have raises an `XaicoreError` with it and the nearest one.",
    "models-preprocess": "`preprocess` makes the inputs that the model takes of pictures of any size, which it keeps.",
    "models-classes": "`class_names` are those of the outputs, neither more nor others.",
    "models-weights": "Weights of a file are loaded: the outputs are those of the model that was saved.",
    "models-files": "A file of weights that is missing or damaged raises an `XaicoreError` that names it.",
    "models-trust": "Without `trust`, no file of weights runs code as it is read.",
    "method-needs": "A method is a function whose attributes, such as `needs`, are known; its options have defaults.",
    "method-shape": "A method returns (N, K, *S), or (N, 1, *S) where all targets share a map.",
    "method-positions": "A function of arrays takes signals and volumes as it takes pictures.",
    "method-finite": "A map is finite; no activations and no gradients give zeros.",
    "method-arguments": "A method does not write into what it gets.",
    "method-batch": "The map of an image does not depend on the other images.",
    "method-targets": "The map of a target does not depend on the other targets.",
    "method-deterministic": "The same evidence gives the same map, bit for bit, whatever the global random state.",
    "method-random": "A method leaves Python's and NumPy's random state as it was.",
    "logger-hook": "`xaicore_logger` returns a `Logger` of this api_version, also without options.",
    "logger-options": "An unknown option is refused when the logger is built.",
    "logger-open": "`open` raises where the place cannot be written, before there is anything to log.",
    "logger-where": "`where` is one line of text after `open`, or None.",
    "logger-closed": "`log` before `open` or after `close` raises a `LoggerError`.",
    "logger-rows": "What was logged can be read back after `close`: a row per map, its step, id, k and score.",
    "logger-flush": "What was logged is there after `close`, whether `flush` was called never or twice.",
    "logger-repeated": "A step that is logged again replaces what was there.",
    "logger-steps": "Several explanations of a step, earlier steps after later ones, and no step at all are logged.",
    "logger-host-data": "A logger does not write into an explanation.",
    "logger-random": "A logger leaves Python's and NumPy's random state as it was.",
    "logger-texts": "Ids, names of classes, groups and runs are untrusted text: logged, and never a path.",
    "logger-evidence": "Maps without evidence, scores of NaN, and unknown classes, truth and pictures are logged.",
    "logger-forms": "Signals, volumes, signed maps and maps of unknown axes are logged.",
    "logger-thread": "`log`, `flush` and `close` may come from another thread than `open`.",
    "logger-failure": "After an error in `log` the logger can be closed, and what was logged before is there.",
    "logger-network": "Without a network a logger works, or `open` raises a `LoggerError`.",
    "logger-two": "Two loggers that are open at once keep their explanations apart.",
}

_SINCE = dict.fromkeys(
    (
        *("backend-choice", "backend-modes", "backend-precision", "backend-hash", "backend-quiet"),
        *("backend-half", "backend-layout", "facts-takes", "facts-moves", "backend-names"),
    ),
    2,
)

CLAUSES: dict[str, Clause] = {id: Clause(id, text, _SINCE.get(id, 1)) for id, text in _TEXTS.items()}
"""{id: clause}."""
