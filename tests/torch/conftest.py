import copy
import random

import numpy as np
import pytest
import torch


@pytest.fixture(autouse=True)
def two_threads():
    torch.set_num_threads(2)


def fingerprint(model):
    """Everything of a model and of the process that an explanation must leave alone."""
    return {
        "weights": {k: v.clone() for k, v in model.state_dict().items()},
        "buffers": {k: (id(v), v._version, v.clone()) for k, v in model.named_buffers()},
        "parameters": {k: (id(v), v.requires_grad, v._version) for k, v in model.named_parameters()},
        "grad": {k: None if v.grad is None else (id(v.grad), v.grad.clone()) for k, v in model.named_parameters()},
        "training": {k: m.training for k, m in model.named_modules()},
        "hooks": {
            k: [
                len(getattr(m, name))
                for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
            ]
            for k, m in model.named_modules()
        },
        "attributes": {k: {n: id(v) for n, v in vars(m).items()} for k, m in model.named_modules()},
        "random": (torch.get_rng_state(), random.getstate(), copy.deepcopy(np.random.get_state())),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
    }


def same(a, b):
    if isinstance(a, torch.Tensor):
        bits = [t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (a, b)]
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*bits)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.fixture
def unchanged():
    """`with unchanged(model): ...` fails when anything of the model or of the process is different afterwards."""
    import contextlib

    @contextlib.contextmanager
    def check(model):
        before = fingerprint(model)
        try:
            yield
        finally:
            after = fingerprint(model)
            different = [key for key in before if not same(before[key], after[key])]
            assert not different, f"changed: {different}"

    return check
