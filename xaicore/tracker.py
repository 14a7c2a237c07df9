"""What loggers of trackers share: maps drawn one at a time, and rows held back until their step is complete."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from xaicore.logger import Logger
from xaicore.show.drawing import Drawing
from xaicore.show.rows import map_key

if TYPE_CHECKING:
    import numpy as np

    from xaicore.explanation import Explanation
    from xaicore.logger import Run

__all__ = ["Tracker"]


class Tracker(Logger):
    """A logger that follows images and numbers over the steps of a run. Subclasses say how they are sent.

    class MyTracker(xaicore.Tracker):
        name = "mytracker"

        def connect(self, run):
            self.client = mytracker.start(run.name)

        def log_map(self, row, images):
            if "overlay" in images:
                self.client.image(row["id"], images["overlay"], row["step"], xaicore.show.caption(row))

        def log_step(self, step, rows):
            self.client.number("right", xaicore.show.mean(rows, "right"), step)

        def disconnect(self):
            self.client.stop()

    A row is a dict as `Explanation.row` gives it, and "step". A step is complete at `flush`, when another step begins,
    and in `close`. Within a step, a row with the same image, method, layer and k replaces the earlier one.

    Args:
        options: those of `xaicore.Drawing`.

    Attributes:
        drawing: how maps are drawn.
        no_step: the step of an explanation that is logged without one. If it is None, such an explanation is a complete
            step by itself.
        more_options: names of options that a subclass takes out of its `**options`, for the error that lists all.

    Raises:
        PluginError: an option is unknown.
        InputError: an option has a value out of range.
    """

    no_step: ClassVar[int | None] = None
    more_options: ClassVar[Sequence[str]] = ()
    _is_open = False

    def __init__(self, **options: Any) -> None:
        parameters = inspect.signature(type(self)).parameters.values()
        own = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
        name = self.name or type(self).__name__
        self.drawing = Drawing.from_options(options, name, own, self.more_options)

    def connect(self, run: Run) -> None:
        """Get ready: connect, make folders. Raise when that fails: the user wants to know before the work."""

    @abstractmethod
    def log_map(self, row: dict[str, Any], images: Mapping[str, np.ndarray]) -> None:
        """Take one map, at once. Keys added to `row` are kept for `log_step`.

        Args:
            row: what is known of the map.
            images: as `Explanation.draw` gives them: of a volume a montage of slices, of a signal its curve.
        """

    @abstractmethod
    def log_step(self, step: int | None, rows: Sequence[dict[str, Any]]) -> None:
        """Take the rows of a complete step, one or more, in the order of their first logging."""

    def disconnect(self) -> None:
        """Finish what `connect` started, and nothing else; also after `log_step` has failed."""

    def check_open(self) -> None:
        """Raise a LoggerError unless the logger is open; called first in `log`, `flush` and `close`."""
        if not self._is_open:
            raise self.not_open()

    def open(self, run: Run) -> None:
        """Connect.

        Raises:
            LoggerError: the tracker cannot be reached or written to.
        """
        self.connect(run)
        self._step, self._rows = self.no_step, dict[Hashable, dict[str, Any]]()
        self._is_open = True

    def log(self, explanation: Explanation, step: int | None = None) -> None:
        """Draw and send an explanation map by map, so that memory does not grow with their number.

        Raises:
            LoggerError: the logger is not open, or the tracker cannot be reached.
        """
        self.check_open()
        number = self.no_step if step is None else int(step)
        if number != self._step:
            self._complete()
        self._step = number
        for m in range(len(explanation)):
            row = {"step": number, **explanation.row(m, self.drawing)}
            self.log_map(row, explanation.draw(m, self.drawing))
            self._rows[map_key(row)] = row
        if number is None:
            self._complete()

    def flush(self) -> None:
        """Send the rows of the step.

        Raises:
            LoggerError: the logger is not open, or the tracker cannot be reached.
        """
        self.check_open()
        self._complete()

    def close(self) -> None:
        """Send what is left, and disconnect.

        Raises:
            LoggerError: the logger is not open, or the tracker cannot be reached.
        """
        self.check_open()
        try:
            self._complete()
        finally:
            self._is_open = False
            self.disconnect()

    def _complete(self) -> None:
        rows, self._rows = list(self._rows.values()), {}
        if rows:
            self.log_step(self._step, rows)
