"""Every method on every kind of model does what the table in the docs says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import xaicore
from benchmarks.cells.cells import KINDS, try_cells
from benchmarks.cells.page import page, read_page
from benchmarks.cells.torch_nets import NETS

TABLE = Path(__file__).resolve().parents[2] / "docs" / "methods" / "table.md"


def test_the_table_is_what_was_seen() -> None:
    torch.manual_seed(0)
    assert try_cells(NETS) == read_page(TABLE.read_text())["torch"]


def test_the_table_has_every_method_and_kind() -> None:
    for cells in read_page(TABLE.read_text()).values():
        assert list(cells) == list(xaicore.METHODS)
        assert all(list(row) == list(KINDS) for row in cells.values())


def test_a_page_is_read_as_it_was_written() -> None:
    cells = {"torch": {"gradcam": dict.fromkeys(KINDS), "cam": {**dict.fromkeys(KINDS), "ViT": "no (dense) layer"}}}
    assert read_page(page(cells)) == cells
    cells["torch"]["cam"]["ViT"] = None
    assert read_page(page(cells)) == cells


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_a_net(kind: str) -> None:
    build, shape = NETS[kind]
    with torch.no_grad():
        assert build()(torch.zeros(shape)).shape == (2, 4)
