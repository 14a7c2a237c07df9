"""The Python of docs/training.md runs as it stands there, and its table names tests that exist."""

from __future__ import annotations

import json
import re
from typing import Any

import lab
import pages
import pytest
import torch
from torch.nn import functional as F

PAGE = "docs/training.md"


def common() -> dict[str, Any]:
    watched = lab.watched(2)
    model = lab.Net()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)

    def update(engine: Any, batch: Any) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()

    def train(model: Any, loader: Any) -> None:
        for batch in loader:
            update(None, batch)

    named = {"x": watched["x"], "y": watched["truth"], "names": watched["class_names"], "model": model}
    return {**named, "loader": lab.shuffled(), "update": update, "train": train}


def loop() -> dict[str, Any]:
    return common()


def lightning() -> dict[str, Any]:
    from test_lightning import Lit

    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return {**common(), "module": Lit(), "quiet": options}


def transformers() -> dict[str, Any]:
    from test_transformers import net

    options = {"use_cpu": True, "disable_tqdm": True, "save_strategy": "no"}
    return {**common(), "classifier": net(), "data": lab.Pictures(as_dict=True), "quiet": options}


@pytest.mark.parametrize(
    ("heading", "names", "steps"),
    [
        ("A loop of your own", loop, [0, 1, 2]),
        ("Lightning", lightning, [0, 1, 2]),
        ("Transformers", transformers, [1, 2, 3]),
        ("Ignite", common, [1, 2, 3]),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*LeafSpec.*is deprecated")
def test_the_code(heading, names, steps, tmp_path, monkeypatch):
    name = heading.lower() if names is not loop else "loop"
    if names is not loop:
        pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    pages.run(PAGE, heading, names())
    rows = [json.loads(line) for line in (tmp_path / "runs" / name / "manifest.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [step for step in steps for _ in range(2)]
    assert {row["truth_name"] for row in rows} == {"ant", "bee"}


def test_the_table_names_tests_that_exist():
    named = re.findall(r"\]\((\.\./tests/training/\w+\.py)\)", pages.text(PAGE, "What stays the same"))
    assert len(named) == 5
    assert all(((pages.ROOT / PAGE).parent / path).is_file() for path in named)
