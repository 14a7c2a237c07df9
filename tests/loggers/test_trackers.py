"""What holds for every tracker: when its package is imported, and which options and calls are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from explanations import example
from processes import run_code

import xaicore
from xaicore.plugins import installed

PACKAGES = {"wandb": ("wandb", "PIL"), "tensorboard": ("tensorboard",), "mlflow": ("mlflow",)}


@pytest.mark.parametrize("tracker", PACKAGES)
def test_naming_the_plugin_imports_no_tracker(tracker: str) -> None:
    code = f"import sys, xaicore_{tracker}; print({set(PACKAGES[tracker])} & set(sys.modules))"
    assert run_code(code) == "set()\n"


@pytest.mark.parametrize(("tracker", "missing"), [(name, one) for name, many in PACKAGES.items() for one in many])
def test_a_missing_package_is_named_with_the_extra(tracker: str, missing: str) -> None:
    code = f"""
        import sys
        sys.modules[{missing!r}] = None
        import xaicore
        try:
            xaicore.open_loggers({tracker!r})
        except xaicore.PluginError as exc:
            print(exc)
    """
    version = installed().find("logger", tracker).version
    begin, _, rest = run_code(code).partition(f"needs '{missing}")
    assert begin == f"logger plugin '{tracker}' from xaicore {version} "
    assert rest.endswith(f"""'; try: pip install "xaicore[{tracker}]"\n""")


@pytest.mark.parametrize("tracker", PACKAGES)
def test_it_is_an_installed_plugin(tracker: str) -> None:
    plugin = installed().find("logger", tracker)
    assert (plugin.distribution, plugin.target) == ("xaicore", f"xaicore_{tracker}")
    assert tracker in plugin.extras


OPTIONS = [
    ({"colormap": "rainbows"}, "no colour map called 'rainbows'; known: .*viridis"),
    ({"alpha": 1.5}, "alpha=1.5: expected an opacity between 0 and 1"),
]


@pytest.mark.parametrize(
    ("tracker", "option", "message"),
    [
        *((tracker, *wrong) for tracker in PACKAGES for wrong in OPTIONS),
        ("wandb", {"outline": 0}, "outline=0: expected a share of the pixels"),
    ],
)
def test_wrong_options_are_known_before_the_run(
    tracker: str, option: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(xaicore.InputError, match=message):
        xaicore.open_loggers({tracker: option})
    assert not list(tmp_path.iterdir())


def assert_not_open(tracker: str, logger: xaicore.Logger) -> None:
    for act in (lambda: logger.log(example()), logger.flush, logger.close):
        with pytest.raises(xaicore.LoggerError, match=rf"{tracker} logger is not open; write: with xaicore\.open_log"):
            act()


@pytest.mark.parametrize("tracker", PACKAGES)
def test_a_logger_that_was_never_opened_says_so(tracker: str) -> None:
    assert_not_open(tracker, installed().logger(tracker, {}))


@pytest.mark.parametrize("tracker", ["tensorboard", "mlflow"])
def test_a_logger_that_is_closed_says_that_it_is_not_open(tracker: str, tmp_path: Path) -> None:
    places = {"tensorboard": {"root": tmp_path}, "mlflow": {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}}
    logger = installed().logger(tracker, places[tracker])
    logger.open(xaicore.Run())
    logger.close()
    assert_not_open(tracker, logger)
