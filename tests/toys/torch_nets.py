"""Small nets whose maps can be computed by hand, and the many shapes that real models come in."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class ConvGapDense(nn.Module):
    """conv - relu - conv - relu - mean - dense; the gradient at relu2 is the dense row over the positions."""

    def __init__(self, classes=3, channels=1, end=None):
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Conv2d(channels, 4, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(4, 5, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.dense = nn.Linear(5, classes)
        self.end = end

    def forward(self, x):
        a = self.relu2(self.conv2(self.relu1(self.conv1(x))))
        y = self.dense(a.mean((2, 3)))
        return y if self.end is None else self.end(y)


def features(model, x):
    """Activations at relu2, straight from the weights."""
    a = F.relu(F.conv2d(x, model.conv1.weight, model.conv1.bias, padding=1))
    return F.relu(F.conv2d(a, model.conv2.weight, model.conv2.bias, padding=1)).detach()


def gradcam(model, x, rows):
    """Grad-CAM by hand: rows (N, K) of classes, or signs for one output; maps (N, K, H, W)."""
    a = features(model, x).double().numpy()
    w = model.dense.weight.detach().double().numpy()
    direction = np.eye(len(w))[rows] if len(w) > 1 else np.asarray(rows, float)[..., None]
    return np.maximum(np.einsum("nko,oc,nchw->nkhw", direction, w, a) / a[0, 0].size, 0)


def pictures(n=2, channels=1, h=6, w=9):
    """Non-square, different from each other."""
    return torch.from_numpy(np.random.default_rng(1).normal(size=(n, channels, h, w)).astype(np.float32))


def truth(model, x, layer, classes, through=None):
    """(activations, gradients (N, K, ...)) by plain autograd on a recording model; the oracle for any net.

    The gradient is that of the layer's last run; `through` picks the outputs from the model's answer.
    """
    module = model.get_submodule(layer)
    seen = []
    handle = module.register_forward_hook(lambda m, i, o: seen.append(o if o.requires_grad else o.requires_grad_()))
    args = x if isinstance(x, tuple) else (x,)
    try:
        answer = model(*args)
    finally:
        handle.remove()
    y = answer if through is None else through(answer)
    picked = [
        torch.autograd.grad(y[torch.arange(len(y)), torch.as_tensor(c)].sum(), seen[-1], retain_graph=True)[0]
        for c in np.asarray(classes).T
    ]
    return seen[-1].detach().numpy(), np.stack([g.numpy() for g in picked], 1)
