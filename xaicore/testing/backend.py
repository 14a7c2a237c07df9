"""The suite of backends."""

from __future__ import annotations

from xaicore.testing.activations import ActivationChecks
from xaicore.testing.agreement import AgreementChecks
from xaicore.testing.architectures import ArchitectureChecks
from xaicore.testing.attending import AttentionChecks
from xaicore.testing.case import BackendCase
from xaicore.testing.checks import checks, deviate, same
from xaicore.testing.coupling import CouplingChecks
from xaicore.testing.described import DescribedChecks
from xaicore.testing.ends import EndChecks
from xaicore.testing.facts import FactChecks
from xaicore.testing.forms import FormChecks
from xaicore.testing.gradients import GradientChecks
from xaicore.testing.halving import HalvingChecks
from xaicore.testing.kit import ask
from xaicore.testing.moving import MovingChecks
from xaicore.testing.naming import NamingChecks
from xaicore.testing.needless import NeedlessChecks
from xaicore.testing.outputs import OutputChecks
from xaicore.testing.powers import PowerChecks
from xaicore.testing.quiet import QuietChecks
from xaicore.testing.reducing import ReducingChecks
from xaicore.testing.restoring import RestoringChecks
from xaicore.testing.running import RunningChecks
from xaicore.testing.sequences import SequenceChecks
from xaicore.testing.sizes import SizeChecks
from xaicore.testing.variants import VariantChecks
from xaicore.testing.whole import WholeChecks

__all__ = ["BackendTests"]


class FirstChecks(BackendCase):
    """The hook, and what an author supplies."""

    @checks("plugin-hook")
    def test_the_hook_returns_a_backend(self) -> None:
        """For each net, with a name."""
        for subject in self.subjects():
            same("whether the backend has a name", bool(subject.backend.name), True)

    @checks("plugin-declines")
    def test_foreign_objects_are_declined(self) -> None:
        """Plain objects, the class of a model, and one that pretends to have everything."""
        model = self.subject().model
        for other in (None, 3, "model", [], {}, object(), lambda x: x, type(model), Obliging(), [model]):
            answer = ask(self.plugin, "xaicore_backend", model=other, output=None)
            if answer is not None:
                deviate(f"what xaicore_backend returns for {other!r:.80}", "None", f"a {type(answer).__name__}")

    @checks("kit-declared")
    def test_nets_are_built_or_declared(self) -> None:
        """Not both: a reason that no longer holds goes."""
        for subject in self.subjects():
            bases = {name.partition("#")[0] for name in subject.net.layers}
            unknown = sorted({*subject.layers} - bases - {*subject.net.layers})
            same(f"unknown layers of the {subject.net.name} net", unknown, [])
            if len(subject.maps) < 2:
                deviate(f"layers of the {subject.net.name} net", f"two or more of {subject.net.maps}", subject.maps)
            same(f"has_gradients, with lacks = {dict(self.lacks)}", subject.backend.has_gradients, self.has_gradients)
        for name in ("tokens", "pair"):
            is_built = getattr(type(self), f"build_{name}") is not getattr(BackendTests, f"build_{name}")
            if is_built and name in self.lacks:
                deviate(f"build_{name}", f"no {name!r} in `lacks`, since there is such a net", self.lacks[name])


class BackendTests(
    NeedlessChecks,
    SequenceChecks,
    SizeChecks,
    WholeChecks,
    AgreementChecks,
    EndChecks,
    FormChecks,
    HalvingChecks,
    CouplingChecks,
    QuietChecks,
    NamingChecks,
    MovingChecks,
    ArchitectureChecks,
    VariantChecks,
    DescribedChecks,
    RunningChecks,
    ReducingChecks,
    AttentionChecks,
    PowerChecks,
    RestoringChecks,
    FactChecks,
    GradientChecks,
    ActivationChecks,
    OutputChecks,
    FirstChecks,
):
    """Whether a backend keeps the contract. Inherit it, and supply nets and the state of a model::

        class TestMine(xaicore.testing.BackendTests):
            kit_version = 2
            plugin = xaicore_mine
            frameworks = ("mine",)
            lacks = {"pair": "mine's nets take one picture"}

            def build_conv(self, net): ...    # return model, {"conv1": "its name in the model", "relu1": ..., ...}
            def build_tokens(self, net): ...
            def to_inputs(self, picture): ...  # of (N, 3, height, width)
            def state(self, model): ...        # {"weights": ..., "training": ..., "hooks": ...}

    docs/testing.md walks through it.
    """

    # The last base runs first: who writes a backend meets the clauses in the order in which they can be kept.


class Obliging:
    """Has every attribute, as mocks do."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return Obliging()
