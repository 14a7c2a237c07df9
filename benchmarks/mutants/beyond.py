"""Parts of a backend that are beyond the reach of the contract of backends: what one framework alone has.

A kit that imports no framework asks for what all of them have. What is listed here serves a feature that has no clause
in docs/plugins.md, because other frameworks lack it; the backend's own tests are what finds faults in it. Whole modules
and whole functions are listed, with a reason, and no single lines.
"""

from __future__ import annotations

from benchmarks.mutants.faults import Fault

__all__ = ["beyond"]

TRAINERS = "callbacks of training loops, whose contract is `xaicore.Watcher`"
LIBRARIES = "the names, transforms and file layouts of a library of models"
HINTS = "what to type, in words of the framework: the contract asks that the error says the shape"
DEVICES = "accelerators, which a machine that runs a kit need not have, and copies of a model there"
SURGERY = "makes a model for CAM, which is a function of the package and none of a backend"

BEYOND: dict[str, dict[str, str]] = {
    "torch": {
        "callbacks.py": TRAINERS,
        "ignite.py": TRAINERS,
        "lightning.py": TRAINERS,
        "transformers.py": TRAINERS,
        "loader.py": "the workers and generators of PyTorch's DataLoader",
        "generation.py": "`generate` of models of Transformers",
        "devices.py": DEVICES,
        "cam.py": SURGERY,
        "surgery.py": SURGERY,
        "tools.py": "for Keras on PyTorch, whose tests find its faults",
        "models/folders.py": LIBRARIES,
        "models/libraries.py": LIBRARIES,
        "models/lite.py": LIBRARIES,
        "models/pictures.py": LIBRARIES,
        "models/timm.py": LIBRARIES,
        "models/torchvision.py": LIBRARIES,
        "models/transformers.py": LIBRARIES,
        "listed.py": "a list of pictures as the only argument, as torchvision's detectors take it",
        "joined.py": "the softmaxes of words that a captioner joins by `stack` or `cat`, read from autograd's graph",
        "recurrent.py": "cuDNN, on CUDA devices",
        "inputs.py:inference_hint": HINTS,
        "inputs.py:_picture_hint": HINTS,
        "inputs.py:_argument_hint": HINTS,
        "layout.py:unwrap": "DataParallel, DistributedDataParallel and torch.compile",
        "private.py:compiled_module": "torch.compile",
        "private.py:eager": "torch.compile",
        "private.py:without_workers": "PyTorch's DataLoader",
        "private.py:parametrizations_uncached": "`torch.nn.utils.parametrize.cached`",
        "private.py:_pop_cached": "`torch.nn.utils.parametrize.cached`",
    },
    "keras": {
        "callback.py": TRAINERS,
        "devices.py": DEVICES,
        "backend.py:KerasBackend.on_accelerator": DEVICES,
        "engines/torch.py:TorchEngine.on_accelerator": DEVICES,
        "engines/torch.py:TorchEngine.device_of": DEVICES,
        "state.py:preserved_modes": "modules of PyTorch inside of a TorchModuleWrapper",
        "running.py": "which package's engine serves Keras' backend, by entry points of its own",
        "surgery.py": SURGERY,
        "advice.py": HINTS,
        "surveys.py:Surveys._warn": HINTS,
        "inputs.py:_with_channel": "Keras adds a last axis of one channel to inputs, or drops it",
        "models/applications.py": LIBRARIES,
        "models/pictures.py": LIBRARIES,
    },
}
"""{backend: {module, or module:function: why no clause speaks of it}}."""


def beyond(backend: str, fault: Fault) -> str | None:
    """Why the contract does not reach a fault; None where it does."""
    reasons = BEYOND[backend]
    return reasons.get(fault.file) or reasons.get(f"{fault.file}:{fault.function}")
