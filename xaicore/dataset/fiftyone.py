"""An outlet to FiftyOne: one sample per picture, with its heatmaps, prediction, truth and boxes as FiftyOne's labels.

FiftyOne stretches a heatmap over the whole picture of a sample. So that picture is the one that the model saw: the
file, where its sketch shows that the model saw all of it, else what the run's preprocessing makes of it, in a folder.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.dataset.means import maps_in
from xaicore.dataset.pictures import seen_in
from xaicore.dataset.questions import Questions
from xaicore.dataset.schema import COLUMNS
from xaicore.dataset.seen import Seen, check_files
from xaicore.errors import DependencyError, InputError, LoggerError
from xaicore.pictures import Preparation
from xaicore.show import png, safe_name

__all__ = ["samples_of", "write_fiftyone"]

BATCH = 256
"""Pictures in memory at once."""


def write_fiftyone(
    table: Questions, name: str, *, preprocess: Callable[..., Any] | str | None = None, folder: Path | None = None
) -> Any:
    """Make a dataset of FiftyOne of a table's pictures; see `MapTable.to_fiftyone`.

    Raises:
        InputError: there is such a dataset, or a picture is not what the model saw.
        DependencyError: FiftyOne is not installed, or its database does not start.
    """
    try:
        import fiftyone
    except ImportError as exc:
        raise DependencyError(f"to_fiftyone needs FiftyOne: {exc}; pip install fiftyone") from exc
    try:
        is_there = fiftyone.dataset_exists(name)
    except Exception as exc:  # of many kinds, by what is wrong with the database
        raise DependencyError(
            f"FiftyOne's database does not answer: {exc}; FiftyOne's documentation says how to set database_uri"
        ) from exc
    if is_there:
        raise InputError(
            f"FiftyOne has a dataset {name!r}: pass another name, or delete it, fiftyone.delete_dataset({name!r})"
        )
    samples = samples_of(table, fiftyone, Preparation.of(preprocess), folder or table.folder / "seen")
    first = next(samples, None)  # before there is a dataset: what is wrong with one picture is wrong with most
    dataset = fiftyone.Dataset(name, persistent=True)
    if first is not None:
        dataset.add_samples(itertools.chain([first], samples))
    return dataset


def samples_of(table: Questions, fiftyone: Any, preparation: Preparation | None, folder: Path) -> Iterator[Any]:
    """A sample per picture that has a map.

    Args:
        table: of maps and errors.
        fiftyone: the library.
        preparation: the run's preprocessing; None where the model saw whole files.
        folder: for pictures that the preprocessing makes.

    Raises:
        InputError: a file is gone, or not what the model saw.
        LoggerError: the folder cannot be written.
    """
    for some in table.filter(~table.is_error()).by_pictures(BATCH):
        rows = some.to_arrow(tuple(COLUMNS))
        seen = {one.id: one for one in seen_in(rows)}
        check_files(list(seen.values()))
        of_pictures: dict[str, list[dict[str, Any]]] = {}
        for i, row in enumerate(rows.drop_columns(["map"]).to_pylist()):
            row["map"] = maps_in(rows.slice(i, 1), tuple(row["map_shape"]))[0]
            of_pictures.setdefault(row["id"], []).append(row)
        for name, of in of_pictures.items():
            yield _sample(fiftyone, of, _file(seen[name], preparation, folder))


def _sample(fo: Any, rows: Sequence[dict[str, Any]], path: str) -> Any:
    first = rows[0]
    fields: dict[str, Any] = {"xaicore_id": first["id"], "right": first["right"]}
    if first["prediction"] is not None:
        score = first["score"] if first["prediction"] == first["target"] else None
        fields["prediction"] = fo.Classification(label=first["prediction_name"], confidence=score)
    if first["truth"] is not None:
        labels = [fo.Classification(label=one) for one in first["truth_names"]]
        fields["truth"] = labels[0] if len(labels) == 1 else fo.Classifications(classifications=labels)
    if first["true_boxes"]:
        label = first["truth_names"][0] if first["truth"] and len(first["truth"]) == 1 else None
        fields["true_boxes"] = fo.Detections(
            detections=[fo.Detection(label=label, bounding_box=_share(box, first)) for box in first["true_boxes"]]
        )
    found = [row for row in rows if row["target_box"] is not None]
    if found:
        fields["target_boxes"] = fo.Detections(
            detections=[
                fo.Detection(
                    label=row["target_name"], bounding_box=_share(row["target_box"], row), confidence=row["score"]
                )
                for row in found
            ]
        )
    for row in rows:
        fields[_field(row)] = fo.Heatmap(
            map=row["map"],
            range=[-1.0 if row["signed"] else 0.0, 1.0],
            **{key: row[key] for key in ("target_name", "score", "share", "evidence", "method", "layer")},
        )
    return fo.Sample(filepath=path, **fields)


def _field(row: dict[str, Any]) -> str:
    """The name of a map's field: "gradcam", and "gradcam_2" for the third target; letters and digits alone."""
    name = safe_name(row["method"], allowed="A-Za-z0-9_").replace("-", "_")
    return name if row["k"] == 0 else f"{name}_{row['k']}"


def _share(box: Sequence[float], row: dict[str, Any]) -> list[float]:
    """A box of corners in pixels as x, y, width and height in shares of the picture."""
    height, width = row["input_size"]
    x0, y0, x1, y1 = box
    return [x0 / width, y0 / height, (x1 - x0) / width, (y1 - y0) / height]


def _file(seen: Seen, preparation: Preparation | None, folder: Path) -> str:
    picture: np.ndarray = seen.read(preparation)
    assert seen.path is not None
    if preparation is None:
        return str(Path(seen.path).absolute())
    path = folder / f"{safe_name(seen.id)}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(picture))
    except OSError as exc:
        raise LoggerError(f"cannot write {path}: {exc.strerror or exc}; pass folder=, one that is writable") from exc
    return str(path.absolute())
