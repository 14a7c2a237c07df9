"""The layers of the kit's nets, forward and backward, written plainly; float64, channels first."""

from __future__ import annotations

import numpy as np

__all__ = ["convolve", "convolve_back", "head", "head_back", "relu", "relu_back", "softmax", "softmax_back"]


def _padding(kernel: np.ndarray, stride: int) -> tuple[int, int]:
    """Zeros on each side: a convolution of stride 1 keeps the size, one of patches takes no zeros."""
    return (kernel.shape[2] // 2, kernel.shape[3] // 2) if stride == 1 else (0, 0)


def convolve(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray, stride: int = 1) -> np.ndarray:
    """x (N, C, H, W) and a kernel (D, C, kh, kw) to (N, D, h, w): a cross-correlation, as frameworks compute it."""
    vertical, horizontal = _padding(kernel, stride)
    padded = np.pad(x, ((0, 0), (0, 0), (vertical, vertical), (horizontal, horizontal)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], axis=(2, 3))
    out: np.ndarray = np.einsum("nchwij,dcij->ndhw", windows[:, :, ::stride, ::stride], kernel, optimize=True)
    return out + bias[:, None, None]


def convolve_back(d: np.ndarray, kernel: np.ndarray, size: tuple[int, ...], stride: int = 1) -> np.ndarray:
    """The gradient (N, C, H, W) at the input of `convolve`, from d (N, D, h, w) at its output; `size` is (H, W)."""
    vertical, horizontal = _padding(kernel, stride)
    padded = np.zeros((len(d), kernel.shape[1], size[0] + 2 * vertical, size[1] + 2 * horizontal))
    h, w = (stride * length for length in d.shape[2:])
    for i in range(kernel.shape[2]):
        for j in range(kernel.shape[3]):
            padded[:, :, i : i + h : stride, j : j + w : stride] += np.einsum("ndhw,dc->nchw", d, kernel[:, :, i, j])
    return padded[:, :, vertical : vertical + size[0], horizontal : horizontal + size[1]]


def relu(z: np.ndarray) -> np.ndarray:
    """max(z, 0)."""
    return np.maximum(z, 0)


def relu_back(d: np.ndarray, z: np.ndarray, rule: str = "plain") -> np.ndarray:
    """The way back through a ReLU by one of `xaicore.backend.RULES`."""
    positive = np.maximum(d, 0)
    return {"plain": d * (z > 0), "guided": positive * (z > 0), "deconv": positive}[rule]


def softmax(z: np.ndarray, axis: int = -1) -> np.ndarray:
    """exp(z) / sum(exp(z))."""
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_back(d: np.ndarray, p: np.ndarray, axis: int = -1) -> np.ndarray:
    """The gradient at z, from d at p = softmax(z): p (d - sum(p d))."""
    return p * (d - (p * d).sum(axis=axis, keepdims=True))


def head(logits: np.ndarray, link: str | None) -> np.ndarray:
    """What a net answers for logits (..., classes): these, their softmax, or their sigmoid."""
    if link == "softmax":
        return softmax(logits)
    return logits if link is None else 1 / (1 + np.exp(-logits))


def head_back(d: np.ndarray, logits: np.ndarray, link: str | None) -> np.ndarray:
    """The gradient at the logits, from d at the net's answer."""
    p = head(logits, link)
    if link == "softmax":
        return softmax_back(d, p)
    return d if link is None else d * p * (1 - p)
