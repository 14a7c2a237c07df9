"""PyTorch's private names: this version has each, with the meaning that xaicore_torch.private gives it, and no other
module of the package uses one."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader, TensorDataset

import xaicore_torch
from xaicore_torch import private

PACKAGE = Path(xaicore_torch.__file__).parent
X = torch.rand(2, 1, 3, requires_grad=True)
ROWS = torch.rand(2, 3, requires_grad=True)


def hooked(x):
    module = nn.Identity()
    module.register_full_backward_hook(lambda *args: None)
    return module(x)


NODES = {
    "AliasBackward0": lambda: torch.ops.aten.alias(X),
    "BackwardHookFunctionBackward": lambda: hooked(X),
    "CloneBackward0": lambda: X.clone(),
    "ReshapeAliasBackward0": lambda: torch.ops.aten._reshape_alias(X, (2, 3), (3, 1)),
    "SqueezeBackward0": lambda: X.squeeze(),
    "SqueezeBackward1": lambda: X.squeeze(1),
    "SqueezeBackward2": lambda: X.squeeze((1, 2)),
    "ToCopyBackward0": lambda: X.double(),
    "UnsafeViewBackward0": lambda: torch.ops.aten._unsafe_view(X, (2, 3)),
    "UnsqueezeBackward0": lambda: X.unsqueeze(0),
    "ViewBackward0": lambda: X.view(2, 3),
    "ClampBackward1": lambda: X.clamp(0, 1),
    "ClampMaxBackward0": lambda: torch.clamp_max(X, 1),
    "ClampMinBackward0": lambda: torch.clamp_min(X, 0),
    "IndexBackward0": lambda: X[torch.tensor([1, 0])],
    "PermuteBackward0": lambda: X.permute(2, 0, 1),
    "SelectBackward0": lambda: X[0],
    "SliceBackward0": lambda: X[:, :, :2],
    "TBackward0": lambda: ROWS.t(),
    "TransposeBackward0": lambda: X.transpose(0, 1),
    "SoftmaxBackward0": lambda: ROWS.softmax(1),
    "LogSoftmaxBackward0": lambda: ROWS.log_softmax(1),
    "SigmoidBackward0": lambda: ROWS.sigmoid(),
}


ACTIVATIONS = [
    F.celu(X),
    F.celu_(X.clone()),
    F.elu(X),
    F.elu_(X.clone()),
    F.gelu(X),
    F.hardswish(X),
    F.leaky_relu(X),
    F.leaky_relu_(X.clone()),
    F.mish(X),
    F.prelu(X, torch.ones(1)),
    F.rrelu(X, training=True),
    F.rrelu_(X.clone(), training=True),
    F.silu(X),
    F.softplus(X),
    F.threshold(X, 1, 0),
    F.threshold_(X.clone(), 1, 0),
    F.hardsigmoid(X),
    F.hardtanh(X),
    F.hardtanh_(X.clone()),
    F.sigmoid(X),
    F.tanh(X),
    F.softmax(X, 0),
]


def names_of_nodes(expected):
    return {name: type(NODES[name]().grad_fn).__name__ for name in expected}


def check_passing():
    assert names_of_nodes(private.PASSING) == {name: name for name in private.PASSING}


def check_changing():
    assert names_of_nodes(private.CHANGING) == {name: name for name in private.CHANGING}


def check_moving():
    assert names_of_nodes(private.MOVING) == {name: name for name in private.MOVING}


def check_joining():
    written = torch.zeros(2, 1, 3)
    written[:1] = X[:1]
    joined = [torch.cat([X, X]), written, torch.stack([X, X])]
    assert {type(one.grad_fn).__name__ for one in joined} == private.JOINING
    befores = [[type(before).__name__ for before, _ in one.grad_fn.next_functions] for one in joined]
    assert befores == [["AccumulateGrad"] * 2, ["NoneType", "SliceBackward0"], ["AccumulateGrad"] * 2]


def check_links():
    assert names_of_nodes(private.LINKS) == {name: name for name in private.LINKS}
    assert list(private.LINKS.values()) == ["softmax", "log_softmax", "sigmoid"]


def check_other_activations():
    found = [type(one.grad_fn).__name__ for one in ACTIVATIONS]
    assert {*found, "HardtanhBackward1"} == set(private.OTHER_ACTIVATIONS)  # of in-place ones, in some versions


def check_hiding():
    compiled = torch.compile(lambda x: x.relu(), backend="aot_eager")(torch.rand(2, requires_grad=True))
    scripted = torch.jit.script(nn.Sequential(nn.ReLU(), nn.Tanh()))
    for _ in range(3):  # it is put together once it has been seen to run
        traced = scripted(torch.rand(2, requires_grad=True))
    for y, part in zip((compiled, traced), private.HIDING, strict=True):
        assert part in y.grad_fn.name()


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * 2


def check_once():
    x, g = (torch.ones(2, requires_grad=True) for _ in range(2))
    (gradient,) = torch.autograd.grad(Once.apply(x), x, g, create_graph=True)
    assert type(gradient.grad_fn).__name__ == private.ONCE


def check_is_rectifier():
    zero = torch.zeros(())
    written = [X.clone() for _ in range(5)]
    rectifiers = [X.relu(), F.relu6(X), F.hardtanh(X, 0, 9), F.threshold(X, 0, 0), X.clamp(min=0), X.clamp(0, 6)]
    rectifiers += [torch.clamp_min(X, 0), torch.clamp_min(X, zero), X.clamp(min=zero), X.maximum(zero), zero.maximum(X)]
    rectifiers += [written[0].relu_(), F.hardtanh_(written[1], 0, 6), F.threshold_(written[2], 0, 0)]
    rectifiers += [written[3].clamp_(min=0), written[4].clamp_min_(0)]
    others = [X.clamp(0, 1), X.clamp(max=0), X.clamp(min=1), torch.clamp_min(X, 1), F.hardtanh(X), X.maximum(zero + 1)]
    others += [F.threshold(X, 1, 0), X.clamp(zero, zero + 1), torch.clamp_min(X, zero + 1), X * 2, X.tanh()]
    assert all(private.is_rectifier(one.grad_fn) for one in rectifiers)
    assert not any(private.is_rectifier(one.grad_fn) for one in others)


def check_is_view():
    assert private.is_view(torch.ones(2)[:1])
    assert not private.is_view(torch.ones(2))


def check_compiled_module():
    model = nn.Sequential(nn.Linear(2, 2))
    assert private.compiled_module(torch.compile(model)) is model
    assert private.compiled_module(model) is None


def check_compiled():
    names = [name for name, _ in torch.compile(nn.Sequential(nn.Linear(2, 2))).named_modules()]
    assert names == ["", private.COMPILED, f"{private.COMPILED}.0"]


def check_eager():
    model, ran = nn.Sequential(torch.compile(nn.Linear(2, 2), backend="eager")), []
    model(torch.zeros(1, 2))
    model[0].get_submodule(private.COMPILED).register_forward_hook(lambda *args: ran.append(args))
    with private.eager():
        model(torch.zeros(1, 2))
    assert len(ran) == 1


def check_compiling():
    if not hasattr(torch.compiler, "set_stance"):  # since 2.6, without which nothing is compiled
        return
    ran = []
    double = torch.compile(lambda x: x * 2, backend=lambda graph, example: lambda *args: ran.append(1) or graph(*args))
    with private.eager():
        double(torch.zeros(1))
        assert not ran
        with private.compiling():
            double(torch.zeros(1))
        double(torch.zeros(1))
    assert ran == [1]


def check_kept_for_several_pulls():
    if not hasattr(torch.compiler, "set_stance"):
        return
    x = torch.ones(3, requires_grad=True)
    with private.kept_for_several_pulls():
        y = torch.compile(lambda x: (x * 2).exp().exp(), backend="aot_eager")(x)
        pulled = [torch.autograd.grad(y.sum(), [x], retain_graph=True)[0] for _ in range(2)]
    assert torch.equal(*pulled)


def check_flex():
    flex_attention = pytest.importorskip("torch.nn.attention.flex_attention").flex_attention  # since 2.5
    pytest.importorskip("torch._dynamo")  # without it, nothing was compiled, and eager() does nothing
    seen = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(getattr(func, "__name__", ""))
            return func(*args, **(kwargs or {}))

    query = torch.rand(1, 2, 16, 16)
    with torch.no_grad(), private.eager(), Watch(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flex_attention(query, query, query)
    assert private.FLEX in seen


def check_norms():
    classes = (nn.BatchNorm1d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.LazyBatchNorm2d, nn.InstanceNorm2d)
    assert all(issubclass(cls, private.NormBase) for cls in classes)
    assert not issubclass(nn.LayerNorm, private.NormBase)


def check_pools():
    kinds = {
        "AdaptiveAvgPool": private.AdaptiveAvgPool,
        "AdaptiveMaxPool": private.AdaptiveMaxPool,
        "AvgPool": private.AvgPool,
        "MaxPool": private.MaxPool,
    }
    for name, base in kinds.items():
        assert all(issubclass(getattr(nn, f"{name}{rank}d"), base) for rank in (1, 2, 3))
        assert not any(issubclass(base, other) for other in kinds.values() if other is not base)


def check_graph_leaf():
    (2 * X).sum()
    assert private.graph_leaf((2 * X).grad_fn.next_functions[0][0]) is X
    assert private.graph_leaf((2 * X).grad_fn) is None


def check_convolution():
    classes = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
    assert all(issubclass(cls, private.Convolution) for cls in classes)
    assert [len(cls(1, 1, 3).kernel_size) for cls in classes] == [1, 2, 3, 2]


def check_forward_hooks():
    module = nn.ReLU()
    assert not private.has_forward_hooks(module)
    handle = module.register_forward_hook(lambda *args: None)
    assert private.has_forward_hooks(module)
    handle.remove()
    assert not private.has_forward_hooks(module)


def check_forward_pre_hooks():
    module = nn.ReLU()
    assert not private.has_forward_pre_hooks(module)
    module.register_forward_pre_hook(lambda *args: None)
    assert private.has_forward_pre_hooks(module)
    assert not private.has_forward_hooks(module)


def check_hook_tables():
    module = nn.Linear(1, 1)
    assert [len(table) for table in private.hook_tables(module)] == [0] * 7
    handles = [
        module.register_forward_hook(lambda *args: None, with_kwargs=True, always_call=True),
        module.register_forward_pre_hook(lambda *args: None, with_kwargs=True),
        module.register_full_backward_hook(lambda *args: None),
        module.register_full_backward_pre_hook(lambda *args: None),
    ]
    assert [len(table) for table in private.hook_tables(module)] == [1] * 7
    for handle in handles:
        handle.remove()
    assert [len(table) for table in private.hook_tables(module)] == [0] * 7


def check_without_backward_hooks():
    seen = []
    module = nn.Sequential(nn.Linear(1, 1))
    handle = module[0].register_full_backward_hook(lambda *args: seen.append("hook"))
    module.register_full_backward_pre_hook(lambda *args: seen.append("pre"))

    def backward():
        module(torch.ones(1, 1)).sum().backward()

    with private.without_backward_hooks(module):
        backward()
    assert seen == []
    backward()
    assert seen == ["pre", "hook"]
    handle.remove()
    backward()
    assert seen == ["pre", "hook", "pre"]
    for register in (
        nn.modules.module.register_module_full_backward_hook,
        nn.modules.module.register_module_full_backward_pre_hook,
    ):
        of_all = register(lambda *args: seen.append("all"))
        seen.clear()
        with private.without_backward_hooks(module):
            backward()
            assert seen == []
            nn.Identity()(torch.ones(1, requires_grad=True)).sum().backward()
            assert seen == ["all"]  # another model
        of_all.remove()


def check_own_buffers():
    module = nn.BatchNorm1d(2)
    buffers = private.own_buffers(module)
    assert buffers == dict(module.named_buffers())
    buffers["running_mean"] = other = torch.ones(2)
    assert module.running_mean is other


def check_write_count():
    tensor = torch.zeros(1)
    before = private.write_count(tensor)
    tensor.add_(1)
    assert private.write_count(tensor) == before + 1
    with torch.inference_mode():
        assert private.write_count(torch.zeros(1)) == 0


def check_link_result():
    for link in (ROWS.softmax(1), ROWS.log_softmax(1), ROWS.sigmoid()):
        assert torch.equal(private.link_result(link.grad_fn), link)


def check_softmax_axis():
    for axis in (0, 1, -1, -2):
        assert private.softmax_axis(ROWS.softmax(axis).grad_fn) in (axis, axis % 2)
        assert private.softmax_axis(ROWS.log_softmax(axis).grad_fn) in (axis, axis % 2)


def check_trees():
    tree = {"a": [X, (1, None)], "b": X}
    assert sum(leaf is X for leaf in private.tree_leaves(tree)) == 2
    mapped = private.tree_map(lambda leaf: "x" if leaf is X else leaf, tree)
    assert mapped == {"a": ["x", (1, None)], "b": "x"}


def check_without_workers():
    data = TensorDataset(torch.arange(4.0))
    loader = DataLoader(data, num_workers=1, persistent_workers=True)
    workers = iter(loader)
    with private.without_workers(loader):
        assert not loader.persistent_workers
        assert iter(loader) is not workers
    assert loader.persistent_workers
    assert iter(loader) is workers  # a loader that keeps its workers starts its next epoch with them


def check_parametrizations_uncached():
    class Counting(nn.Module):
        count = 0

        def forward(self, weight):
            self.count += 1
            return weight * self.count

    module = nn.Linear(2, 2)
    counting = Counting()
    parametrize.register_parametrization(module, "weight", counting)
    counting.count = 0
    with parametrize.cached():
        outside = module.weight
        with private.parametrizations_uncached([module]):
            inside = module.weight
            assert torch.equal(inside, 2 * outside)
            assert module.weight is inside
        assert module.weight is outside
    with private.parametrizations_uncached([module]):
        assert module.weight is not module.weight


def check_traced_as_graph():
    graph = private.traced_as_graph(lambda a, b: (a + b).relu(), torch.ones(2), torch.zeros(2))
    assert torch.equal(graph(torch.tensor([-2.0, 1.0]), torch.ones(2)), torch.tensor([0.0, 2.0]))
    assert [node.op for node in graph.graph.nodes] == [
        "placeholder",
        "placeholder",
        "call_function",
        "call_function",
        "output",
    ]


def check_dispatch_mode():
    seen = {}

    class Watch(private.DispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen[func] = types, [getattr(one, "shape", one) for one in args]
            return func(*args, **(kwargs or {}))

    assert not hasattr(Watch.__torch_dispatch__, "__wrapped__")  # what wraps it would import torch._dynamo
    directions, y = torch.ones(5, 2, 4), nn.Linear(3, 4)(ROWS)
    with Watch():
        torch.autograd.grad(y, ROWS, directions, is_grads_batched=True)
    assert seen[torch.ops.aten.mm.default] == ((), [(10, 4), (4, 3)])  # plain tensors, all directions in one


CHECKS = {
    "CHANGING": check_changing,
    "COMPILED": check_compiled,
    "FLEX": check_flex,
    "HIDING": check_hiding,
    "JOINING": check_joining,
    "LINKS": check_links,
    "MOVING": check_moving,
    "ONCE": check_once,
    "OTHER_ACTIVATIONS": check_other_activations,
    "PASSING": check_passing,
    "AdaptiveAvgPool": check_pools,
    "AdaptiveMaxPool": check_pools,
    "AvgPool": check_pools,
    "Convolution": check_convolution,
    "DispatchMode": check_dispatch_mode,
    "MaxPool": check_pools,
    "NormBase": check_norms,
    "compiled_module": check_compiled_module,
    "compiling": check_compiling,
    "eager": check_eager,
    "graph_leaf": check_graph_leaf,
    "has_forward_hooks": check_forward_hooks,
    "hook_tables": check_hook_tables,
    "has_forward_pre_hooks": check_forward_pre_hooks,
    "is_rectifier": check_is_rectifier,
    "is_view": check_is_view,
    "kept_for_several_pulls": check_kept_for_several_pulls,
    "link_result": check_link_result,
    "own_buffers": check_own_buffers,
    "parametrizations_uncached": check_parametrizations_uncached,
    "softmax_axis": check_softmax_axis,
    "traced_as_graph": check_traced_as_graph,
    "tree_leaves": check_trees,
    "tree_map": check_trees,
    "without_backward_hooks": check_without_backward_hooks,
    "without_workers": check_without_workers,
    "write_count": check_write_count,
}


@pytest.mark.parametrize("name", private.__all__)
def test_this_torch_has_every_private_name(name):
    try:
        CHECKS[name]()
    except Exception as exc:
        pytest.fail(f"xaicore_torch/private.py: {name!r} does not hold for torch {torch.__version__}: {exc!r}")


# Documented in spite of the underscore: methods of named tuples.
DOCUMENTED = {"_asdict", "_fields", "_make", "_replace"}
PRIVATE = re.compile(r"_[a-zA-Z]\w*$")
STRINGS = re.compile(r"([\w.]*\.)?_[a-zA-Z]\w*|\w+Backward\d?")  # names of attributes, modules and graph nodes


def defined(tree):
    """The names with an underscore that a module gives to things of its own."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr


def used(tree):
    """(name, line) of every attribute, keyword, string and import that has a private name in it."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.keyword):
            names = [node.arg or ""]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and STRINGS.fullmatch(node.value):
            names = [node.value]
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [part for alias in node.names for part in alias.name.split(".")]
        for name in names:
            if name == "experimental" or PRIVATE.match(name) or STRINGS.fullmatch(name):
                yield name, node.lineno


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


MODULES = sorted(path for path in PACKAGE.glob("*.py") if path.name != "private.py")
OWN = {name for path in MODULES for name in defined(parse(path))}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_other_module_uses_a_private_name(path):
    allowed = OWN | DOCUMENTED
    if path.stem == "ignite":
        allowed.add("_event_handlers")  # Ignite's, which has no public way to ask for them
    strangers = [f"{path.name}:{line} {name}" for name, line in used(parse(path)) if name not in allowed]
    assert not strangers, "move it to xaicore_torch/private.py"


def test_the_search_finds_what_private_py_uses():
    found = {name for name, _ in used(parse(PACKAGE / "private.py"))}
    expected = {"_NormBase", "_ConvNd", "_buffers", "_cache", "_forward_hooks", "_iterator", "_pytree", "_saved_dim"}
    assert expected <= found
    assert {"_orig_mod", "torch._dynamo", "_version", "experimental", "ViewBackward0"} <= found
