"""`python -m benchmarks.cells`: try every method on every kind of model, and write docs/methods/table.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.cells.cells import BACKENDS, try_cells
from benchmarks.cells.page import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "table.md"


def main() -> None:
    """Each backend in a process of its own, since Keras runs on one framework per process."""
    if len(sys.argv) > 1:
        print(json.dumps(cells_of(sys.argv[1])))
        return
    results = {}
    for backend in BACKENDS:
        command = [sys.executable, "-m", "benchmarks.cells", backend]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=PAGE.parents[2])
        results[backend] = json.loads(done.stdout.splitlines()[-1])
        refused = sum(reason is not None for row in results[backend].values() for reason in row.values())
        print(f"{backend}: {sum(map(len, results[backend].values()))} cells, {refused} refused")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(results), encoding="utf-8")
    print(f"written: {PAGE.relative_to(PAGE.parents[2])}")


def cells_of(backend: str) -> dict[str, dict[str, str | None]]:
    """The cells of one backend, in this process."""
    if backend == "torch":
        import torch

        from benchmarks.cells.torch_nets import NETS as TORCH_NETS

        torch.manual_seed(0)
        return try_cells(TORCH_NETS)
    os.environ["KERAS_BACKEND"] = backend.removeprefix("keras-")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from benchmarks.cells.keras_nets import NETS as KERAS_NETS

    keras.utils.set_random_seed(0)
    return try_cells(KERAS_NETS)


if __name__ == "__main__":
    main()
