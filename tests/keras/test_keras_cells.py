"""Every method on every kind of model does what the table in the docs says."""

from __future__ import annotations

from pathlib import Path

import keras

from benchmarks.cells.cells import try_cells
from benchmarks.cells.keras_nets import NETS
from benchmarks.cells.page import read_page

TABLE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "table.md"


def test_the_table_is_what_was_seen(request) -> None:
    """Where passes are compiled, the convolutional net's column alone, unless --thorough."""
    keras.utils.set_random_seed(0)
    backend = keras.backend.backend()
    is_whole = backend == "torch" or request.config.getoption("--thorough")
    nets = NETS if is_whole else {"CNN": NETS["CNN"]}
    table = read_page(TABLE.read_text())[f"keras-{backend}"]
    assert try_cells(nets) == {method: {kind: row[kind] for kind in nets} for method, row in table.items()}
