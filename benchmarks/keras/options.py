"""What can be chosen, and what a process's surroundings must say before Keras is imported in it."""

from __future__ import annotations

import argparse
import os

from benchmarks.keras.nets import NETS
from benchmarks.report import parser

BACKENDS = ("tensorflow", "jax", "torch")


def parse(description: str | None) -> argparse.Namespace:
    """The options that were typed."""
    made = parser(description, NETS)
    chosen = [os.environ["KERAS_BACKEND"]] if os.environ.get("KERAS_BACKEND") else list(BACKENDS)
    made.add_argument(
        "--backends", nargs="+", default=chosen, choices=BACKENDS, help="default: KERAS_BACKEND, else all three"
    )
    return made.parse_args()


def environment(backend: str, threads: int) -> dict[str, str]:
    """On what Keras runs, on the CPU, with how many threads."""
    of_threads = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "PJRT_NPROC", "OMP_NUM_THREADS")
    return {
        **os.environ,
        "KERAS_BACKEND": backend,
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **dict.fromkeys(of_threads, str(threads)),
    }
