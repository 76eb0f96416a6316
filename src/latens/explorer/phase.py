"""What a run that is being made is at: training, latents, maps, samplers and scores, report. By its folder alone."""

from latens.errors import RunError, UsageError
from latens.explorer.view import FIRST_MAPS, View
from latens.explorer.wire import Answer
from latens.runs import Run

__all__ = ["phase", "stop"]


def phase(view: View) -> Answer:
    """`Phase` of the page's types.js."""
    run = Run(view.run.path)  # what the folder holds now
    status, files, worked_on = run.record["status"], run.record["files"], run.folder.worked_on
    name = _name(status, files, worked_on)
    epochs = run.recipe.config.epochs
    return Answer(
        {
            "phase": name,
            "status": status,
            "error": run.record.get("error", ""),
            "epoch": len(run.history) if name == "training" else run.record["result"].get("epochs", 0),
            "epochs": epochs,
            "stopping": run.folder.stop_asked,
            "mapped": view.ready,
            "work": view.work.as_json(),
        }
    )


def _name(status: str, files: dict[str, str], worked_on: bool) -> str:
    if status in ("done", "diverged"):
        return status
    if not worked_on:
        return "stopped" if status == "stopped" else "broken off"
    if status == "training":
        return "training"
    if "latents.npz" not in files:
        return "latents"
    if any(f"maps/{name}.npz" not in files for name in FIRST_MAPS):
        return "maps"
    return "scores" if "metrics.json" not in files else "report"


def stop(view: View) -> Answer:
    """Ask that the training ends after its epoch; the run is then completed as it is. See `phase` for the answer.

    Raises:
        UsageError: it is not being trained.
    """
    run = Run(view.run.path)
    if run.record["status"] != "training" or not run.folder.worked_on:
        raise UsageError(f"{run.name} is not being trained at the moment, so there is nothing to stop")
    try:
        run.folder.ask_to_stop()
    except OSError as error:
        raise RunError(f"{run.path}: the stop can't be asked for ({error.strerror or error})") from None
    return phase(view)
