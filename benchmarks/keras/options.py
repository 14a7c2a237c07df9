"""The options, and the environment variables that must be set before Keras is imported."""

from __future__ import annotations

import argparse
import os

from benchmarks.keras.nets import NETS
from benchmarks.report import parser

BACKENDS = ("tensorflow", "jax", "torch")


def parse(description: str | None) -> argparse.Namespace:
    """The options on the command line."""
    options = parser(description, NETS)
    default = [os.environ["KERAS_BACKEND"]] if os.environ.get("KERAS_BACKEND") else list(BACKENDS)
    options.add_argument(
        "--backends", nargs="+", default=default, choices=BACKENDS, help="default: KERAS_BACKEND, else all three"
    )
    return options.parse_args()


def environment(backend: str, threads: int) -> dict[str, str]:
    """The environment variables for Keras on this backend, on the CPU, with this many threads."""
    thread_counts = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "PJRT_NPROC", "OMP_NUM_THREADS")
    return {
        **os.environ,
        "KERAS_BACKEND": backend,
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **dict.fromkeys(thread_counts, str(threads)),
    }
