"""Training what is not there yet: complete runs are taken as they are, stopped ones gone on with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from latens import experiment
from latens.comparison.plan import Planned
from latens.comparison.rows import Row, row_of
from latens.computed.scoring import samplers_named
from latens.errors import LatensError, RunError
from latens.progress import Progress, Tick
from latens.runs import Run, open_run
from latens.samplers import SAMPLERS

__all__ = ["check_there", "make_runs"]


def make_runs(
    planned: Sequence[Planned], folder: Path, samplers: Sequence[str] | None, device: str, progress: Progress
) -> Iterator[Row]:
    """Train or open each run, one after another; one that fails is a row that says why, and the next is begun.

    Args:
        planned: what is wanted.
        folder: below it each run has its own.
        samplers: whose samples are to be scored; None for those that a run scores by itself.
        device: see `choose_device`.
        progress: one bar for all of them.
    """
    with progress.stage("compare", "runs") as tick:
        for done, one in enumerate(planned):
            inner = _Inner(progress, tick, done, len(planned), one.words)
            inner.show("")
            row = _row(one, folder / one.name, samplers, device, inner)
            progress.say(f"{done + 1} of {len(planned)}: {one.words}: {_outcome(row)}")
            yield row


def check_there(planned: Sequence[Planned], folder: Path) -> None:
    """See that the folders which are there already hold what is wanted in them.

    Raises:
        RunError: one was trained on other images or with other settings.
    """
    for one in planned:
        if (folder / one.name / "run.json").exists():
            _check_same(open_run(folder / one.name), one)


def _row(one: Planned, path: Path, samplers: Sequence[str] | None, device: str, progress: Progress) -> Row:
    try:
        asked = samplers or ()
        return row_of(_scored(_complete(one, path, device, asked, progress), asked, progress))
    except Exception as error:  # whatever befalls one run must not lose the others
        return one.failed(
            path, error if isinstance(error, LatensError) else RuntimeError(f"{type(error).__name__}: {error}")
        )


def _complete(one: Planned, path: Path, device: str, samplers: Sequence[str], progress: Progress) -> Run:
    """The run, complete: as it is there, gone on with, or new."""
    slow = {name for name in SAMPLERS if not SAMPLERS[name].by_default()}
    scored = ("all",) if slow <= set(samplers) else None  # at once, where all will be asked for
    if not (path / "run.json").exists():
        return _whole(
            experiment.run(
                one.images,
                recipe=one.recipe.name,
                out=path,
                device=device,
                samplers=scored,
                progress=progress,
                **one.options,
            )
        )
    run = open_run(path, device)
    _check_same(run, one)
    if run.record["status"] == "done":
        return run
    return _whole(experiment.resume(path, images=one.images, device=device, samplers=scored, progress=progress))


def _whole(run: Run) -> Run:
    """The run, if all its epochs were trained."""
    if run.record["status"] == "stopped":
        raise RunError(f"{run.path}: its training was stopped on its page; the same command continues it")
    return run


def _scored(run: Run, samplers: Sequence[str], progress: Progress) -> Run:
    """The run, its scores done again where a sampler is missing that its model can have."""
    scored = {score.subject for score in run.scores if score.group == "generation"}
    there = [name for name in SAMPLERS if name in scored]
    missing = [name for name in samplers_named(run, ("all",)) if name in samplers and name not in there]
    if not scored or not missing:  # where images are too few, no sampler is scored
        return run
    return experiment.score(run, [*there, *missing], progress=progress)


def _check_same(run: Run, one: Planned) -> None:
    if run.record["data"]["fingerprint"] != one.images.fingerprint:
        raise RunError(
            f"{run.path}: was trained on other images than the {one.images.name} that is given now (fingerprint differs);"
            " choose another --out"
        )
    if run.recipe != one.recipe:
        ours, theirs = _flat(one), {**run.recipe.to_json(), **run.recipe.to_json()["config"]}
        other = [f"{k}={theirs.get(k)!r}, now {v!r}" for k, v in ours.items() if theirs.get(k) != v and k != "config"]
        raise RunError(f"{run.path}: was trained with {'; '.join(other)}; choose another --out, or ask for the same")


def _flat(one: Planned) -> dict[str, object]:
    plain = one.recipe.to_json()
    return {**plain, **plain["config"]}


def _outcome(row: Row) -> str:
    if row.error:
        return f"failed: {row.error}"
    mse, seconds = row.values.get("reconstruction.mse"), row.facts.get("seconds")
    told = [f"test MSE {mse:.5f}"] if mse is not None else []
    return ", ".join(told + ([f"trained in {seconds:.0f} s"] if seconds is not None else [])) or "done"


class _Inner:
    """What a run is given to tell its progress: all of it goes into the one bar of the comparison."""

    def __init__(self, outer: Progress, tick: Tick, done: int, total: int, words: str) -> None:
        self.outer = outer
        self.tick = tick
        self.done = done
        self.total = total
        self.words = words

    def show(self, text: str) -> None:
        """Show what is done of all runs, and what this one does."""
        self.tick(self.done, self.total, "  ".join(filter(None, (self.words, text))))

    def say(self, text: str) -> None:
        """Nothing: the same notes would come with every run."""

    @contextmanager
    def stage(self, title: str, unit: str = "") -> Iterator[Tick]:
        """A stage of the run as words beside the bar."""
        self.show(title)
        yield lambda done, total, text="": self.show(f"{title} {done:,} of {total:,} {unit}  {text}".rstrip())
