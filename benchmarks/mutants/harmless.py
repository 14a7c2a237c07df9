"""Faults that change no result, as somebody who read them found: why, by (module, unparsed line, kind).

A line that has several changes of a kind, one of which matters, has no place here.
"""

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
    ("seen.py", "return (0.5 + golden % 1).reshape(shape).astype(np.float32)", "constant"): (
        "other weights for outputs, between 0.5 and 2.5, no two of which are the same either"
    ),
    ("inputs.py", "if not value.flags.writeable or min(value.strides, default=0) < 0:", "constant"): (
        "an array without axes has no negative strides, and whether one that repeats elements is copied changes none"
    ),
    ("attention.py", "super().__init__()", "statement"): "of PyTorch's mode of functions, which does nothing there",
}
