"""What a backend of another framework uses of xaicore_torch: `xaicore_torch.tools`."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.graph import GradientEdge
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

import xaicore
from xaicore_torch import tools


def recorded(end):
    return end(torch.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True) * 2)


@pytest.mark.parametrize(
    ("end", "link"),
    [
        (lambda y: y, None),
        (lambda y: y.softmax(1), "softmax"),
        (lambda y: y.log_softmax(-1), None),
        (lambda y: y.sigmoid()[:, None].clone(), "sigmoid"),
        (lambda y: y.softmax(0), None),
        (lambda y: y.softmax(1)[:, :1], None),
        (lambda y: y.softmax(1).detach(), None),
    ],
)
def test_link_of(end, link):
    assert tools.link_of(recorded(end)) == link


def test_pull_back_is_the_vector_jacobian_product():
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    other = torch.ones(2, requires_grad=True)
    direction = np.array([[[1, 0], [0, 1], [1, 1]], [[2, 0], [0, 0], [1, -1]]], np.float32)  # (N=2, K=3, O=2)
    jacobian = np.array([[1, 2, 0], [0, 3, 4]], np.float32)
    y = x @ torch.from_numpy(jacobian.T)
    for _ in range(2):  # the graph is retained
        pulled = tools.pull_back(y, [x, other], direction)
        np.testing.assert_array_equal(pulled[0], direction @ jacobian)
        assert pulled[0].dtype == np.float32
        assert pulled[1] is None
    single = tools.pull_back(y, [x], direction[:, :1], retain_graph=False)
    np.testing.assert_array_equal(single[0], direction[:, :1] @ jacobian)
    with pytest.raises(RuntimeError, match="second time"):
        tools.pull_back(y, [x], direction[:, :1])


def test_pull_back_where_nothing_was_recorded_or_the_caller_is_in_inference_mode():
    x = torch.ones(1, 2, requires_grad=True)
    assert tools.pull_back(torch.ones(1, 2), [x, x], np.ones((1, 1, 2), np.float32)) == [None, None]
    y = 3 * x
    with torch.inference_mode():
        np.testing.assert_array_equal(tools.pull_back(y, [x], np.ones((1, 4, 2), np.float32))[0], np.full((1, 4, 2), 3))


def test_pull_back_from_an_edge_takes_the_shape_and_type_of_another_tensor():
    x = torch.tensor([[1.0, 2.0]], requires_grad=True)
    logits = (2 * x).double().reshape(2)
    edge = GradientEdge(*logits.softmax(0).grad_fn.next_functions[0])
    direction = np.array([[[1, 0], [1, -1]]], np.float32)
    np.testing.assert_array_equal(tools.pull_back(edge, [x], direction, like=logits)[0], 2 * direction)
    with pytest.raises(xaicore.BackendError, match="needs `like`"):
        tools.pull_back(edge, [x], direction)


def test_to_host_knows_bfloat16():
    array = tools.to_host(torch.tensor([1.5], dtype=torch.bfloat16, requires_grad=True))
    assert array.dtype == np.float32
    assert array.tolist() == [1.5]


class Writing(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.count += 1
        self.last = x
        return x


def test_preserved_model(unchanged):
    model = nn.Sequential(nn.Linear(2, 2), Writing(), nn.Dropout()).train()
    with unchanged(model), pytest.raises(ZeroDivisionError):
        with tools.preserved_model(model, torch.device("cpu")):
            assert not any(module.training for module in model.modules())
            assert not model(torch.ones(1, 2)).requires_grad
            assert model[1].count == 1
            torch.rand(1), np.random.rand()
            raise ZeroDivisionError
    assert model[1].count == 0


def test_preserved_model_keeps_the_state_of_mutable_modules_alone():
    model = nn.Sequential(Writing(), Writing()).train()
    with tools.preserved_model(model, torch.device("cpu"), lambda module: module is model[0]):
        model(torch.ones(1))
    assert [int(module.count) for module in model] == [0, 1]
    assert [hasattr(module, "last") for module in model] == [False, True]


def test_may_mutate():
    hooked = nn.ReLU()
    hooked.register_forward_pre_hook(lambda *args: None)
    assert [tools.may_mutate(module) for module in (nn.BatchNorm2d(1), Writing(), hooked)] == [False, True, True]
    assert not tools.may_mutate(torch.jit.trace(nn.ReLU(), torch.ones(1)))


@pytest.mark.parametrize("workers", [0, 1])
def test_preserved_loader(workers):
    def epochs(disturbed):
        torch.manual_seed(0)
        data = TensorDataset(torch.arange(8.0))
        sampler = RandomSampler(data, generator=torch.Generator().manual_seed(1))
        loader = DataLoader(
            data, sampler=sampler, num_workers=workers, persistent_workers=bool(workers), generator=torch.Generator()
        )
        drawn = []
        for _ in range(2):
            for (row,) in loader:
                drawn.append(float(row))
                if disturbed and len(drawn) in (3, 8):
                    with tools.preserved_loader(loader):
                        next(iter(loader)), torch.rand(1)
        return drawn, float(torch.rand(1))

    assert epochs(False) == epochs(True)


def test_traced_leaves_out_what_is_not_used():
    def function(x, y):
        unused = x.exp()
        unused += 1
        x = x.clone()
        x *= 2
        return x + y

    graph = tools.traced(function, torch.ones(2), torch.ones(2))
    assert torch.equal(graph(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 1.0])), torch.tensor([2.0, 5.0]))
    assert "exp" not in graph.code
