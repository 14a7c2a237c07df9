"""Drills: plugins that are broken in every way that was seen, beside one that works."""

from __future__ import annotations

import json
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from processes import environment, run_code
from workshop import Workshop, draw, read_table

import xaicore
from xaicore import InputError, PluginError, plugins

HOOK = "import xaicore\n@xaicore.hookimpl\ndef xaicore_backend(model): return None\n"
BAD = {
    "raises": ("1 / 0", "does not import: ZeroDivisionError: division by zero"),
    "needs": ("import a_framework", "needs 'a_framework'; try: pip install a_framework"),
    "misspells": (HOOK.replace("xaicore_backend", "xaicore_bakend"), "does not keep the contract: unknown hook"),
    "hookless": ("x = 1", "has no hook: bad_hookless needs a function xaicore_backend"),
    "twice": (HOOK, "is claimed by bad-twice 1.0 and copycat 1.0: uninstall all but one of them"),
    "prints": (f"print('hello')\n{HOOK}", "prints as it is imported: hello"),
    "exits": ("import sys; sys.exit(3)", "does not import: SystemExit: 3"),
    "dies": ("import os; print('bye', flush=True); os._exit(4)", "ended its process, exit status 4: bye"),
    "gone": (None, "is not there: no module 'bad_gone'; reinstall"),
}
"""{name: (module, expected message)}; "hangs" is slow, and has a test of its own."""
HANGS = "import pathlib, time\npathlib.Path('imported').touch()\ntime.sleep(600)"


class Net:
    """A model that the plugin takes, of a framework called like it."""

    device = "nowhere"


Net.__module__ = "colours"


@pytest.fixture
def sick(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """The workshop, into which all of them are installed."""
    for name, (source, _) in {**BAD, "hangs": (HANGS, "")}.items():
        shop.distribution(f"bad-{name}", "1.0", {"xaicore.backends": {name: f"bad_{name}"}})
        if source is not None:
            (shop.site / f"bad_{name}.py").write_text(source)
    shop.distribution("copycat", "1.0", {"xaicore.backends": {"twice": "bad_twice"}})
    (shop.site / "bad_gone-1.0.dist-info" / "METADATA").unlink()  # as an aborted uninstallation leaves it
    limit(monkeypatch, *BAD, "hangs", "colours", "notes")
    return shop


def limit(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setenv("XAICORE_PLUGINS", ",".join(names))
    plugins.installed.cache_clear()


def test_check_names_each(sick: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, *BAD, "colours")
    result = sick.run("plugins", "--check", "--json")
    assert result.exit_code == 1
    errors = {row["name"]: row["error"] for row in json.loads(result.stdout)}
    assert errors.pop("colours") is None
    assert errors.keys() == BAD.keys()
    for name, (_, said) in BAD.items():
        distribution = "an unknown distribution ?" if name == "gone" else f"bad-{name} 1.0"
        origin = f"'{name}'" if name == "twice" else f"'{name}' from {distribution}"
        assert errors[name].startswith(f"backend plugin {origin} {said}")
    assert not {module for module in sys.modules if module.startswith("bad_")}


def test_check_names_one_that_hangs(sick: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, "hangs")
    result = sick.run("plugins", "--check", "--timeout", "0.5")
    assert result.exit_code == 1
    (row,) = read_table(result.stdout)
    assert row["check"] == "backend plugin 'hangs' from bad-hangs 1.0 hangs: its import did not end within 0.5 s"


def test_a_model_whose_plugin_works_is_explained(sick: Workshop) -> None:
    """Its class names the plugin: no other is imported."""
    model = Net()
    x = np.full((1, 3, 10, 20), 0.1, np.float32)
    x[0, 1, 2:8, 4:12] = 0.9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explanation = xaicore.explain(model, x)
    assert explanation.predicted.tolist() == [1]
    assert not {module for module in sys.modules if module.startswith("bad_")}


def test_the_command_line_explains_beside_them(sick: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here nothing names the plugin: all are tried, and what is broken is told."""
    limit(monkeypatch, *sorted(set(BAD) - {"dies"}), "colours", "notes")  # nobody survives an os._exit
    picture = draw(sick.here / "cat.png")
    result = sick.explain(picture)
    assert result.exit_code == 0
    assert [row["target"] for row in sick.logged()] == [0]
    for name in ("raises", "needs", "misspells", "hookless", "twice", "exits"):
        assert f"backend plugin '{name}'" in result.stderr


# Disabled.


def disable(shop: Workshop, *names: str) -> None:
    for name in names:
        result = shop.run("plugins", "--disable", name)
        assert (result.exit_code, result.stdout) == (0, "")
        assert f"disabled: {name}; to enable it again: xaicore plugins --enable {name}" in result.stderr


def test_what_hangs_is_disabled_without_an_import(sick: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, "hangs", "colours", "notes")
    disable(sick, "hangs")
    result = sick.explain(draw(sick.here / "cat.png"))
    assert (result.exit_code, len(sick.logged())) == (0, 1)
    assert "hangs" not in result.stderr
    result = sick.run("plugins", "--check")
    assert result.exit_code == 0
    rows = {row["name"]: row["check"] for row in read_table(result.stdout)}
    assert rows == {"colours": "ok", "hangs": "disabled", "notes": "ok"}
    assert not (sick.here / "imported").exists()
    assert (sick.here.parent / "settings" / "disabled-plugins.txt").read_text() == "hangs\n"


def test_the_listing_shows_what_is_disabled(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, "colours", "notes")
    disable(shop, "colours", "notes")
    assert shop.run("plugins", "--enable", "notes", "--json").exit_code == 0
    assert [row["use"] for row in read_table(shop.run("plugins").stdout)] == ["disabled", "yes"]
    rows = json.loads(shop.run("plugins", "--json").stdout)
    assert [(row["name"], row["disabled"]) for row in rows] == [("colours", True), ("notes", False)]


def test_a_disabled_plugin_says_how_it_is_enabled(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, "colours", "notes")
    model = Net()
    disable(shop, "colours")
    registry = plugins.installed()
    assert registry.names("backend") == []
    said = r"^backend plugin 'colours' from colours 1.2 is disabled; try: xaicore plugins --enable colours$"
    with pytest.raises(PluginError, match=said):
        registry.backend(model, name="colours")
    said = r"tried colours: disabled\. Try: xaicore plugins --enable colours$"
    with pytest.raises(PluginError, match=said):
        registry.backend(model)
    with pytest.raises(PluginError, match=r"tried colours: disabled\. Install a backend plugin"):
        registry.backend(object())
    with pytest.raises(
        InputError, match=r"^spec='zoo/lion': .*; disabled: colours, try: xaicore plugins --enable colours$"
    ):
        xaicore.load("zoo/lion")
    assert shop.run("plugins", "--enable", "colours").stderr.startswith("enabled: colours\n")
    assert plugins.installed().backend(model).name == "colours"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--disable", "note"), r"no plugin called 'note'; installed: colours, notes; did you mean 'notes'\?"),
        (("--enable", "notes"), r"'notes' is not disabled; disabled: none"),
    ],
)
def test_names_that_cannot_be_chosen(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, str], said: str
) -> None:
    limit(monkeypatch, "colours", "notes")
    result = shop.run("plugins", *arguments)
    assert result.exit_code == 2
    assert result.stderr.strip() == f"Error: {said}".replace("\\", "")
    assert not (shop.here.parent / "settings").exists()


def test_a_file_that_cannot_be_read_blocks_nothing(shop: Workshop) -> None:
    file = shop.here.parent / "settings" / "disabled-plugins.txt"
    file.mkdir(parents=True)
    with pytest.warns(RuntimeWarning, match=r"no plugin is disabled: .*disabled-plugins.txt cannot be read: "):
        assert "colours" in plugins.installed().names("backend")
    result = shop.run("plugins", "--disable", "notes")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
    assert "export XAICORE_CONFIG=" in result.stderr


@pytest.mark.parametrize(
    ("platform", "variables", "place"),
    [
        ("linux", {"HOME": "/home/ann"}, "/home/ann/.config/xaicore"),
        ("linux", {"HOME": "/home/ann", "XDG_CONFIG_HOME": "/etc/ann"}, "/etc/ann/xaicore"),
        ("darwin", {"HOME": "/Users/ann"}, "/Users/ann/Library/Application Support/xaicore"),
        ("win32", {"APPDATA": "/ann/Roaming"}, "/ann/Roaming/xaicore"),
        ("linux", {"HOME": "/home/ann", "XAICORE_CONFIG": "/here"}, "/here"),
    ],
)
def test_where_it_is_kept(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], place: str
) -> None:
    from xaicore.plugins.disabled import file_of_disabled

    for name in ("XAICORE_CONFIG", "XDG_CONFIG_HOME", "APPDATA", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    assert file_of_disabled() == Path(place) / "disabled-plugins.txt"


# Many.


def test_a_listing_of_three_hundred_distributions_imports_none(tmp_path: Path) -> None:
    """Of their plugins, which would say so; and reads the entry points of each once."""
    for i in range(300):
        folder = tmp_path / f"many{i}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: many{i}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[xaicore.backends]\nb{i} = many{i}\n" if i % 5 == 0 else "")
        (tmp_path / f"many{i}.py").write_text("1 / 0")
    code = """
        import importlib.metadata, sys, time
        from xaicore import plugins

        class Counts:
            asked = []
            def find_spec(self, name, path=None, target=None):
                self.asked.append(name)

        opened = []
        read = importlib.metadata.PathDistribution.read_text
        def counted(self, name):
            opened.append((str(self._path), name))
            return read(self, name)
        importlib.metadata.PathDistribution.read_text = counted
        sys.meta_path.insert(0, Counts())
        found = [one.name for one in plugins.installed().listing() if one.name.startswith("b")]
        points = [path for path, name in opened if "many" in path and name == "entry_points.txt"]
        print(len(found), [name for name in Counts.asked if name.startswith("many")], len(points), len(set(points)))
        """
    printed = run_code(textwrap.dedent(code), env=environment(tmp_path, without="XAICORE_"))
    assert printed.split() == ["60", "[]", "300", "300"]


# One that hangs, among others.

MARK = "import pathlib\npathlib.Path('imported').touch()\n" + HOOK


@pytest.fixture
def marked(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A plugin whose import leaves a mark, where one that hangs would stop the program; its name comes first."""
    shop.distribution("slow", "1.0", {"xaicore.backends": {"aaa": "bad_marked"}})
    (shop.site / "bad_marked.py").write_text(MARK)
    limit(monkeypatch, "aaa", "colours", "notes")
    sys.modules.pop("bad_marked", None)
    monkeypatch.chdir(shop.here)
    return shop


def test_plugins_of_imported_modules_are_probed_first(marked: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of which nothing names the plugin: its framework has been imported, that of the other has not."""
    model = type("Wrapped", (Net,), {"__module__": "elsewhere"})()
    monkeypatch.setattr(Net, "__module__", "elsewhere")
    monkeypatch.setitem(sys.modules, "colours", sys)
    assert plugins.installed().backend(model).name == "colours"
    assert not Path("imported").exists()
    monkeypatch.delitem(sys.modules, "colours")
    assert plugins.installed().backend(model).name == "colours"
    assert Path("imported").exists()


def test_models_by_name_are_asked_of_what_is_installed_first(marked: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    registry = plugins.installed()
    monkeypatch.setattr(registry, "ask", lambda plugin, hook, **rest: asked.append(plugin.name))
    with pytest.raises(InputError):
        xaicore.find_model("zoo/lion")
    assert asked[:2] == ["aaa", "colours"]
    asked.clear()
    monkeypatch.setattr("xaicore.models.find.is_installed", lambda name: name == "colours")
    with pytest.raises(InputError):
        xaicore.find_model("zoo/lion")
    assert asked[:2] == ["colours", "aaa"]


def test_code_that_builds_a_model_asks_the_plugin_that_its_class_names(
    marked: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(marked.here)
    (marked.here / "coded.py").write_text(
        "class Net: pass\nNet.__module__ = 'colours'\nclass Other: pass\ndef build(): return Net()\n"
        "def other(): return Other()\n"
    )
    assert type(xaicore.find_model("coded:build").model).__name__ == "Net"
    assert not Path("imported").exists()
    assert type(xaicore.find_model("coded:other").model).__name__ == "Other"
    assert Path("imported").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (f"import time; time.sleep(0.3)\n{HOOK}", "to be imported"),
        (HOOK.replace("return None", "import time; time.sleep(0.3)"), "to answer xaicore_backend"),
    ],
)
def test_what_takes_long_is_named(shop: Workshop, monkeypatch: pytest.MonkeyPatch, source: str, said: str) -> None:
    shop.distribution("slow", "1.0", {"xaicore.backends": {"slow": "bad_slow"}})
    (shop.site / "bad_slow.py").write_text(source)
    limit(monkeypatch, "slow", "colours")
    monkeypatch.setattr("xaicore.plugins.waiting.SECONDS", 0.05)
    expected = (
        rf"^backend plugin 'slow' from slow 1.0 takes more than 0.05 s {said}. If it hangs, stop this program and "
        "leave it out: xaicore plugins --disable slow$"
    )
    with pytest.warns(RuntimeWarning, match=expected), pytest.raises(PluginError, match="does not accept"):
        plugins.installed().backend(Net(), name="slow")
    sys.modules.pop("bad_slow")


def test_what_does_not_take_long_is_not_told(shop: Workshop) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plugins.installed().backend(Net()).name == "colours"
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert all(timer.finished.is_set() for timer in timers)
