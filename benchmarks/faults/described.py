"""Requests made of the explorer's OpenAPI description by schemathesis: those that it allows, and those that it doesn't.

    .peers/fuzzing/bin/python benchmarks/faults/described.py [--long] [--json FILE]        (make .peers/fuzzing/made)

Every route is asked, with every keyword of its schema at and past its limits (schemathesis's phase `coverage`), with values drawn
at random, right and wrong (`fuzzing`), and in chains in which the answer of one route is a parameter of another (`stateful`, by
the description's links): of a run alone, and beside a second one. The application is called in this process, with the token.

Lost: an answer of 5xx; a status, type or body that the description does not name; a request that it does not allow and that is
not refused with 4xx; an answer without the token; an error in more than one line; a warning in latens. A request that is allowed
hits where it is answered with what was asked for: many name an image or map that the run does not have.
"""

import itertools
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from damage import blobs
from hypothesis.configuration import set_hypothesis_home_dir
from tally import Tally, fault_parser, finish

import latens
from latens.explorer.app import create_app
from latens.explorer.pair import pair
from latens.explorer.routes import openapi
from latens.explorer.view import View
from latens.progress import Silent

try:
    import schemathesis
    from schemathesis.engine import events, from_schema
    from schemathesis.generation import GenerationMode
except ImportError:  # run by another environment than .peers/fuzzing
    schemathesis = None

SHORT, LONG = 3_000, 20_000  # requests, at least
EXAMPLES = 15  # drawn of each route in one round
PATIENCE = 60  # s; a request that is given up is answered by 503, as all are when the explorer is stopped
OWN, TOKEN = "127.0.0.1:8000", "token-of-the-faults"


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    if schemathesis is None:
        sys.exit(finish([Tally("requests of the OpenAPI description", not_tried="no schemathesis")], args.json))
    schemathesis.check(error_in_one_line)
    torch.set_num_threads(1)
    warnings.filterwarnings("error", module="latens")
    with tempfile.TemporaryDirectory() as temporary:
        set_hypothesis_home_dir(Path(temporary) / "hypothesis")
        alone, beside = views(Path(temporary))
        apps = [create_app(alone, token=TOKEN), create_app(*beside, token=TOKEN)]
        found = Found()
        for seed, app in enumerate(itertools.cycle(apps)):
            found.take(answered(app, seed))
            if seed and found.tries >= (LONG if args.long else SHORT):
                break
    sys.exit(finish(found.tallies, args.json))


def views(folder: Path) -> tuple[View, tuple[View, View]]:
    """A run alone, and the same beside another of half its images."""
    pixels, labels = blobs(np.random.default_rng(0)), np.arange(60) % 3
    runs = []
    for name, rows in (("one", slice(None)), ("two", slice(30))):
        np.savez(folder / f"{name}.npz", images=pixels[rows], labels=labels[rows])
        options = {"latent_dim": 4, "epochs": 1, "samplers": ("class-means",), "device": "cpu", "progress": Silent()}
        runs.append(latens.run(folder / f"{name}.npz", out=folder / name, **options).path)
    latens.runs.open_run(runs[0]).map("pca")
    first, second = (View(latens.open_run(path)) for path in runs)
    pair(first, second)
    return View(latens.open_run(runs[0])), (first, second)


def error_in_one_line(ctx: Any, response: Any, case: Any) -> None:
    """An error is one line for a person."""
    if response.status_code >= 400 and "\n" in response.json()["error"]:
        raise AssertionError(f"an error in more than one line: {response.text[:200]!r}")


def answered(app: Any, seed: int) -> Iterator[Any]:
    """What schemathesis tells of one round over all routes."""
    config = schemathesis.Config.from_dict(
        {
            "seed": seed,
            "base-url": f"http://{OWN}",
            "headers": {"host": OWN, "x-latens-token": TOKEN},
            "continue-on-failure": True,
            "request-timeout": PATIENCE,
            "cache": {"enabled": False},
            "output": {"sanitization": {"enabled": False}},
            "generation": {"mode": "all", "max-examples": EXAMPLES, "database": "none", "no-shrink": True},
            # Coverage is the same in each round.
            "phases": {"coverage": {"enabled": seed < 2, "unexpected-methods": []}},
            # The description can't say which images and maps a run has. Methods are tried by server.py.
            "checks": {"positive_data_acceptance": {"enabled": False}, "unsupported_method": {"enabled": False}},
        }
    )
    schema = schemathesis.openapi.from_dict(openapi(), config=config)
    schema.app = app
    yield from from_schema(schema).execute()


@dataclass
class Found:
    """The table's rows."""

    allowed: Tally = field(default_factory=lambda: Tally("requests that the OpenAPI description allows"))
    refused: Tally = field(default_factory=lambda: Tally("requests that it does not allow"))
    strangers: Tally = field(default_factory=lambda: Tally("requests without the token, or with a wrong one"))
    chains: Tally = field(default_factory=lambda: Tally("chains of requests by the description's links"))
    rounds: Tally = field(default_factory=lambda: Tally("rounds over all routes"))

    @property
    def tallies(self) -> list[Tally]:
        return [self.allowed, self.refused, self.strangers, self.chains, self.rounds]

    @property
    def tries(self) -> int:
        """Requests."""
        return sum(one.tries for one in self.tallies)

    def take(self, told: Iterator[Any]) -> None:
        """Count one round; what schemathesis can't do with the description is lost too."""
        scenarios = 0
        for event in told:
            if isinstance(event, events.NonFatalError | events.FatalError):
                self.rounds.add(True, f"{getattr(event, 'label', '')}: {getattr(event, 'value', event)!s:.400}")
            elif isinstance(event, events.ScenarioFinished):
                scenarios += 1
                self.take_scenario(event.phase.name, event.recorder)
        self.rounds.add(scenarios > 0)

    def take_scenario(self, phase: str, recorder: Any) -> None:
        for name, node in recorder.cases.items():
            interaction = recorder.interactions.get(name)
            if interaction is None or interaction.response is None:
                self.rounds.add(True, f"{recorder.label}: no answer")
                continue
            problem = problem_in(recorder, name)
            status = interaction.response.status_code
            if status == 403:
                self.strangers.add(True, problem)
            elif phase == "STATEFUL_TESTING":
                self.chains.add(status == 200, problem)
            elif node.value.meta is None or node.value.meta.generation.mode is GenerationMode.POSITIVE:
                self.allowed.add(status == 200, problem)
            else:
                self.refused.add(400 <= status < 500, problem)


def problem_in(recorder: Any, name: str) -> str:
    """What a check said against an answer, with what was asked."""
    for check in recorder.checks.get(name, ()):
        if check.failure_info is not None:
            failure, response = check.failure_info.failure, recorder.interactions[name].response
            told = f"{failure.title}: {response.status_code} {failure.message} {check.failure_info.code_sample}"
            return told.replace("\n", " ")[:600]
    return ""


if __name__ == "__main__":
    main()
