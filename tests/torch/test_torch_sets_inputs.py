"""Data sets whose elements are the inputs of a model of several: explained as an `Explainer` explains the same."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest
import torch
from recorder import Recorder
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

import xaicore

pytest.importorskip("pyarrow")

from xaicore.dataset.rows import rows_of
from xaicore.dataset.schema import COLUMNS

COUNT, CLASSES = 6, 3
rng = np.random.default_rng(0)
IMAGES = rng.normal(size=(COUNT, 3, 8, 9)).astype(np.float32)
META = rng.normal(size=(COUNT, 5)).astype(np.float32)
AGES = [float(n) for n in range(COUNT)]
Y = [n % CLASSES for n in range(COUNT)]
Pair = namedtuple("Pair", "image meta")


class WithMeta(nn.Module):
    """The number comes first, so that the picture is not what is first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = nn.Conv2d(3, 4, 3), nn.Linear(4 + 5, CLASSES)

    def forward(self, meta: torch.Tensor, image: torch.Tensor, age: torch.Tensor | None = None) -> torch.Tensor:
        found = torch.cat([torch.relu(self.conv(image)).mean((2, 3)), meta], 1)
        return self.dense(found if age is None else found * age.float()[:, None])


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return WithMeta().eval()


class Items(Dataset):
    def __init__(self, form):
        self.form = form

    def __len__(self):
        return COUNT

    def __getitem__(self, n):
        return self.form(n)


class Stream(IterableDataset):
    def __iter__(self):
        return (((META[n], torch.tensor(IMAGES[n])), Y[n]) for n in range(COUNT))


def pair(n):
    return (torch.tensor(META[n]), IMAGES[n]), Y[n]


def named(n):
    return {"image": IMAGES[n], "meta": META[n], "age": AGES[n]}, Y[n]


def in_tuples(some):
    """A batch whose inputs are a tuple, which default_collate makes a list of."""
    inputs = zip(*((torch.as_tensor(meta), image) for (meta, image), _ in some), strict=True)
    return tuple(map(torch.stack, inputs)), [label for _, label in some]


def assert_as_called(table: xaicore.MapTable, explanation: xaicore.Explanation) -> None:
    """All columns, bit for bit."""
    positions = [int(name) for name in explanation.ids]
    assert table.to_arrow(list(COLUMNS)).to_pylist() == rows_of(explanation, positions=positions).to_pylist()


@pytest.mark.parametrize(
    "source",
    [
        Items(pair),
        Items(lambda n: (Pair(META[n], IMAGES[n])._replace(), Y[n])),
        DataLoader(Items(pair), batch_size=4),
        DataLoader(Items(pair), batch_size=None),
        Stream(),
        DataLoader(Stream(), batch_size=4, collate_fn=in_tuples),
    ],
    ids=["tuples", "named tuples", "loader", "no batches", "stream", "collate_fn of a stream"],
)
def test_a_tuple_is_positional_arguments(tmp_path, model, source):
    table = xaicore.explain_dataset(model, source, tmp_path / "out", batch_size=COUNT)
    assert_as_called(table, xaicore.Explainer(model)((META, IMAGES), truth=Y))


def test_a_dict_is_keyword_arguments(tmp_path, model):
    table = xaicore.explain_dataset(model, Items(named), tmp_path / "out", batch_size=COUNT)
    x = {"image": IMAGES, "meta": META, "age": np.array(AGES)}
    assert_as_called(table, xaicore.Explainer(model)(x, truth=Y))


def test_rows_of_several_batches_and_processes_are_the_same(tmp_path, model, unchanged):
    with unchanged(model):
        one = xaicore.explain_dataset(model, Items(pair), tmp_path / "one", batch_size=2, shard_size=2)
    assert_as_called(one.filter(lambda row: row["position"] in (2, 3)), part(model, slice(2, 4)))
    xaicore.explain_dataset(model, Items(pair), tmp_path / "some", batch_size=2, shard_size=2, shard="1/3")
    two = xaicore.explain_dataset(
        model, Items(pair), tmp_path / "some", batch_size=2, shard_size=2, workers=1, resume=True
    )
    assert two.to_arrow(list(COLUMNS)).equals(one.to_arrow(list(COLUMNS)))


def part(model, some):
    ids = [str(n) for n in range(COUNT)][some]
    found = xaicore.Explainer(model)((META[some], IMAGES[some]), truth=Y[some], ids=ids)
    return found


def test_a_broken_element_is_a_row_with_its_error(tmp_path, model):
    def form(n):
        return ((META[n][: 4 if n == 1 else 5], IMAGES[n]), Y[n]) if n != 3 else ((META[n], "a.png"), Y[n])

    table = xaicore.explain_dataset(model, Items(form), tmp_path / "out", batch_size=2)
    errors = {row["id"]: row["error"] for row in table.errors().to_arrow(["id", "error"]).to_pylist()}
    assert sorted(errors) == ["1", "3"]
    assert "(1, 4) float32, (1, 3, 8, 9) float32: " in errors["1"]  # of the model
    assert errors["3"].startswith("source[3] holds a str among several inputs: expected arrays, tensors and numbers")
    assert table.counts.maps == COUNT - 2


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (
            lambda n: (IMAGES[n], IMAGES[n]),
            r"source\[0\] has the label .*: expected a class, or one value per class; a",
        ),
        (lambda n: ([META[n], IMAGES[n]], Y[n]), "A list is one argument: pass a tuple"),
        (lambda n: ((IMAGES[n], META[n]), Y[n]), "the model raised"),
        (lambda n: (({}, ()), Y[n]), r"source\[0\] is a tuple of 2: expected x"),
        (lambda n: ((META[n], None), Y[n]), r"source\[0\] holds a NoneType among several inputs"),
    ],
)
def test_what_the_model_does_not_take_is_refused(tmp_path, model, form, message):
    with pytest.raises(xaicore.XaicoreError, match=message):
        xaicore.explain_dataset(model, Items(form), tmp_path / "out")


def test_lists_that_a_loader_makes_of_tuples_are_refused(tmp_path, model):
    loader = DataLoader(Stream(), batch_size=4)
    with pytest.raises(xaicore.InputError, match=r"pass its data set, source\.dataset, which is read forward, too"):
        xaicore.explain_dataset(model, loader, tmp_path / "out")
    assert len(xaicore.explain_dataset(model, loader.dataset, tmp_path / "out")) == COUNT  # as the message says


def test_pictures_among_several_inputs_are_refused(tmp_path, model):
    pillow = pytest.importorskip("PIL.Image")
    picture = pillow.new("RGB", (9, 8))
    message = r"source\[0\] holds a picture, a PIL\.Image\.Image, among several inputs: .*; prepare it in the data set"
    with pytest.raises(xaicore.InputError, match=message):
        xaicore.explain_dataset(model, Items(lambda n: ((META[n], picture), Y[n])), tmp_path / "out")
    message = r"source\[0\] is a tuple of 0: float32 \(5,\), 1: float32 \(3, 8, 9\), the model's own input, and prepro"
    with pytest.raises(xaicore.InputError, match=message):
        xaicore.explain_dataset(model, Items(pair), tmp_path / "out", preprocess=lambda picture: picture)


def test_a_resume_with_other_inputs_is_refused(tmp_path, model):
    xaicore.explain_dataset(model, Items(pair), tmp_path / "out", shard="0/1")
    changed = Items(lambda n: ((META[n] + 1, IMAGES[n]), Y[n]))
    with pytest.raises(xaicore.InputError, match="the first or the last element of the data set"):
        xaicore.explain_dataset(model, changed, tmp_path / "out", resume=True)


def test_a_pool_of_a_monitor_has_the_same_inputs(model):
    found = []
    for pool in (((META, IMAGES), Y), Items(pair), DataLoader(Items(pair), batch_size=4), Stream()):
        options = {"worst": 3, "pool": pool, "loggers": [Recorder()], "beside": False, "batch_size": 2}
        with xaicore.Monitor(model, (META[:1], IMAGES[:1]), **options) as monitor:
            _, worst = monitor.step(0)
        found.append((worst.ids, worst.maps.tolist()))
    assert len(found[0][0]) == 3
    assert all(one == found[0] for one in found)


def test_inputs_of_a_pool_that_differ_in_shape_are_refused(model):
    pool = Items(lambda n: ((META[n][: 4 if n == 1 else 5], IMAGES[n]), Y[n]))
    options = {"worst": 3, "pool": pool, "loggers": [Recorder()], "beside": False, "batch_size": 2}
    message = (
        r"0 is a tuple of 0: float32 \(5,\), .*, and 1 is a tuple of 0: float32 \(4,\), .*: a batch needs one shape"
    )
    with pytest.warns(RuntimeWarning, match=message):
        with xaicore.Monitor(model, (META[:1], IMAGES[:1]), **options) as monitor:
            monitor.step(0)
