"""Further passes: which rows a batch holds, what happens when memory runs out, how far the work is."""

from __future__ import annotations

import importlib
import io
import re
import sys
import tracemalloc
import types
from typing import Any

import numpy as np
import pytest
from biasnet import BiasBackend
from clock import Clock
from hypothesis import given
from hypothesis import strategies as st
from toynet import ToyBackend, ToyNet

import xaicore
from xaicore import BackendError, DependencyError, InputError, MethodError
from xaicore.evidence import InputPictures, progress
from xaicore.evidence.batches import next_parts
from xaicore.evidence.memory import is_out_of_memory
from xaicore.evidence.passes import Passes
from xaicore.layers import Frame
from xaicore.layers.place import Place
from xaicore.layers.runs import Source
from xaicore.methods import method
from xaicore.targets import Classes

RISE = method("rise", masks=20, grid=2)


# Batches.


@given(st.integers(1, 6), st.integers(1, 40), st.integers(1, 30), st.booleans())
def test_every_row_is_in_one_batch(count: int, rows: int, size: int, is_even: bool) -> None:
    seen: list[tuple[int, int]] = []
    sizes = []
    while len(seen) < count * rows:
        parts = next_parts(len(seen), count, rows, size, is_even)
        batch = [(n, row) for n, chosen in parts for row in range(chosen.start, chosen.stop)]
        seen += batch
        sizes.append(len(batch))
        assert len(batch) <= size
        if is_even:  # row i belongs to image i // R
            images = [n for n, _ in parts]
            assert images == list(range(images[0], images[0] + len(images)))
            assert len({chosen.stop - chosen.start for _, chosen in parts}) == 1
    assert seen == [(n, row) for n in range(count) for row in range(rows)]
    if not is_even:
        assert set(sizes[:-1]) <= {size}


def test_few_rows_of_many_images_share_a_batch() -> None:
    assert next_parts(0, 50, 3, 16, is_even=True) == [(n, slice(0, 3)) for n in range(5)]
    assert next_parts(48, 50, 3, 4) == [(16, slice(0, 3)), (17, slice(0, 1))]


# Memory.


class Small(ToyBackend):
    """Fails with this error for a batch of more rows than it has room for."""

    def __init__(self, room: int, error: Exception) -> None:
        super().__init__()
        self.room, self.error = room, error
        self.rows: list[int] = []

    def capture(self, inputs: Any, layers: Any, direction: Any = None) -> xaicore.Capture:
        self.check(len(inputs))
        return super().capture(inputs, layers, direction)

    def resume(self, inputs: Any, layer: str, activations: np.ndarray) -> np.ndarray:
        self.check(len(activations))
        return super().resume(inputs, layer, activations)

    def check(self, rows: int) -> None:
        self.rows.append(rows)
        if rows > self.room and len(self.rows) > 1:  # there is room for the first pass
            raise self.error


class OutOfMemoryError(RuntimeError):
    """As PyTorch calls it."""


class ResourceExhaustedError(Exception):
    """As TensorFlow calls it."""


def raised_from(cause: BaseException) -> BackendError:
    error = BackendError(f"the model raised {type(cause).__name__}")
    error.__cause__ = cause
    return error


OUT_OF_MEMORY = [
    MemoryError(),
    OutOfMemoryError("CUDA out of memory"),
    ResourceExhaustedError("OOM when allocating tensor"),
    RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"),
    raised_from(OutOfMemoryError()),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=repr)
@pytest.mark.parametrize("name", ["rise", "ablationcam"])
def test_a_batch_that_is_too_large_is_halved(x: np.ndarray, error: Exception, name: str) -> None:
    one = RISE if name == "rise" else method(name)
    expected = xaicore.explain(None, x, 1, method=one, backend=ToyBackend())
    backend = Small(3, error)
    found = xaicore.explain(None, x, 1, method=one, backend=backend)
    np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-5, atol=1e-5)
    first = [16, 8, 4, 2] if name == "rise" else [12, 4, 2]  # three images of four channels, one, half of one
    assert backend.rows[1 : 1 + len(first)] == first
    assert backend.rows[1 + len(first)] == 1  # shows whether rows influence each other
    assert set(backend.rows[2 + len(first) :]) <= {2, 3}


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=repr)
def test_batches_of_gradients_are_halved_too(x: np.ndarray, error: Exception) -> None:
    class Cramped(BiasBackend):
        def capture(self, inputs: Any, *args: Any, **kwargs: Any) -> xaicore.Capture:
            found = super().capture(inputs, *args, **kwargs)
            if len(inputs) > 5:
                raise error
            return found

    one = method("integrated-gradients", steps=17)
    expected = xaicore.explain(None, x, 1, method=one, backend=BiasBackend())
    backend = Cramped()
    found = xaicore.explain(None, x, 1, method=one, backend=backend)
    np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-5, atol=1e-5)
    assert backend.sizes == [3, 16, 8, 4, 1, 4, 4, 4, 1, *[4, 4, 4, 4, 1] * 2]


def test_too_little_memory_for_one_gradient(x: np.ndarray) -> None:
    class Cramped(BiasBackend):
        def capture(self, inputs: Any, *args: Any, **kwargs: Any) -> xaicore.Capture:
            if self.sizes:
                raise MemoryError("1 GB")
            return super().capture(inputs, *args, **kwargs)

    with pytest.raises(MethodError, match="memory does not suffice for a single changed version"):
        xaicore.explain(None, x, 1, method="smoothgrad", backend=Cramped())


@pytest.mark.parametrize("one", [RISE, "ablationcam"])
def test_too_little_memory_for_one_row(x: np.ndarray, one: Any) -> None:
    with pytest.raises(MethodError, match="memory does not suffice for a single changed version of an image") as raised:
        xaicore.explain(None, x, 1, method=one, backend=Small(0, MemoryError("1 GB")))
    assert isinstance(raised.value.__cause__, MemoryError)


def test_other_errors_pass() -> None:
    assert not is_out_of_memory(ValueError("out of memory"))
    assert not is_out_of_memory(raised_from(RuntimeError("shapes differ")))
    with pytest.raises(ZeroDivisionError):
        xaicore.explain(None, np.ones((1, 3, 4, 4)), 1, method=RISE, backend=Small(3, ZeroDivisionError()))


def test_memory_does_not_grow_with_the_number_of_channels() -> None:
    x = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)

    class Pooled(ToyBackend):
        """Its activations are small beside its pictures, as those of a last layer are."""

        def capture(self, inputs: Any, layers: Any, direction: Any = None) -> xaicore.Capture:
            found = super().capture(inputs[..., ::16, ::16], layers, direction)
            return xaicore.Capture(found.outputs, found.outputs_kind, found.activations, inputs.shape[2:])

    def peak(channels: int) -> int:
        net = ToyNet(widths=(channels, 4))
        tracemalloc.start()
        xaicore.explain(None, x, 1, method="scorecam", layer="first", backend=Pooled(net), batch_size=4)
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    masks = 500 * x[0, 0].nbytes
    assert peak(540) - peak(40) < 0.1 * masks


# Models that take one size of batches only.


def test_a_model_of_one_batch_size_gets_it(x: np.ndarray) -> None:
    backend, net = ToyBackend(), ToyNet()
    sizes = []

    class Fixed(ToyBackend):
        def capture(self, inputs: Any, layers: Any, direction: Any = None) -> xaicore.Capture:
            sizes.append(len(inputs))
            return super().capture(inputs, layers, direction)

    first = backend.capture(x, ())
    target = Classes(1)
    passes = Passes(
        *(Fixed(net), x, None, target, target.aim(first.outputs, "logits"), lambda answer: answer),
        *(first, None, 16, 3),
    )
    factors = np.arange(1, 6, dtype=np.float32)[:, None, None, None]
    scores = passes.scores(5, lambda n, rows: x[n] * factors[rows])
    assert sizes == [3] * (5 + 1)  # and one that shows whether rows influence each other
    for n in range(3):
        np.testing.assert_allclose(scores[n, :, 0], backend.capture(x[n] * factors, ()).outputs[:, 1], rtol=1e-5)


# What cannot be changed.


@pytest.mark.parametrize("made", [{"made_by": "spectrogram"}, {"rows": 3}])
def test_pictures_that_no_input_holds(x: np.ndarray, made: dict[str, Any]) -> None:
    frame = Frame("nrchw" if "rows" in made else "nchw", (6, 8), **made)
    pictures = InputPictures(ToyBackend(), x[None] if "rows" in made else x, Place({}, {}, frame, (Source(0),)))
    passes = types.SimpleNamespace(pictures=pictures)
    evidence = xaicore.Evidence(None, None, "map", None, passes)  # type: ignore[arg-type]
    with pytest.raises(MethodError, match=r"use a method that needs no changed inputs, such as 'gradcam'"):
        evidence.scores(3, lambda n, rows: x)


# Progress.


def test_a_function_is_told_how_far_the_work_is(x: np.ndarray) -> None:
    told: list[tuple[int, int]] = []
    xaicore.explain(
        *(None, x, 1), method=RISE, backend=ToyBackend(), batch_size=25, progress=lambda *numbers: told.append(numbers)
    )
    assert told == [(25, 60), (50, 60), (60, 60)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Ticking:
    """Each look takes one second."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """What stands on stderr, a terminal."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "time", Ticking())
    return stream


def test_noisy_copies_are_counted(x: np.ndarray) -> None:
    told: list[tuple[int, int]] = []
    one = method("smoothgradcam++", n=3)
    xaicore.explain(None, x, 1, method=one, backend=ToyBackend(), progress=lambda *numbers: told.append(numbers))
    assert told == [(3, 9), (6, 9), (9, 9)]  # of three images


@pytest.mark.parametrize("library", ["tqdm", "rich"])
def test_a_bar_with_the_rate_and_the_time_left(x: np.ndarray, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    stderr = terminal(monkeypatch)
    pytest.importorskip(library)
    monkeypatch.setattr(progress, "_library", lambda: library)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    xaicore.explain(None, x, 1, method=RISE, backend=ToyBackend(), batch_size=1)
    shown = stderr.getvalue()
    assert "/60" in shown
    assert "row" in shown
    assert "/s" in shown


@pytest.mark.parametrize("wanted", [None, False])
def test_no_bar_where_nobody_looks(x: np.ndarray, monkeypatch: pytest.MonkeyPatch, wanted: bool | None) -> None:
    stderr = terminal(monkeypatch)
    monkeypatch.setattr(Terminal, "isatty", lambda self: wanted is False)
    xaicore.explain(None, x, 1, method=RISE, backend=ToyBackend(), batch_size=1, progress=wanted)
    assert stderr.getvalue() == ""


def test_lines_where_a_bar_is_asked_for_and_nobody_sees_it_move(
    x: np.ndarray, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(Terminal, "isatty", lambda self: False)

    class Slow(ToyBackend):
        def capture(self, *args: Any, **kwargs: Any) -> xaicore.Capture:
            clock.now += 1
            return super().capture(*args, **kwargs)

    xaicore.explain(None, x, 1, method=RISE, backend=Slow(), batch_size=1, progress=True)
    lines = stderr.getvalue().splitlines()
    assert len(lines) == 10
    assert re.fullmatch(r"30 of 60 rows, (0\.9\d*|1) per second, \d\d s left", lines[4])
    assert re.fullmatch(r"60 of 60 rows, (0\.9\d*|1) per second", lines[-1])


def test_no_bar_on_short_work(x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = terminal(monkeypatch)
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: 5.0))
    xaicore.explain(None, x, 1, method=RISE, backend=ToyBackend(), batch_size=1, progress=True)
    assert stderr.getvalue() == ""


def test_without_a_library_there_is_no_bar(x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = terminal(monkeypatch)
    monkeypatch.setattr(progress, "_library", lambda: None)
    xaicore.explain(None, x, 1, method=RISE, backend=ToyBackend(), batch_size=1)
    assert stderr.getvalue() == ""
    with pytest.raises(DependencyError, match="progress=True needs tqdm or rich: pip install tqdm, or pass"):
        xaicore.Explainer(None, backend=ToyBackend(), progress=True)
    with pytest.raises(InputError, match=r"progress='yes': expected None, True, False or a function progress\(done"):
        xaicore.Explainer(None, backend=ToyBackend(), progress="yes")  # type: ignore[arg-type]


def test_inside_of_another_bar(x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    rich = pytest.importorskip("rich.progress")
    errors = importlib.import_module("rich.errors")
    monkeypatch.setattr(progress, "_library", lambda: "rich")

    def refuse(self: Any) -> None:
        raise errors.LiveError("Only one live display may be active at once")

    monkeypatch.setattr(rich.Progress, "start", refuse)
    found = xaicore.explain(None, x, 1, method=RISE, backend=ToyBackend(), batch_size=1)
    assert not found.empty.any()


def test_an_interrupt_takes_the_bar_away(x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    closed: list[bool] = []
    monkeypatch.setattr(progress._Bar, "close", lambda self: closed.append(True))

    class Interrupted(ToyBackend):
        def capture(self, *args: Any, **kwargs: Any) -> xaicore.Capture:
            if len(self.calls) == 8:
                raise KeyboardInterrupt
            return super().capture(*args, **kwargs)

    with pytest.raises(KeyboardInterrupt):
        xaicore.explain(None, x, 1, method=RISE, backend=Interrupted(), batch_size=1)
    assert closed == [True]


def test_a_notebook_is_told_by_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not progress._in_notebook()
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert progress._in_notebook()
