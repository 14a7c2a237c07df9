"""Several loggers as one: what they are told, in which order, and what happens when one fails."""

from __future__ import annotations

import datetime
import json
import re
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from toynet import ToyBackend

import xaicore
from xaicore import Explanation, InputError, Logger, LoggerError, PluginError, Run, loggers, open_loggers

if TYPE_CHECKING:
    from sites import Site

Events = list[tuple[Any, ...]]


class Recorder(Logger):
    """Writes down what it is told; raises in the actions named in `broken`."""

    def __init__(
        self, events: Events, label: str = "r", broken: str = "", error: type[BaseException] = OSError
    ) -> None:
        self.events, self.label, self.broken, self.error = events, label, broken, error

    def _do(self, action: str, *details: Any) -> None:
        self.events.append((self.label, action, *details))
        if action in self.broken.split():
            raise self.error(f"{self.label} cannot {action}")

    def open(self, run: Run) -> None:
        self._do("open", run.name)

    def log(self, explanation: Explanation, step: int | None = None) -> None:
        self._do("log", len(explanation), step)

    def close(self) -> None:
        self._do("close")


@pytest.fixture
def events() -> Events:
    return []


@pytest.fixture
def explanation(backend: ToyBackend, x: np.ndarray) -> Explanation:
    return xaicore.explain(None, x, backend=backend)


@pytest.fixture
def quiet() -> Iterator[None]:
    """No warning at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# What can be passed.


@pytest.mark.usefixtures("quiet")
def test_instances_are_opened_told_and_closed_in_order(events: Events, explanation: Explanation) -> None:
    log = open_loggers([Recorder(events, "a"), Recorder(events, "b")], name="run 1")
    assert events == []  # built, not opened
    with log as entered:
        assert entered is log
        log(explanation, step=3)
        log(explanation)
    assert events == [
        ("a", "open", "run 1"),
        ("b", "open", "run 1"),
        ("a", "log", 3, 3),
        ("b", "log", 3, 3),
        ("a", "log", 3, None),
        ("b", "log", 3, None),
        ("a", "close"),
        ("b", "close"),
    ]
    assert log.failed == {}


def test_a_logger_needs_nothing_but_log(explanation: Explanation) -> None:
    seen = []

    class Smallest(Logger):
        def log(self, explanation: Explanation, step: int | None = None) -> None:
            seen.append(step)

    with open_loggers(Smallest()) as log:
        log(explanation, step=1)
    assert seen == [1]
    with pytest.raises(TypeError, match="abstract"):
        Logger()


PLUGIN = """
    import xaicore

    built = []

    class {name}(xaicore.Logger):
        def __init__(self, **options):
            built.append(("{name}", options))

        def log(self, explanation, step=None):
            built.append(("{name}", "log", step))

    @xaicore.hookimpl
    def xaicore_logger(options):
        return {name}(**options)
"""


@pytest.fixture
def installed(site: Site) -> Events:
    """Two logger plugins, `line` and `page`; what they built."""
    for name in ("line", "page"):
        site.module(f"{name}_plugin", PLUGIN.format(name=name.title()))
        site.distribution(f"{name}-dist", loggers={name: f"{name}_plugin"})
    site.plugins()
    import line_plugin
    import page_plugin

    page_plugin.built = page_plugin.xaicore_logger.__globals__["built"] = line_plugin.built
    return line_plugin.built


def test_by_name(installed: Events, explanation: Explanation) -> None:
    with open_loggers("line") as log:
        log(explanation, step=7)
    assert installed == [("Line", {}), ("Line", "log", 7)]


def test_by_a_list_of_names_and_instances(installed: Events, events: Events, explanation: Explanation) -> None:
    with open_loggers(["page", Recorder(events), "line"]) as log:
        log(explanation)
    assert installed == [("Page", {}), ("Line", {}), ("Page", "log", None), ("Line", "log", None)]
    assert [event[1] for event in events] == ["open", "log", "close"]


def test_by_a_dict_of_options(installed: Events) -> None:
    open_loggers({"line": {"root": "runs", "n": 3}, "page": None})
    assert installed == [("Line", {"root": "runs", "n": 3}), ("Page", {})]


def test_an_instance_under_a_name(events: Events, explanation: Explanation) -> None:
    log = open_loggers({"mine": Recorder(events, broken="log")})
    with pytest.warns(RuntimeWarning, match="logger 'mine' is switched off"), log:
        log(explanation)


@pytest.mark.usefixtures("quiet")
def test_no_loggers_at_all(explanation: Explanation) -> None:
    for nothing in ([], {}, ()):
        with open_loggers(nothing) as log:
            log(explanation)


def test_the_same_logger_twice(installed: Events, events: Events, explanation: Explanation) -> None:
    with open_loggers(["line", "line"]) as log:
        log(explanation, step=2)
    assert installed == [("Line", {}), ("Line", {}), ("Line", "log", 2), ("Line", "log", 2)]
    log = open_loggers([Recorder(events, "a", "log"), Recorder(events, "b", "log"), Recorder(events, "c", "log")])
    with pytest.warns(RuntimeWarning, match="switched off"), log:
        log(explanation)
    assert list(log.failed) == ["Recorder", "Recorder#2", "Recorder#3"]


@pytest.mark.parametrize(
    ("loggers", "message"),
    [
        (3, r"loggers=3: expected a plugin's name, a list of names, \{name: options\}, or a Logger"),
        (None, r"loggers=None: expected a plugin's name"),
        (Recorder, r"loggers=<class '.*Recorder'>: expected a plugin's name"),
        (["line", 3], r"loggers holds 3: expected plugin names or Logger instances"),
        ([["line"]], r"loggers holds \['line'\]: expected plugin names or Logger instances"),
        ({"line": "runs/a"}, r"logger 'line' has options 'runs/a': expected a dict of them, or None"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_what_cannot_be_passed(loggers: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_loggers(loggers)


@pytest.mark.usefixtures("installed")
def test_finding_and_building_raise_at_once(events: Events) -> None:
    with pytest.raises(PluginError, match=r"^no logger plugin called 'mlflow'; installed: line, page$"):
        open_loggers(["line", "mlflow"])
    with pytest.raises(InputError, match="on_error='ignore': expected 'warn' or 'raise'"):
        open_loggers("line", on_error="ignore")

    class Tomorrow(Recorder):
        api_version = 2

    with pytest.raises(PluginError, match="Tomorrow speaks api_version 2, this xaicore speaks 1: upgrade xaicore"):
        open_loggers(Tomorrow(events))
    assert events == []


# The run.


def test_a_run_says_what_takes_part() -> None:
    run = open_loggers([], config={"lr": 0.1}).run
    assert run.config == {"lr": 0.1}
    assert run.versions["xaicore"] == xaicore.__version__
    assert run.versions["numpy"] == np.__version__
    assert run.versions["opencv"] == cv2.__version__
    assert re.fullmatch(r"3\.\d+\.\d+\S*", run.versions["python"])
    started = datetime.datetime.fromisoformat(run.started)
    assert started.utcoffset() == datetime.timedelta(0)
    assert abs(datetime.datetime.now(datetime.timezone.utc) - started) < datetime.timedelta(minutes=5)


def test_frameworks_at_work_have_their_versions(site: Site) -> None:
    site.module("acme", "__version__ = '4.2'")
    site.module("bare", "")
    site.module("idle", "__version__ = '1'")
    site.distribution("all", backends={"acme": "x", "bare": "y", "idle": "z"})
    site.plugins()
    import acme
    import bare

    versions = open_loggers([]).run.versions
    assert versions["acme"] == acme.__version__ == "4.2"
    assert versions[bare.__name__] == "unknown"
    assert "idle" not in versions


def test_runs_have_names_of_their_own() -> None:
    names = {Run().name for _ in range(50)}
    assert len(names) == 50
    assert all(re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", name) for name in names)
    assert open_loggers([], name="mine").run.name == "mine"


# What fails.


def test_a_logger_that_does_not_open_closes_those_that_did(events: Events) -> None:
    log = open_loggers([Recorder(events, "a"), Recorder(events, "b", "open"), Recorder(events, "c")], name="n")
    with pytest.raises(LoggerError, match=r"^logger 'Recorder#2' does not open: OSError: b cannot open$") as e, log:
        raise AssertionError("not reached")
    assert isinstance(e.value.__cause__, OSError)
    assert events == [("a", "open", "n"), ("b", "open", "n"), ("a", "close")]
    with pytest.raises(LoggerError, match="these loggers are not open"):
        log(None)


@pytest.mark.parametrize("error", [PluginError, KeyboardInterrupt])
def test_some_errors_of_open_pass_unchanged(events: Events, error: type[BaseException]) -> None:
    log = open_loggers([Recorder(events, "a"), Recorder(events, "b", "open", error)])
    with pytest.raises(error, match=r"^b cannot open$"), log:
        raise AssertionError("not reached")
    assert events[-1] == ("a", "close")


@pytest.mark.parametrize("on_error", ["warn", "raise"])
def test_a_failed_close_does_not_hide_why_another_did_not_open(events: Events, on_error: str) -> None:
    log = open_loggers([Recorder(events, "a", "close"), Recorder(events, "b", "open")], on_error=on_error)
    with pytest.raises(LoggerError, match="b cannot open"), log:
        raise AssertionError("not reached")
    assert str(log.failed["Recorder"]) == "a cannot close"


def test_a_logger_that_fails_warns_once_and_the_others_go_on(events: Events, explanation: Explanation) -> None:
    log = open_loggers([Recorder(events, "a"), Recorder(events, "b", "log close", KeyError), Recorder(events, "c")])
    with warnings.catch_warnings(record=True) as seen, log:
        warnings.simplefilter("always")
        for step in range(3):
            log(explanation, step=step)
    assert [w.category for w in seen] == [RuntimeWarning]
    assert [str(w.message) for w in seen] == [
        "logger 'Recorder#2' is switched off: log raised KeyError: 'b cannot log'"
    ]
    assert seen[0].filename == __file__
    assert [step for who, action, *rest in events if (who, action) == ("a", "log") for step in rest[1:]] == [
        0,
        1,
        2,
    ]
    assert sum(event[:2] == ("c", "log") for event in events) == 3
    assert sum(event[:2] == ("b", "log") for event in events) == 1
    assert [event[0] for event in events if event[1] == "close"] == ["a", "b", "c"]  # what was opened is closed
    assert list(log.failed) == ["Recorder#2"]
    assert isinstance(log.failed["Recorder#2"], KeyError)


@pytest.mark.usefixtures("quiet")
def test_all_of_them_may_fail_and_the_work_goes_on(events: Events, explanation: Explanation) -> None:
    log = open_loggers(Recorder(events, "a", "log"))
    with log:
        with pytest.warns(RuntimeWarning, match="switched off"):
            log(explanation)
        log(explanation)
        log(explanation)
    assert [event[1] for event in events] == ["open", "log", "close"]


def test_a_logger_that_does_not_close_warns(events: Events, explanation: Explanation) -> None:
    log = open_loggers([Recorder(events, "a", "close"), Recorder(events, "b")])
    with pytest.warns(
        RuntimeWarning, match="^logger 'Recorder' is switched off: close raised OSError: a cannot close$"
    ):
        with log:
            log(explanation)
    assert events[-1] == ("b", "close")
    assert list(log.failed) == ["Recorder"]


def test_raising_instead_of_warning(events: Events, explanation: Explanation) -> None:
    log = open_loggers(
        [Recorder(events, "a", "log"), Recorder(events, "b", "log"), Recorder(events, "c")], on_error="raise"
    )
    with pytest.raises(OSError, match=r"^a cannot log$"), log:
        log(explanation, step=1)
    assert ("c", "log", 3, 1) in events  # the others had their turn
    assert [event[0] for event in events if event[1] == "close"] == ["a", "b", "c"]
    assert list(log.failed) == ["Recorder", "Recorder#2"]

    log = open_loggers([Recorder(events, "a", "close"), Recorder(events, "b")], on_error="raise")
    with pytest.raises(OSError, match=r"^a cannot close$"), log:
        log(explanation)
    assert events[-1] == ("b", "close")


def test_loggers_are_closed_when_the_work_fails(events: Events) -> None:
    with pytest.raises(ZeroDivisionError), open_loggers(Recorder(events, "a")):
        1 / 0
    assert events[-1] == ("a", "close")


def test_a_keyboard_interrupt_is_not_a_failing_logger(events: Events, explanation: Explanation) -> None:
    with pytest.raises(KeyboardInterrupt), open_loggers(Recorder(events, "a", "log", KeyboardInterrupt)) as log:
        log(explanation)
    assert events[-1] == ("a", "close")


def test_loggers_that_are_not_open(events: Events, explanation: Explanation) -> None:
    log = open_loggers(Recorder(events))
    expected = r"these loggers are not open; write: with open_loggers\(...\) as log: log\(explanation\)"
    with pytest.raises(LoggerError, match=expected):
        log(explanation)
    with log:
        log(explanation)
    with pytest.raises(LoggerError, match=expected):
        log(explanation)
    with log:  # and open once more
        log(explanation)
    assert [event[1] for event in events] == ["open", "log", "close"] * 2


def test_save_ships_to_a_folder(
    site: Site, explanation: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`save` is the disk logger, whoever provides it; it raises what goes wrong."""
    site.module(
        "disk_plugin",
        """
        import xaicore

        class Disk(xaicore.Logger):
            def __init__(self, root):
                self.root = root

            def open(self, run):
                self.name = run.name

            def log(self, explanation, step=None):
                if self.root.name == "full":
                    raise xaicore.LoggerError("no space left")
                self.root.mkdir(exist_ok=True)
                (self.root / "index.html").write_text(f"{self.name}: {len(explanation)}")

        @xaicore.hookimpl
        def xaicore_logger(options):
            return Disk(**options)
        """,
    )
    site.distribution("acme", loggers={"disk": "disk_plugin"})
    site.plugins()
    index = explanation.save(str(tmp_path / "here"))
    assert index == tmp_path / "here" / "index.html"
    assert index.read_text() == "here: 3"
    monkeypatch.chdir(tmp_path / "here")
    explanation.save("")
    assert Path("index.html").read_text() == "here: 3"  # a run is called like its folder
    with pytest.raises(LoggerError, match="no space left"):
        explanation.save(tmp_path / "full")


def test_flush_reaches_every_logger_that_still_works(events: Events, explanation: Explanation) -> None:
    class Holding(Recorder):
        def flush(self) -> None:
            self._do("flush")

    log = open_loggers([Holding(events, "a", "flush"), Holding(events, "b"), Recorder(events, "c")])
    with log:
        log(explanation, 1)
        with pytest.warns(RuntimeWarning, match="'Holding' is switched off: flush raised OSError: a cannot flush"):
            log.flush()
        log.flush()
    assert [event[:2] for event in events if event[1] == "flush"] == [("a", "flush"), ("b", "flush"), ("b", "flush")]
    assert list(log.failed) == ["Holding"]


def test_skip_reaches_every_logger_that_still_works(events: Events, explanation: Explanation) -> None:
    """Those that do not take it ignore it."""

    class Listing(Recorder):
        def skip(self, name: str, reason: str) -> None:
            self._do("skip", name, reason)

    log = open_loggers([Listing(events, "a", "skip"), Listing(events, "b"), Recorder(events, "c")])
    with log:
        with pytest.warns(RuntimeWarning, match="'Listing' is switched off: skip raised OSError: a cannot skip"):
            log.skip("a.png", "a.png is an empty file")
        log.skip("b.png", "no picture")
    skipped = [event for event in events if event[1] == "skip"]
    first = ("skip", "a.png", "a.png is an empty file")
    assert skipped == [("a", *first), ("b", *first), ("b", "skip", "b.png", "no picture")]


# Where results can be seen.


class Seen(Recorder):
    """A logger that knows where people can look."""

    def open(self, run: Run) -> None:
        super().open(run)
        self.where = f"gallery: runs/{run.name}/{self.label}.html"


@pytest.fixture(autouse=True)
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is reported once a run is reported once a test."""
    monkeypatch.delenv("XAICORE_QUIET", raising=False)
    monkeypatch.delitem(sys.modules, "tqdm", raising=False)
    loggers._report.cache_clear()


def test_where_results_are_is_reported_once_a_run(events: Events, capsys: pytest.CaptureFixture[str]) -> None:
    log = open_loggers([Seen(events, "a"), Recorder(events), Seen(events, "b")], name="n")
    assert log.where == {}
    for _ in range(2):
        with log:
            assert log.where == {"Seen": "gallery: runs/n/a.html", "Seen#2": "gallery: runs/n/b.html"}
    with open_loggers(Seen(events, "a"), name="n"):  # as a callback does for its second training
        pass
    out, said = capsys.readouterr()
    assert said.splitlines() == ["xaicore: gallery: runs/n/a.html", "xaicore: gallery: runs/n/b.html"]
    assert out == ""
    with open_loggers(Seen(events, "a"), name="m"):
        pass
    assert capsys.readouterr().err == "xaicore: gallery: runs/m/a.html\n"


@pytest.mark.parametrize(("variable", "quiet"), [("1", False), ("yes", False), (None, True)])
def test_nothing_is_reported_to_who_wants_quiet(
    events: Events,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    quiet: bool,
) -> None:
    if variable is not None:
        monkeypatch.setenv("XAICORE_QUIET", variable)
    with open_loggers(Seen(events), name="n", quiet=quiet) as log:
        assert log.where == {"Seen": "gallery: runs/n/r.html"}
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("variable", ["", "0"])
def test_quiet_may_be_switched_off(
    events: Events, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("XAICORE_QUIET", variable)
    with open_loggers(Seen(events), name="n"):
        pass
    assert "runs/n" in capsys.readouterr().err


def test_a_place_that_is_no_text_is_not_reported(events: Events, capsys: pytest.CaptureFixture[str]) -> None:
    """A plugin older than this attribute may have a method of its name."""

    class Old(Recorder):
        def where(self) -> None: ...

    with open_loggers(Old(events)) as log:
        assert log.where == {}
    assert capsys.readouterr().err == ""


def test_a_terminal_that_is_gone_stops_nothing(events: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, _: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None: ...

    monkeypatch.setattr("sys.stderr", Gone())
    with open_loggers(Seen(events), name="n"):
        pass
    assert [event[1] for event in events] == ["open", "close"]


def test_the_line_goes_above_progress_bars(
    events: Events, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """tqdm, which most trainers use, clears its bars, writes, and draws them again."""
    package, written = types.ModuleType("tqdm"), []
    package.tqdm = types.SimpleNamespace(write=lambda line, file: written.append((line, file)))
    monkeypatch.setitem(sys.modules, "tqdm", package)
    with open_loggers(Seen(events), name="n"):
        pass
    assert written == [("xaicore: gallery: runs/n/r.html", sys.stderr)]
    assert capsys.readouterr().err == ""


def test_a_logger_that_does_not_open_reports_nothing(events: Events, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LoggerError), open_loggers([Seen(events, "a"), Seen(events, "b", "open")], name="n"):
        pass
    assert capsys.readouterr().err == ""


def test_a_monitor_reports_where_the_results_are(
    events: Events, backend: ToyBackend, x: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    with xaicore.Monitor(None, x, backend=backend, loggers=Seen(events), name="n") as monitor:
        assert capsys.readouterr().err == "xaicore: gallery: runs/n/r.html\n"
        monitor.step(0)
        monitor.step(1)
    assert capsys.readouterr().err == ""


def test_a_run_as_json() -> None:
    run = Run("n", {"lr": 0.1, "path": Path("a"), "note": "\udcff"}, "2026-01-01T08:00:00+00:00", {"numpy": "2"})
    text = run.to_json()
    assert text.isascii()
    assert json.loads(text) == {
        "name": "n",
        "started": "2026-01-01T08:00:00+00:00",
        "config": {"lr": 0.1, "path": "a", "note": "\udcff"},
        "versions": {"numpy": "2"},
    }
    assert list(json.loads(text)) == ["name", "started", "config", "versions"]
