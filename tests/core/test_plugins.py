"""Plugins: found without importing, asked one at a time, and what is said when something is wrong with them."""

from __future__ import annotations

import importlib.metadata
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from toynet import ToyBackend

import xaicore
from xaicore import PluginError, plugins
from xaicore.plugins import Plugin, Plugins

if TYPE_CHECKING:
    from sites import Site

BACKEND = """
    import xaicore
    from toynet import ToyBackend

    class {name}(ToyBackend):
        name = ""

        def __init__(self, model, output):
            super().__init__()
            self.model, self.output = model, output

    @xaicore.hookimpl
    def xaicore_backend(model, output):
        return {name}(model, output) if {accepts} else None
"""
LOGGER = """
    import xaicore

    class {name}(xaicore.Logger):
        def __init__(self, color="red"):
            self.color = color

        def log(self, explanation, step=None):
            pass

    @xaicore.hookimpl
    def xaicore_logger(options):
        return {name}(**options)
"""


def backend_module(site: Site, module: str, accepts: str = "True", name: str = "Made") -> None:
    site.module(module, BACKEND.format(name=name, accepts=accepts))


def model_of(*roots: str) -> Any:
    """An object whose class and base classes come from these root modules, most derived first."""
    cls: type = object
    for root in reversed(roots):
        cls = type("Net", (cls,), {"__module__": f"{root}.nets"})
    return cls()


# Finding.


def test_listing_says_what_is_there_and_imports_nothing(site: Site) -> None:
    site.distribution(
        "zoo", "2.1", {"keras": "zoo_keras", "alpha": "zoo.alpha:plugin"}, {"disk": "zoo_disk"}, ["keras"]
    )
    site.distribution("acme", "0.3", {"keras": "acme_keras"})
    before = set(sys.modules)
    registry = site.plugins()
    assert registry.listing() == [
        Plugin("backend", "alpha", "zoo", "2.1", "zoo.alpha:plugin", ("keras",)),
        Plugin("backend", "keras", "acme", "0.3", "acme_keras"),
        Plugin("backend", "keras", "zoo", "2.1", "zoo_keras", ("keras",)),
        Plugin("logger", "disk", "zoo", "2.1", "zoo_disk", ("keras",)),
    ]
    assert registry.names("backend") == ["alpha", "keras"]
    assert registry.names("logger") == ["disk"]
    assert not {name for name in set(sys.modules) - before if "zoo" in name or "acme" in name}
    assert str(registry.find("logger", "disk")) == "logger plugin 'disk' from zoo 2.1"


def test_listing_survives_half_removed_distributions(site: Site) -> None:
    site.distribution("half", backends={"torch": "half_torch"}, metadata=False)
    site.distribution("gone", backends={"torch": "gone_torch"}, metadata=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listing = site.plugins().listing()
    assert sorted(plugin.target for plugin in listing) == ["gone_torch", "half_torch"]
    assert {(plugin.distribution, plugin.version) for plugin in listing} == {("an unknown distribution", "?")}


def test_listing_survives_metadata_that_is_missing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """As importlib_metadata says it, which answers for Python's own once anything has imported it."""

    class Half(importlib.metadata.Distribution):
        def read_text(self, filename: str) -> str | None:
            return "[xaicore.backends]\nx = module_x\n" if filename == "entry_points.txt" else None

        def locate_file(self, path: Any) -> Any:
            raise NotImplementedError

        @property
        def metadata(self) -> Any:
            raise FileNotFoundError("no metadata")

    monkeypatch.setattr("importlib.metadata.entry_points", lambda: Half().entry_points)
    assert site.plugins().listing() == [UNKNOWN]


def test_an_entry_point_without_a_distribution(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = importlib.metadata.EntryPoints([importlib.metadata.EntryPoint("x", "module_x", "xaicore.backends")])
    monkeypatch.setattr("importlib.metadata.entry_points", lambda: alone)
    assert site.plugins().listing() == [UNKNOWN]


UNKNOWN = Plugin("backend", "x", "an unknown distribution", "?", "module_x")


def test_the_metadata_is_read_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All groups at once: each reading opens a file of every distribution."""
    asked: list[str] = []
    nothing = importlib.metadata.EntryPoints()
    monkeypatch.setattr("importlib.metadata.entry_points", lambda: asked.append("all") or nothing)
    registry = site.plugins()
    assert plugins.installed() is registry
    assert asked == ["all"]


def test_a_plugin_that_is_missing(site: Site) -> None:
    site.distribution("acme", backends={"b": "x", "a": "y"})
    with pytest.raises(PluginError, match=r"^no backend plugin called 'c'; installed: a, b$"):
        site.plugins().find("backend", "c")
    with pytest.raises(PluginError, match=r"^no logger plugin called 'mlflow'; installed: none$"):
        site.plugins().logger("mlflow", {})


@pytest.mark.parametrize(("limit", "left"), [("b", ["b"]), ("a, b,q", ["a", "b"]), ("", []), (",", [])])
def test_the_environment_limits_plugins(
    site: Site, monkeypatch: pytest.MonkeyPatch, limit: str, left: list[str]
) -> None:
    site.distribution("acme", backends={"a": "x", "b": "y", "c": "z"}, loggers={"b": "y"})
    monkeypatch.setenv("XAICORE_PLUGINS", limit)
    registry = site.plugins()
    assert registry.names("backend") == left
    assert registry.names("logger") == [name for name in left if name == "b"]
    said = rf"installed: {', '.join(left) or 'none'} \(XAICORE_PLUGINS='{limit}' limits them\)"
    expected = rf"^no backend plugin called 'c'; {said}$"
    with pytest.raises(PluginError, match=expected):
        registry.find("backend", "c")


def test_a_name_that_two_distributions_claim(site: Site) -> None:
    site.distribution("acme", "0.3", {"torch": "acme_torch"}, {"disk": "acme_disk"})
    site.distribution("zoo", "2.1", {"torch": "zoo_torch"}, {"disk": "zoo_disk"})
    expected = "backend plugin 'torch' is claimed by acme 0.3 and zoo 2.1: uninstall all but one of them"
    with pytest.raises(PluginError, match=expected):
        site.plugins().backend(object(), name="torch")
    with pytest.raises(PluginError, match=expected):
        site.plugins().backend(model_of("torch"))
    with pytest.raises(PluginError, match=r"logger plugin 'disk' is claimed by acme 0.3 and zoo 2.1"):
        site.plugins().logger("disk", {})
    with pytest.warns(RuntimeWarning, match=f"skipped while looking for a backend: {expected}"):
        with pytest.raises(PluginError, match=r"tried torch: broken\."):
            site.plugins().backend(model_of("elsewhere"))


# Loading.


def test_a_plugin_is_imported_once(site: Site) -> None:
    backend_module(site, "acme_plugin")
    site.distribution("acme", backends={"acme": "acme_plugin"})
    registry = site.plugins()
    plugin = registry.find("backend", "acme")
    loaded = registry.load(plugin)
    assert loaded is sys.modules["acme_plugin"]
    assert registry.load(plugin) is loaded


def test_a_plugin_may_be_an_instance(site: Site) -> None:
    site.module(
        "acme_plugin",
        """
        import xaicore
        from toynet import ToyBackend

        class Plugin:
            @xaicore.hookimpl
            def xaicore_backend(self, model):
                return ToyBackend()

        plugin = Plugin()
        """,
    )
    site.distribution("acme", backends={"acme": "acme_plugin:plugin"})
    assert isinstance(site.plugins().backend(object(), name="acme"), ToyBackend)


DECORATED = "import xaicore\n@xaicore.hookimpl\ndef "
PLUGIN = "backend plugin 'acme' from acme-plugins 1.0"
NO_HOOK = f"{PLUGIN} has no hook: acme_plugin needs a function xaicore_backend decorated with @xaicore.hookimpl$"
BROKEN = f"{PLUGIN} does not keep the contract: "
LOADING = {
    "import acme_framework": rf"{PLUGIN} needs 'acme_framework'; try: pip install acme_framework$",
    "import acme_framework.nn": r"needs 'acme_framework'; try: pip install acme_framework$",
    "from os import nothing": rf"{PLUGIN} does not import: cannot import name 'nothing'",
    "raise ImportError('libX.so.1: cannot open')": rf"{PLUGIN} does not import: libX.so.1: cannot open$",
    "raise OSError('libY.so: invalid ELF header')": rf"{PLUGIN} does not import: OSError: libY.so: inv",
    "1 / 0": rf"{PLUGIN} does not import: ZeroDivisionError: division by zero$",
    "def broken(:": rf"{PLUGIN} does not import: SyntaxError: ",
    "x = 1": NO_HOOK,
    "def xaicore_backend(model): pass": NO_HOOK,
    f"{DECORATED}xaicore_bakend(model): pass": rf"{BROKEN}unknown hook 'xaicore_bakend'",
    f"{DECORATED}xaicore_backend(net): pass": rf"{BROKEN}its xaicore_backend takes an argument 'net', and is called",
    f"{DECORATED}xaicore_logger(options): pass": NO_HOOK,
}


@pytest.mark.parametrize("text", LOADING)
def test_a_plugin_that_does_not_load(site: Site, text: str) -> None:
    """Said each time anew; raised where the user or the model's class named it, a warning while probing."""
    (site.root / "acme_plugin.py").write_text(text)
    site.distribution("acme-plugins", backends={"acme": "acme_plugin"})
    registry = site.plugins()
    for _ in range(2):
        with pytest.raises(PluginError, match=LOADING[text]):
            registry.backend(object(), name="acme")
    with pytest.raises(PluginError, match=LOADING[text]):
        registry.backend(model_of("acme"))
    with pytest.warns(RuntimeWarning, match=f"skipped while looking for a backend: .*{LOADING[text]}"):
        with pytest.raises(
            PluginError, match=r"no backend accepts elsewhere.nets.Net \(bases from: elsewhere\); tried acm"
        ):
            registry.backend(model_of("elsewhere"))


def test_a_missing_framework_names_the_extra(site: Site) -> None:
    site.module("acme_plugin", "import acme_framework")
    site.distribution("acme", "0.1.0", loggers={"wandb": "acme_plugin"}, extras=["torch", "wandb"])
    expected = r"^logger plugin 'wandb' from acme 0.1.0 needs 'acme_framework'; try: pip install \"acme\[wandb\]\"$"
    with pytest.raises(PluginError, match=expected) as e:
        site.plugins().logger("wandb", {})
    assert isinstance(e.value.__cause__, ModuleNotFoundError)


def test_an_entry_point_that_leads_nowhere(site: Site) -> None:
    site.module("acme_plugin", "")
    site.distribution(
        "acme", backends={"module": "acme_nowhere", "name": "acme_plugin:nothing", "form": "acme plugin!"}
    )
    registry = site.plugins()
    with pytest.raises(
        PluginError, match=r"'module' from acme 1.0 is not there: no module 'acme_nowhere'; reinstall acme"
    ):
        registry.backend(object(), name="module")
    site.module("acme_half", "import acme_half.engine")
    site.distribution("half", backends={"half": "acme_half"}, extras=["half"])
    with pytest.raises(PluginError, match=r"'half' from half 1.0 is not there: no module 'acme_half.engine'; reinst"):
        site.plugins().backend(object(), name="half")
    with pytest.raises(PluginError, match=r"'name' from acme 1.0 does not import: AttributeError: .*nothing"):
        registry.backend(object(), name="name")
    with pytest.raises(PluginError, match=r"'form' from acme 1.0 (does not import|is not there)"):
        registry.backend(object(), name="form")


def test_one_module_may_serve_both_groups_and_several_names(site: Site) -> None:
    backend_module(site, "acme_plugin")
    with (site.root / "acme_plugin.py").open("a") as file:
        file.write("\n".join(line[4:] for line in LOGGER.format(name="Line").splitlines()))
    site.distribution("acme", backends={"a": "acme_plugin", "b": "acme_plugin"}, loggers={"c": "acme_plugin"})
    registry = site.plugins()
    assert registry.logger("c", {"color": "blue"}).color == "blue"
    assert registry.backend(object(), name="a").name == "a"
    assert registry.backend(object(), name="b").name == "b"


# Asking for a backend.


def test_the_named_plugin_gets_model_and_output(site: Site) -> None:
    backend_module(site, "acme_plugin")
    site.distribution("acme", backends={"acme": "acme_plugin"})
    model = object()
    backend = site.plugins().backend(model, "logits", "acme")
    assert backend.model is model
    assert backend.output == "logits"
    assert backend.name == "acme"  # filled in, as the class left it empty
    explainer = xaicore.Explainer(model, backend="acme", output=2)
    assert explainer.backend.output == 2


def test_a_backend_keeps_the_name_it_has(site: Site) -> None:
    site.module(
        "acme_plugin",
        """
        import xaicore
        from toynet import ToyBackend

        class Named(ToyBackend):
            @property
            def name(self):
                return "mine"

        @xaicore.hookimpl
        def xaicore_backend():
            return Named()
        """,
    )
    site.distribution("acme", backends={"acme": "acme_plugin"})
    assert site.plugins().backend(object()).name == "mine"


def test_the_models_class_names_its_backend(site: Site) -> None:
    """Base classes count from the most derived one on, the order of names or of installation does not."""
    for root in ("alpha", "beta", "gamma"):
        backend_module(site, f"plugin_of_{root}", name=root.title())
        site.distribution(f"dist-{root}", backends={root: f"plugin_of_{root}"})
    registry = site.plugins()

    def chosen(*roots: str) -> str:
        backend = registry.backend(model_of(*roots))
        assert backend.name == type(backend).__name__.lower()
        return backend.name

    assert chosen("gamma") == "gamma"
    assert chosen("mine", "beta", "alpha") == "beta"
    assert chosen("alpha", "gamma") == "alpha"
    assert chosen("gamma", "alpha") == "gamma"
    assert chosen("elsewhere") == "alpha"  # no base class decides: the first that accepts


def test_only_the_asked_plugin_is_imported(site: Site) -> None:
    for root in ("alpha", "beta"):
        backend_module(site, f"plugin_of_{root}")
        site.distribution(f"dist-{root}", backends={root: f"plugin_of_{root}"})
    site.plugins().backend(model_of("beta"))
    assert "plugin_of_beta" in sys.modules
    assert "plugin_of_alpha" not in sys.modules


def test_only_the_asked_plugin_is_called(site: Site) -> None:
    """Also where others have been loaded before, and would answer first."""
    for root in ("alpha", "beta"):
        backend_module(site, f"plugin_of_{root}", name=root.title())
        site.distribution(f"dist-{root}", backends={root: f"plugin_of_{root}"})
    registry = site.plugins()
    for name in ("alpha", "beta", "alpha", "beta"):
        assert type(registry.backend(object(), name=name)).__name__ == name.title()


def test_a_plugin_that_declines(site: Site) -> None:
    backend_module(site, "plugin_of_alpha", accepts="False")
    backend_module(site, "plugin_of_beta", accepts='type(model).__module__.startswith("alpha")')
    site.distribution("dist-alpha", backends={"alpha": "plugin_of_alpha"})
    site.distribution("dist-beta", backends={"beta": "plugin_of_beta"})
    registry = site.plugins()
    assert registry.backend(model_of("alpha")).name == "beta"
    with pytest.raises(
        PluginError, match=r"^backend plugin 'alpha' from dist-alpha 1.0 does not accept a builtins.object$"
    ):
        registry.backend(object(), name="alpha")
    expected = (
        r"^no backend accepts mypkg.nets.Net \(bases from: mypkg, other\); tried alpha: declined, beta: declined\. "
        r"Install a backend plugin for its framework, or pass backend=<a Backend instance>$"
    )
    with pytest.raises(PluginError, match=expected):
        registry.backend(model_of("mypkg", "other"))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (dict, "no backend accepts the class builtins.dict .* Pass an instance of it, such as dict"),
        ({"conv.weight": 1}, "no backend accepts builtins.dict .* such as a state_dict, .* build it, and load them"),
        ("best.pt", "no backend accepts builtins.str .* xaicore.load\\('best.pt'\\) loads a model by its name"),
        (
            xaicore.NamedModel(1, "one"),
            "no backend accepts xaicore.* made it of a model: pass the model itself, or .* its name$",
        ),
        (Path("best.pt"), "no backend accepts pathlib.* xaicore.load\\('best.pt'\\) loads a model by its name"),
    ],
    ids=str,
)
def test_what_is_no_model_at_all(site: Site, model: object, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        site.plugins().backend(model)


def test_a_name_that_is_nearly_right(site: Site) -> None:
    site.distribution("d", backends={"torch": "t"}, loggers={"TensorBoard": "l"})
    with pytest.raises(PluginError, match="no backend plugin called 'Torhc'; installed: torch; did you mean 'torch'"):
        site.plugins().find("backend", "Torhc")
    with pytest.raises(PluginError, match="did you mean 'TensorBoard'"):
        site.plugins().find("logger", "tensorbord")


def test_no_plugin_at_all(site: Site) -> None:
    expected = r"no backend accepts builtins.list \(bases from: none\); tried nothing, none is installed\. Install"
    with pytest.raises(PluginError, match=expected):
        xaicore.explain([], None)


def test_a_broken_plugin_does_not_hide_a_working_one(site: Site) -> None:
    site.module("plugin_of_alpha", "import acme_framework")
    backend_module(site, "plugin_of_beta")
    site.distribution("dist-alpha", backends={"alpha": "plugin_of_alpha"})
    site.distribution("dist-beta", backends={"beta": "plugin_of_beta"})
    with pytest.warns(
        RuntimeWarning, match="backend: backend plugin 'alpha' from dist-alpha 1.0 needs 'acme_framework'"
    ) as w:
        assert site.plugins().backend(model_of("elsewhere")).name == "beta"
    assert len(w) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert site.plugins().backend(model_of("beta")).name == "beta"


HOOKS = {
    "return object()": r"'acme' from acme 1.0 gave a builtins.object; expected a subclass of xaicore.Backend$",
    "return ToyBackend": r"gave a abc.ABCMeta; expected a subclass of xaicore.Backend",
    "return Old()": r"speaks api_version 0, this xaicore speaks 1: upgrade the plugin; try: pip .* acme$",
    "return New()": r"'acme' from acme 1.0 speaks api_version 2, this xaicore speaks 1: upgrade xaicore",
    "raise KeyError('weights')": r"'acme' from acme 1.0 raised KeyError: 'weights'",
    "import acme_framework": r"'acme' from acme 1.0 needs 'acme_framework'; try: pip install acme_framework",
    "raise xaicore.DependencyError('no CUDA here')": r"'acme' from acme 1.0 does not import: no CUDA here",
}


@pytest.mark.parametrize("body", HOOKS)
def test_a_hook_that_does_not_keep_its_word(site: Site, body: str) -> None:
    site.module(
        "acme_plugin",
        f"""
        import xaicore
        from toynet import ToyBackend

        class Old(ToyBackend):
            api_version = 0

        class New(ToyBackend):
            api_version = 2

        @xaicore.hookimpl
        def xaicore_backend(model, output):
            {body}
        """,
    )
    site.distribution("acme", backends={"acme": "acme_plugin"})
    registry = site.plugins()
    with pytest.raises(PluginError, match=HOOKS[body]):
        registry.backend(object(), "probs", "acme")
    with pytest.raises(PluginError, match=HOOKS[body]):
        registry.backend(model_of("acme"), "probs")
    with pytest.warns(RuntimeWarning, match=HOOKS[body]):
        with pytest.raises(PluginError, match="tried acme: broken"):
            registry.backend(model_of("elsewhere"), "probs")


def test_what_a_plugin_says_of_the_users_arguments_passes_unchanged(site: Site) -> None:
    site.module(
        "acme_plugin",
        """
        import xaicore

        @xaicore.hookimpl
        def xaicore_backend(model):
            raise xaicore.InputError("this model has 2 outputs: output=")
        """,
    )
    site.distribution("acme", backends={"acme": "acme_plugin"})
    with pytest.raises(xaicore.InputError, match=r"^this model has 2 outputs: output=$"):
        site.plugins().backend(object())


# Asking for a logger.


def test_a_logger_gets_its_options(site: Site) -> None:
    site.module("acme_plugin", LOGGER.format(name="Line"))
    site.distribution("acme", loggers={"line": "acme_plugin"})
    registry = site.plugins()
    assert registry.logger("line", {}).color == "red"
    options = {"color": "blue"}
    assert registry.logger("line", options).color == "blue"
    with pytest.raises(PluginError, match=r"'line' from acme 1.0 raised TypeError with the options colour: .*'colour'"):
        registry.logger("line", {"colour": 1})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", r"logger plugin 'line' from acme 1.0 gave no logger for the options \{'a': 1\}"),
        ("return 3", r"gave a builtins.int; expected a subclass of xaicore.Logger"),
        ("return Tomorrow()", r"speaks api_version 7, this xaicore speaks 1: upgrade xaicore"),
    ],
)
def test_a_logger_hook_that_does_not_keep_its_word(site: Site, body: str, message: str) -> None:
    site.module(
        "acme_plugin",
        f"""
        import xaicore

        class Tomorrow(xaicore.Logger):
            api_version = 7

            def log(self, explanation, step=None):
                pass

        @xaicore.hookimpl
        def xaicore_logger(options):
            {body}
        """,
    )
    site.distribution("acme", loggers={"line": "acme_plugin"})
    with pytest.raises(PluginError, match=message):
        site.plugins().logger("line", {"a": 1})


def test_a_registry_of_nothing() -> None:
    assert Plugins([]).listing() == []
    assert Plugins([]).names("backend") == []
