"""MLflow: settings, losses, scores and figures, into the database that `mlflow ui` shows."""

import os
import re
import time
from typing import Any

from latens.runs import Run
from latens.trackers.told import check_packages, figures_of, losses_of, scores_of, settings_of
from latens.training import Step

__all__ = ["MLflowTracker"]


class MLflowTracker:
    """Writes to MLFLOW_TRACKING_URI, or to mlflow.db in the current folder, as the experiment `latens`."""

    def __init__(self, run: Run) -> None:
        self.check()
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
        import mlflow
        from mlflow.tracking import MlflowClient

        place = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
        self.client: Any = MlflowClient(place)
        self.metric: Any = mlflow.entities.Metric
        name, tag = os.environ.get("MLFLOW_EXPERIMENT_NAME", "latens"), str(run.path.resolve())
        found = self.client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self.client.create_experiment(name)
        there = self.client.search_runs([experiment], f"tags.`latens.run` = '{tag}'") if "'" not in tag else []
        made = there[0] if there else self.client.create_run(experiment, tags={"latens.run": tag}, run_name=run.name)
        self.id = made.info.run_id
        for key, value in {} if there else settings_of(run).items():
            self.client.log_param(self.id, key, value)

    @staticmethod
    def check() -> None:
        """See `Tracker.check`."""
        check_packages("mlflow", "mlflow", "sqlalchemy", "alembic")

    def step(self, step: Step) -> None:
        """See `Tracker.step`."""
        self._log(losses_of(step), step.epoch)

    def end(self, run: Run) -> None:
        """See `Tracker.end`."""
        self._log(scores_of(run), run.record["result"].get("epochs", 0))
        for _, path in figures_of(run):
            self.client.log_artifact(self.id, str(path), "figures")
        self.client.set_terminated(self.id)

    def _log(self, values: dict[str, float], epoch: int) -> None:
        now = int(time.time() * 1000)
        named = {re.sub(r"[^\w./ :-]", "_", name): value for name, value in values.items()}  # the letters that it takes
        self.client.log_batch(self.id, [self.metric(name, value, now, epoch) for name, value in named.items()])
