"""The logger `mlflow`: pictures with a slider over the steps, curves, and tables.

images xaicore/<id>/<k>/<method>/<layer>/overlay    heatmap over picture; and heatmap, which is it alone
metrics xaicore/score/<id>/<k>                      and raw_score
        xaicore/right                               the share of pictures that are predicted right
artifacts xaicore/predictions/step_000003.csv       all rows of a step, with the key of their images
          xaicore/run.json                          what the run is about
all of xaicore-worst/...                            of a group, by rank instead of id, for the ids change
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
from mlflow.entities import Metric

import xaicore
from xaicore_mlflow import table
from xaicore_mlflow.server import reach

__all__ = ["MLflowLogger"]

OPTIONS = "run_id, experiment, tracking_uri, colormap, alpha"


class MLflowLogger(xaicore.Logger):
    """Adds explanations to a run of MLflow.

    The run is `run_id`, else, without a `tracking_uri`, the one that is active in the thread that opens the logger,
    else MLFLOW_RUN_ID; these are never ended. Else a new one called `run.name` is started, and finished by `close`.

    Images are there when `log` returns, numbers and the table at the next `flush`, step or `close`. Where a step is
    logged twice, the table is replaced; MLflow keeps the images and numbers of both, and shows the later images. No
    step is step 0.

    Args:
        run_id: a run to add to; that of a trainer's own logger, for instance, which MLflow does not call active.
        experiment: the name of the experiment of a new run; made if there is none. MLflow's current one when None.
        tracking_uri: where the run is, or a new one starts; MLflow's current one when None.
        colormap: of overlays and heatmaps.
        alpha: the overlay's opacity at the maximum.

    Raises:
        PluginError: an option is unknown.
        InputError: an option has a value that it cannot have.
    """

    def __init__(
        self,
        run_id: str | None = None,
        experiment: str | None = None,
        tracking_uri: str | None = None,
        colormap: str = "viridis",
        alpha: float = 0.5,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise xaicore.PluginError(
                f"the mlflow logger has no option {', '.join(map(repr, unknown))}; known: {OPTIONS}"
            )
        # The core knows what it takes; asked now, it spares the user an error in the middle of a run.
        xaicore.overlay.blend(np.zeros((1, 1, 1, 3), np.uint8), np.zeros((1, 1, 1)), colormap, alpha)
        self._run_id, self._experiment, self._tracking_uri = run_id, experiment, tracking_uri
        self._colormap, self._alpha = colormap, alpha
        self._client: mlflow.MlflowClient | None = None

    def open(self, run: xaicore.Run) -> None:
        """Find the run or start one.

        Raises:
            LoggerError: the server does not answer.
            MlflowException: MLflow refuses.
        """
        client = mlflow.MlflowClient(self._tracking_uri)
        reach(client.tracking_uri)
        joined = self._run_id or self._current_run()
        if joined is None:
            self._id = client.create_run(self._experiment_id(client), run_name=run.name).info.run_id
        else:
            self._id = client.get_run(joined).info.run_id
        self._ours = joined is None
        self._step = 0
        self._rows: dict[str, dict[str, Any]] = {}
        about = {"name": run.name, "started": run.started, "config": dict(run.config), "versions": dict(run.versions)}
        client.log_text(self._id, json.dumps(about, indent=2, default=str), "xaicore/run.json")
        self._client = client

    def log(self, explanation: xaicore.Explanation, step: int | None = None) -> None:
        """Send the images of an explanation, one after the other, so that memory stays what it is.

        Raises:
            LoggerError: the server does not answer.
            MlflowException: MLflow refuses.
        """
        client = self._opened()
        step = 0 if step is None else int(step)
        if step != self._step:
            self._ship_numbers(client)
            self._step = step
        group = explanation.group
        head = "xaicore" if group is None else f"xaicore-{table.part(group, 16)}"
        how = f"{table.part(explanation.method, 16)} {table.part(explanation.layer, 24)}"
        for n, name in enumerate(explanation.ids):
            one = explanation.take([n])
            place = table.part(name) if group is None else str(n)
            for k in range(len(one)):
                found = {**one.row(k), "head": head, "place": place, "images": f"{head}/{place}/* {k} {how}"}
                self._rows[found["images"]] = found
            for k, kind, picture in self._pictures(one):
                client.log_image(self._id, picture, key=f"{head}/{place}/{kind} {k} {how}", step=step, synchronous=True)

    def flush(self) -> None:
        """Send the step's numbers and table.

        Raises:
            LoggerError: the server does not answer.
            MlflowException: MLflow refuses.
        """
        self._ship_numbers(self._opened())

    def close(self) -> None:
        """Send what is left, and finish the run if `open` started it.

        Raises:
            LoggerError: the server does not answer.
            MlflowException: MLflow refuses.
        """
        client = self._opened()
        self._client = None
        try:
            self._ship_numbers(client)
        finally:
            if self._ours:
                client.set_terminated(self._id, "FINISHED")

    def _opened(self) -> mlflow.MlflowClient:
        if self._client is None:
            raise xaicore.LoggerError(
                "the mlflow logger is not open; write: with xaicore.open_loggers('mlflow') as log"
            )
        reach(self._client.tracking_uri, pauses=(0, 1, 4))
        return self._client

    def _current_run(self) -> str | None:
        if self._tracking_uri is not None:
            return None
        active = mlflow.active_run()
        return os.environ.get("MLFLOW_RUN_ID") if active is None else active.info.run_id

    def _experiment_id(self, client: mlflow.MlflowClient) -> str:
        """As `mlflow.start_run` has it; `mlflow.set_experiment` sets the variable."""
        current = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if current is not None and self._experiment is None and self._tracking_uri is None:
            return current
        name = self._experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        if name is None:
            return "0"
        found = client.get_experiment_by_name(name)
        return client.create_experiment(name) if found is None else found.experiment_id

    def _pictures(self, one: xaicore.Explanation) -> Iterator[tuple[int, str, np.ndarray]]:
        """Of one image's targets: nothing where maps are not two-dimensional, no overlays where there is no picture."""
        if one.maps.ndim != 3:
            return
        drawn = {"heatmap": xaicore.overlay.colorize(one.heatmaps(), self._colormap)}
        if one.images is not None:
            drawn["overlay"] = one.overlays(self._colormap, self._alpha)
        for kind, pictures in drawn.items():
            for k, picture in enumerate(pictures):
                yield k, kind, picture

    def _ship_numbers(self, client: mlflow.MlflowClient) -> None:
        rows, self._rows = self._rows, {}
        if not rows:
            return
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, self._step) for name, value in _metrics(list(rows.values())).items()]
        client.log_batch(self._id, metrics=metrics, synchronous=True)
        client.log_text(self._id, table.to_csv(rows.values()), f"xaicore/predictions/step_{self._step:06d}.csv")


def _metrics(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of a step: the scores, which several methods share, and of each group the share of right."""
    values: dict[str, float] = {}
    right: dict[str, dict[str, bool]] = {}
    for row in rows:
        for name in ("score", "raw_score"):
            if math.isfinite(row[name]):
                values[f"{row['head']}/{name}/{row['place']} {row['k']}"] = row[name]
        if (is_right := table.is_right(row)) is not None:
            right.setdefault(row["head"], {})[row["place"]] = is_right
    return values | {f"{head}/right": sum(known.values()) / len(known) for head, known in right.items()}
