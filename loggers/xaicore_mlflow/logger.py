"""The logger `mlflow`: pictures with a slider over the steps, curves, and tables.

    image     xaicore/<id>/overlay <k> <method> <layer>   heatmap over picture
              xaicore/<id>/heatmap <k> <method> <layer>   the heatmap alone
    metric    xaicore/score/<id> <k>                      and raw_score
              xaicore/right                               the share of pictures that are predicted right
    artifact  xaicore/predictions/step_000003.csv         all rows of a step, with the keys of their images
              xaicore/run.json                            what the run is about

Keys of a group begin with xaicore-<group> and have ranks instead of ids, because its ids change from step to step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import mlflow
import numpy as np
from mlflow.entities import Metric

import xaicore
from xaicore import show
from xaicore_mlflow import table
from xaicore_mlflow.server import address, reach

__all__ = ["MLflowLogger"]


class MLflowLogger(xaicore.Tracker):
    """Adds explanations to a run of MLflow.

    The run is `run_id`, else, without a `tracking_uri`, the one that is active in the thread that opens the logger,
    else MLFLOW_RUN_ID; these are never ended. Else a new one called `run.name` is started, and finished by `close`.

    Images are there when `log` returns, numbers and the table at the next `flush`, step or `close`. Where a step is
    logged twice, the table is replaced; MLflow keeps the images and numbers of both, and shows the later images.
    Without a step, it is 0. `open`, `log`, `flush` and `close` raise a LoggerError if the server does not answer, and
    an MlflowException if MLflow refuses.

    Args:
        run_id: a run to add to, such as that of a trainer's own logger, which is not MLflow's active run.
        experiment: the name of the experiment of a new run; made if there is none. MLflow's current one when None.
        tracking_uri: where the run is, or a new one starts; MLflow's current one when None.
        drawing: `colormap`, `alpha`, `outline` and `diverging` as in `xaicore.Drawing`.

    Raises:
        PluginError: an option is unknown.
        InputError: an option has a value out of range.
    """

    name = "mlflow"
    no_step = 0

    def __init__(
        self,
        run_id: str | None = None,
        experiment: str | None = None,
        tracking_uri: str | None = None,
        **drawing: Any,
    ) -> None:
        super().__init__(**drawing)
        self._run_id, self._experiment, self._tracking_uri = run_id, experiment, tracking_uri

    def connect(self, run: xaicore.Run) -> None:
        """Find the run or start one."""
        client = mlflow.MlflowClient(self._tracking_uri)
        reach(client.tracking_uri)
        joined = self._run_id or self._current_run()
        if joined is None:
            info = client.create_run(self._experiment_id(client), run_name=run.name).info
        else:
            info = client.get_run(joined).info
        self._id, self._started = info.run_id, joined is None
        client.log_text(self._id, run.to_json(), "xaicore/run.json")
        self.where = address(client.tracking_uri, info.experiment_id, self._id)
        self._client = client

    def check_open(self) -> None:
        """Raise a LoggerError unless the logger is open and the server answers."""
        super().check_open()
        reach(self._client.tracking_uri, pauses=(0, 1, 4))

    def log_map(self, row: dict[str, Any], images: Mapping[str, np.ndarray]) -> None:
        """Send the images of a map."""
        for kind in ("heatmap", "overlay"):
            if kind in images:
                key = table.images_key(row, kind)
                self._client.log_image(self._id, images[kind], key=key, step=row["step"], synchronous=True)

    def log_step(self, step: int | None, rows: Sequence[dict[str, Any]]) -> None:
        """Send scores, which several methods share, the share of right predictions of each group, and the table."""
        assert step is not None  # `no_step` is 0
        values: dict[str, float] = {}
        for group, of_group in show.by_group(rows).items():
            for row in show.by_target(of_group):
                values |= {table.metric_key(row, name): value for name, value in show.scores(row).items()}
            right = show.mean(of_group, "right")
            if right is not None:
                values[f"{table.prefix(group)}/right"] = right
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics, synchronous=True)
        self._client.log_text(self._id, table.to_csv(rows), f"xaicore/predictions/step_{step:06d}.csv")

    def disconnect(self) -> None:
        """Finish the run if `connect` started it."""
        if self._started:
            self._client.set_terminated(self._id, "FINISHED")

    def _current_run(self) -> str | None:
        if self._tracking_uri is not None:
            return None
        active = mlflow.active_run()
        return os.environ.get("MLFLOW_RUN_ID") if active is None else active.info.run_id

    def _experiment_id(self, client: mlflow.MlflowClient) -> str:
        """The experiment of a new run, as `mlflow.start_run` chooses it; `mlflow.set_experiment` sets the variable."""
        current = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if current is not None and self._experiment is None and self._tracking_uri is None:
            return current
        name = self._experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        if name is None:
            return "0"
        found = client.get_experiment_by_name(name)
        return client.create_experiment(name) if found is None else found.experiment_id
