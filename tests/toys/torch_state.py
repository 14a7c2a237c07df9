"""Everything of a PyTorch model and of the process that an explanation must leave alone."""

import random

import numpy as np
import torch

from xaicore.testing.state import bits

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def fingerprint(model):
    """Everything of a model and of the process that an explanation must leave alone."""
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters())
    return bits(
        {
            "weights": dict(model.state_dict()),
            "buffers": {k: (id(v), v._version, v) for k, v in model.named_buffers()},
            "parameters": {k: (id(v), v.requires_grad, v._version) for k, v in parameters.items()},
            "grad": {k: None if v.grad is None else (id(v.grad), v.grad) for k, v in parameters.items()},
            "training": {k: m.training for k, m in modules.items()},
            "hooks": {k: [len(getattr(m, name)) for name in HOOKS] for k, m in modules.items()},
            "hooks of tensors": {k: len(v._backward_hooks or ()) for k, v in parameters.items()},
            "attributes": {k: {n: id(v) for n, v in vars(m).items()} for k, m in modules.items()},
            "random": (torch.get_rng_state(), random.getstate(), np.random.get_state()),
            "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
        }
    )
