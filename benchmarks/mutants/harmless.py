"""Faults that change no result, as somebody who read them found: why, by (module, unparsed line, kind).

A line that has several changes of a kind, one of which matters, has no place here.
"""

SIZE = "size = (like.numel() + sum((leaf.numel() for leaf in leaves))) * like.element_size()"

LARGE = "is_large = rows.ndim > 3 and rows[0].numel() >= LARGE"

SKIPS = "return SkippedZeros() if is_large and rows.device.type == 'cpu' else contextlib.nullcontext()"

REDUCED = "found = self._pull(leaves.tensors, outputs, direction, facts, retain_graph=False, reducer=reducer)"

HARMLESS: dict[tuple[str, str, str], str] = {
    ("backend.py", "self._surveys.runs.update(recorded.runs)", "statement"): (
        "a pass that finds other runs than expected is repeated; what it saw saves the next one that"
    ),
    ("resume.py", "done[one.module].append(one.output)", "statement"): (
        "nothing is replayed, and all of the model runs with the layer's output replaced: the same outputs, more slowly"
    ),
    ("pulls.py", REDUCED, "constant"): "the graph is kept until the pass is forgotten: memory, and the same gradients",
    ("zeros.py", SKIPS, "condition"): "products with zeros are multiplied, or are not: the same sums",
    ("inputs.py", "if not value.flags.writeable or min(value.strides, default=0) < 0:", "constant"): (
        "an array without axes has no negative strides, and whether one that repeats elements is copied changes none"
    ),
    (
        "surveys.py",
        "if not recorder.calls or any((hides(seen.output, call.output) for call in recorder.calls)):",
        "negation",
    ): "a second survey, in which compiled functions are traced as plain ones: the same facts, more slowly",
    ("engines/torch.py", "with torch.inference_mode(False), torch.no_grad():", "constant"): (
        "of a pass that nothing is pulled back in, whose results are copied: the same numbers in each of the modes"
    ),
    ("engines/torch.py", "asked, recording = (program.asked, False)", "constant"): (
        "all of a pass is recorded, as it is where a model switches gradients off: the same ones, in more memory"
    ),
    ("weights.py", "found = hashlib.blake2b(digest_size=16)", "constant"): "a longer hash, which tells no more apart",
    ("backend.py", "key = ('classifier', layer, self.output, batch.signature(with_batch=False))", "constant"): (
        "the classifier is looked for again for another number of images, and is the same one"
    ),
    **{
        ("traces.py", "if len(self._traces) > MAX_TRACES:", kind): "a trace that was forgotten is made again"
        for kind in ("condition", "comparison")
    },
    ("backend.py", "self._traces = traces_of(model) if self.output.read is None else Traces()", "condition"): (
        "passes are kept with the model, or with the backend alone: the same passes, made or held more often"
    ),
    **{
        (module, "super().__init__()", "statement"): "of PyTorch's mode of functions, which does nothing there"
        for module in ("attention.py", "passes.py", "rectifiers.py")
    },
    ("pulls.py", "return False", "constant"): "gradients of one image are asked for as those of several",
    ("backend.py", "self._middles.forget()", "statement"): "it is kept a little longer: `refresh` asks whether it fits",
    ("class_axis.py", "tried = 0", "constant"): "of so many layers, one less is tried",
    ("hashing.py", "found = hashlib.blake2b(digest_size=16)", "constant"): "a longer hash, which tells apart as much",
    ("survey.py", "self.runs[name] = self.runs.get(name, 0) + 1", "operator"): (
        "a pass that finds other runs than expected is repeated"
    ),
    ("pullback.py", SIZE, "operator"): "directions go through more or fewer passes: the same gradients",
    **{
        ("zeros.py", LARGE, kind): "products with zeros are multiplied, or are not: the same sums"
        for kind in ("comparison", "constant", "operator")
    },
}
