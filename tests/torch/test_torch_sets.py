"""Data sets and loaders of torch as sources of `explain_dataset`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recorder import Recorder
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torch_nets import ConvGapDense, gradcam

import xaicore

pytest.importorskip("pyarrow")

from pyarrow import parquet

COUNT, CLASSES = 7, 3
X = torch.rand(COUNT, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(COUNT) % CLASSES


class Items(Dataset):
    def __len__(self):
        return COUNT

    def __getitem__(self, position):
        return X[position], int(Y[position])


class Stream(IterableDataset):
    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        mine = range(COUNT) if info is None else range(info.id, COUNT, info.num_workers)
        return ((X[n], int(Y[n])) for n in mine)


def rows(out):
    return [row for part in sorted((out / "parts").glob("*.parquet")) for row in parquet.read_table(part).to_pylist()]


def run(source, out, **options):
    model = ConvGapDense(CLASSES).eval()
    return model, xaicore.explain_dataset(model, source, out, layer="relu2", shard_size=4, batch_size=2, **options)


@pytest.mark.parametrize(
    "source",
    [
        Items(),
        TensorDataset(X, Y),
        DataLoader(Items(), batch_size=3, num_workers=2, persistent_workers=True),
        DataLoader(TensorDataset(X, Y), batch_size=None),
        DataLoader(Items(), batch_size=3, collate_fn=torch.utils.data.default_collate),
        DataLoader(
            Items(), 3, collate_fn=lambda batch: {"x": torch.stack([x for x, _ in batch]), "label": [batch[0][1]]}
        ),
        Stream(),
        DataLoader(Stream(), batch_size=3),
        DataLoader(Stream(), batch_size=None),
    ],
    ids=[
        *("dataset", "tensors", "loader", "no batches", "default_collate", "collate_fn"),
        *("stream", "loader of a stream", "stream without batches"),
    ],
)
def test_maps_are_those_of_the_inputs(tmp_path, source, unchanged):
    torch.manual_seed(0)
    model = ConvGapDense(CLASSES).eval()
    with unchanged(model):
        xaicore.explain_dataset(model, source, tmp_path, layer="relu2", shard_size=4, batch_size=2)
    found = rows(tmp_path)
    assert [row["id"] for row in found] == [str(n) for n in range(COUNT)]
    assert [row["truth"] for row in found] == [[label] for label in Y.tolist()]
    maps = gradcam(model, X, np.array([[row["prediction"]] for row in found]))[:, 0]
    for row, expected in zip(found, maps, strict=True):
        got = np.array(row["map"], np.float32).reshape(row["map_shape"]) * row["maximum"]
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6)


def test_a_part_of_a_data_set_has_its_own_positions(tmp_path):
    run(Subset(Items(), [5, 2]), tmp_path)
    assert [row["truth"] for row in rows(tmp_path)] == [[2], [2]]
    assert [row["id"] for row in rows(tmp_path)] == ["0", "1"]


def test_a_loader_that_shuffles_is_refused_and_its_generator_stays(tmp_path):
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(Items(), batch_size=3, shuffle=True, generator=generator)
    state = generator.get_state()
    with pytest.raises(xaicore.InputError, match=r"by a RandomSampler, .* Pass the data set, source\.dataset"):
        run(loader, tmp_path)
    assert torch.equal(generator.get_state(), state)
    run(loader.dataset, tmp_path)  # as the message says


def test_draws_of_a_data_set_do_not_reach_the_caller(tmp_path):
    class Drawing(Items):
        def __getitem__(self, position):
            torch.rand(3)
            return super().__getitem__(position)

    torch.manual_seed(5)
    state = torch.get_rng_state()
    model = ConvGapDense(CLASSES).eval()
    torch.set_rng_state(state)
    xaicore.explain_dataset(model, Drawing(), tmp_path, layer="relu2")
    assert torch.equal(torch.get_rng_state(), state)


def test_two_processes_read_a_data_set(tmp_path):
    run(TensorDataset(X, Y), tmp_path / "one")
    xaicore.explain_dataset(
        ConvGapDense(CLASSES).eval(),
        TensorDataset(X, Y),
        tmp_path / "two",
        layer="relu2",
        shard_size=4,
        batch_size=2,
        workers=2,
    )
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def test_a_loader_of_a_stream_keeps_its_workers_and_their_order(tmp_path):
    run(DataLoader(Stream(), batch_size=2, num_workers=2), tmp_path)
    assert [row["truth"] for row in rows(tmp_path)] == [[int(Y[n])] for n in (0, 2, 1, 3, 4, 6, 5)]


POOLS = {
    "dataset": Items,
    "tensors": lambda: TensorDataset(X, Y),
    "loader with workers": lambda: DataLoader(Items(), batch_size=3, num_workers=2, persistent_workers=True),
    "own collate_fn": lambda: DataLoader(
        Items(), 3, collate_fn=lambda batch: {"x": torch.stack([x for x, _ in batch]), "label": [y for _, y in batch]}
    ),
    "shuffled": lambda: DataLoader(Items(), 3, shuffle=True, generator=torch.Generator().manual_seed(3)),
    "stream": Stream,
    "loader of a stream with workers": lambda: DataLoader(Stream(), batch_size=2, num_workers=2),
}


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_of_a_monitor_has_the_same_elements(name, unchanged):
    torch.manual_seed(0)
    model, pool, log = ConvGapDense(CLASSES).eval(), POOLS[name](), Recorder()
    state = torch.get_rng_state()
    generator = getattr(pool, "generator", None)
    drawn = None if generator is None else generator.get_state()
    with unchanged(model), torch.no_grad():
        p = model(X).softmax(1)[range(COUNT), Y].numpy()
    with xaicore.Monitor(model, X[:1], worst=COUNT, pool=pool, loggers=[log], layer="relu2", batch_size=2) as monitor:
        for step in range(2):
            _, worst = monitor.step(step)
            np.testing.assert_array_equal(worst.truth, Y.numpy()[np.argsort(p, kind="stable")])
    order = {"shuffled": None, "loader of a stream with workers": [0, 2, 1, 3, 4, 6, 5]}.get(name, range(COUNT))
    if order is not None:
        assert [order[int(one)] for one in worst.ids] == np.argsort(p, kind="stable").tolist()
    assert torch.equal(torch.get_rng_state(), state)
    assert generator is None or torch.equal(generator.get_state(), drawn)
    assert getattr(pool, "_iterator", None) is None  # workers that persist are the training's


def test_folders_of_torchvision_have_paths_labels_and_names(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    pillow = pytest.importorskip("PIL.Image")
    draws = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "val" / name).mkdir(parents=True)
        for n in range(2):
            picture = pillow.fromarray(draws.integers(0, 255, (8, 8), dtype=np.uint8))
            picture.save(tmp_path / "val" / name / f"{n}.png")
    folder = torchvision.datasets.ImageFolder(tmp_path / "val")
    gray = [torchvision.transforms.Grayscale(), torchvision.transforms.ToTensor()]
    transform = torchvision.transforms.Compose(gray)
    prepared = torchvision.datasets.ImageFolder(tmp_path / "val", transform)

    def preprocess(picture):
        return transform(pillow.fromarray(picture)), picture

    names = ["bird", "cat", "dog"]
    run(folder, tmp_path / "pictures", preprocess=preprocess, class_names=names, targets="truth")
    run(DataLoader(prepared, 3), tmp_path / "inputs", class_names=names, targets="truth")
    found = rows(tmp_path / "pictures")
    assert [row["path"] for row in found] == [row["id"] for row in found] == [path for path, _ in folder.samples]
    assert [row["truth_names"] for row in found] == [["cat"], ["cat"], ["dog"], ["dog"]]
    assert [row["target"] for row in found] == [1, 1, 2, 2]
    inputs = rows(tmp_path / "inputs")
    assert [(row["id"], row["target"], row["map"]) for row in inputs] == [
        (row["id"], row["target"], row["map"]) for row in found
    ]
