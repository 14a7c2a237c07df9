"""Checks of how a logger is built, opened, used and closed, and of what it leaves alone."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from xaicore.errors import LoggerError
from xaicore.logger import Run
from xaicore.testing.checks import checks, deviate, refused, same
from xaicore.testing.explanations import Failing, arrays_of, example, frozen
from xaicore.testing.logger_case import LoggerCase, folder
from xaicore.testing.state import bits, differences, random_state

__all__ = ["LifecycleChecks"]


class LifecycleChecks(LoggerCase):
    """A logger is opened once, used from one thread, and closed once, whatever happens."""

    @checks("logger-hook")
    def test_the_hook_returns_a_logger(self) -> None:
        """With options, and with none."""
        with folder() as place:
            self.build(place)
            self.built({})

    @checks("logger-options")
    def test_unknown_options_are_refused(self) -> None:
        """By an error of any kind: xaicore names the plugin and the option."""
        with folder() as place:
            options = {**self.options(place), "no_such_option": 1}
            refused("the option no_such_option", lambda: self.built(options), Exception)

    @checks("logger-open")
    def test_opening_where_nothing_can_be_written(self) -> None:
        """A file lies where the folder should be."""
        self.need("place")
        with folder() as place:
            (place / "taken").write_text("a file")
            logger = self.build(place / "taken" / "inside")
            error = refused("open in a folder inside of a file", lambda: logger.open(Run(name="run")), Exception)
            if isinstance(error, NotImplementedError):  # `open` is not written yet
                raise error

    @checks("logger-where")
    def test_where_results_are_seen(self) -> None:
        """It is reported on one line."""
        with folder() as place:
            logger = self.build(place)
            logger.open(Run(name="run"))
            where = logger.where
            logger.close()
            if where is not None and (not isinstance(where, str) or len(where.splitlines()) != 1):
                deviate("`where` after `open`", "one line of text, or None", repr(where))

    @checks("logger-closed")
    def test_logging_while_it_is_not_open(self) -> None:
        """Before `open`, and after `close`."""
        one = example(1, 1)
        with folder() as place:
            logger = self.build(place)
            refused("log before open", lambda: logger.log(one, 0), LoggerError)
            logger.open(Run(name="run"))
            logger.close()
            refused("log after close", lambda: logger.log(one, 0), LoggerError)

    @checks("logger-thread")
    def test_another_thread(self) -> None:
        """One opens, another one logs, flushes and closes."""
        one = example(2, 1)
        with folder() as place:
            logger = self.build(place)
            logger.open(Run(name="run"))

            def work() -> None:
                logger.log(one, 0)
                logger.flush()
                logger.close()

            _in_thread(work)
            self.check_rows("another thread", place, [(one, 0)])

    @checks("logger-failure")
    def test_a_failure_in_the_middle(self) -> None:
        """The second row of an explanation cannot be read."""
        good, bad = example(2, 1, 1, ids=["a", "b"]), Failing.of(example(2, 1, 2, ids=["c", "d"]))
        with folder() as place:
            logger = self.build(place)
            logger.open(Run(name="run"))
            logger.log(good, 0)
            with contextlib.suppress(Exception):
                logger.log(bad, 1)
            logger.close()
            self.need("rows")
            kept = [row for row in self.rows(place) if str(row["step"]) == "0"]
            same("rows of the step before the failure", len(kept), len(good))

    @checks("logger-network")
    def test_without_a_network(self) -> None:
        """Every connection fails at once."""
        self.need("network")
        one = example(1, 1)
        with folder() as place, _no_network():
            logger = self.build(place)
            try:
                logger.open(Run(name="run"))
            except LoggerError:
                return
            logger.log(one, 0)
            logger.close()
            self.check_rows("a run without a network", place, [(one, 0)])

    @checks("logger-host-data")
    def test_explanations_stay_as_they_are(self) -> None:
        """Arrays that can be written to are as before, and those that cannot are no obstacle."""
        one, read_only = example(2, 1), frozen(example(2, 1, 3))
        before = bits(arrays_of(one))
        with folder() as place:
            self.log_all(place, [(one, 0), (read_only, 1)])
        changed = differences(before, bits(arrays_of(one)))
        if changed:
            deviate("the arrays of an explanation after `log`", "as before", ", ".join(changed))

    @checks("logger-random")
    def test_the_random_state_stays(self) -> None:
        """A logger runs beside a training."""
        one, before = example(2, 1), bits(random_state())
        with folder() as place:
            self.log_all(place, [(one, 0)])
        changed = differences(before, bits(random_state()))
        if changed:
            deviate("the random state after a run", "as before", ", ".join(changed)[:300])


def _in_thread(work: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


@contextlib.contextmanager
def _no_network() -> Iterator[None]:
    """Local sockets go on working: event loops need them."""

    def fail(*_: Any, **__: Any) -> NoReturn:
        raise OSError("no network, on purpose")

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            fail()
        real_connect(self, address)

    real_connect, real_names = socket.socket.connect, socket.getaddrinfo
    socket.socket.connect, socket.getaddrinfo = connect, fail  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        socket.socket.connect, socket.getaddrinfo = real_connect, real_names  # type: ignore[method-assign]
