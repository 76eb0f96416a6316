"""The verdict: can this run's latent space generate, and if not, whose fault is it and what would help?

The notebook ends with five claims about plain autoencoders. Each is answered here for one run, by scores that were measured on
it; a claim whose scores are missing is not answered. Pure functions over the scores.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from latens.metrics.score import Score

__all__ = ["Claim", "Known", "Suggestion", "Verdict", "judge"]

Answer = Literal["holds", "partly", "does not hold", "not measured"]

# The thresholds of the verdict; docs/verdict.md says how each was checked.
KNN_SLACK = 0.01  # that latents may tell less of the class than raw pixels do
DEAD_SHARE = 0.1  # of the units, beyond which the space is hard to read
REALISM = 0.8  # of midpoints between classes
GOOD_FLOORS, FAIR_FLOORS = 5.0, 20.0  # frechet in multiples of its floor
HIDDEN_SHARE = 0.1  # of probe points that the map shows among their class and whose pictures are like no real one
DECODER_SHARE = 0.5  # of the best frechet that the decoder alone costs
SAMPLER_TIMES = 3.0  # what the probe's frechet is of the best
COPIED_SHARE = 0.05  # of samples nearer to a train image than test images are; 0.01 where nothing is copied
CROWDED = 0.5  # share of the latent numbers that the effective rank is, below which fewer would do
PROBE = "class-means"


@dataclass(frozen=True)
class Claim:
    """One of the notebook's claims, answered.

    Args:
        name: a short name.
        claim: what the notebook says.
        answer: whether it holds for this run.
        sentence: why, with the numbers and the threshold.
    """

    name: str
    claim: str
    answer: Answer
    sentence: str


@dataclass(frozen=True)
class Suggestion:
    """What would help, and the number of this run that says so."""

    text: str
    because: str


@dataclass(frozen=True)
class Verdict:
    """What the scores of a run come to.

    Args:
        claims: the notebook's, answered, in its order.
        headline: whether this run can generate, in one sentence.
        at_fault: the parts that hold generation back: "decoder", "sampler", both or none; None where it was not measured.
        fault: the same in a sentence, with its numbers.
        best_sampler: the name of the one with the lowest frechet that does not copy; empty where none was scored.
        suggestions: what would help, most useful first.
    """

    claims: tuple[Claim, ...]
    headline: str
    at_fault: tuple[str, ...] | None
    fault: str
    best_sampler: str
    suggestions: tuple[Suggestion, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Verdict":
        """What `as_json` made plain."""
        at_fault = plain["at_fault"]
        return cls(
            claims=tuple(Claim(**claim) for claim in plain["claims"]),
            headline=plain["headline"],
            at_fault=None if at_fault is None else tuple(at_fault),
            fault=plain["fault"],
            best_sampler=plain["best_sampler"],
            suggestions=tuple(Suggestion(**suggestion) for suggestion in plain["suggestions"]),
        )


class Known:
    """The numbers of a run by group and name, as far as they were measured.

    Args:
        scores: of a run.
    """

    def __init__(self, scores: Iterable[Score]) -> None:
        self.scores = {(one.group, one.subject, one.name): one for one in scores if math.isfinite(one.value)}

    def score(self, group: str, name: str, subject: str = "") -> Score | None:
        """One score, or None."""
        return self.scores.get((group, subject, name))

    def value(self, group: str, name: str, subject: str = "") -> float | None:
        """One number, or None."""
        found = self.score(group, name, subject)
        return None if found is None else found.value

    def baseline(self, group: str, name: str, subject: str = "") -> float | None:
        """What it stands beside, or None."""
        found = self.score(group, name, subject)
        return None if found is None else found.baseline

    @property
    def distance(self) -> str:
        """The name of the distance between sets of images that was measured: FD, or KID where they are few."""
        return "frechet" if self.score("generation", "floor") else "kid"

    def samplers(self) -> dict[str, float]:
        """The distance to the test images of each sampler that was scored, nearest first."""
        found = {
            subject: score.value
            for (group, subject, name), score in self.scores.items()
            if group == "generation" and subject and name == self.distance
        }
        return dict(sorted(found.items(), key=lambda item: item[1]))

    def best(self) -> tuple[str, float] | None:
        """The sampler with the least distance among those that do not copy, or among all where all do."""
        found = self.samplers()
        fair = {name: value for name, value in found.items() if not self.copies(name)}
        return next(iter((fair or found).items()), None)

    def copies(self, sampler: str) -> bool:
        """Whether too many of a sampler's pictures lie as near to a train image as copies do."""
        return (self.value("generation", "memorised", sampler) or 0.0) > COPIED_SHARE

    @property
    def latent_dim(self) -> int | None:
        """D, or None."""
        most = self.baseline("representation", "active_units")
        return None if most is None else int(most)

    @property
    def dead_units(self) -> int | None:
        """How many latent units hardly vary (by a variance under 0.01, see `active_units`), or None."""
        active, dim = self.value("representation", "active_units"), self.latent_dim
        return None if active is None or dim is None else dim - round(active)


def judge(scores: Iterable[Score]) -> Verdict:
    """Answer the notebook's claims for a run, say who is at fault, and what would help.

    Args:
        scores: of a run.

    The thresholds are those of the protocols.
    """
    known = Known(scores)
    best = known.best()
    generates = _generates(known, best)
    at_fault, fault = _fault(known, best)
    return Verdict(
        claims=(_analysis(known), _continuity(known), generates, _hidden(known), _larger()),
        headline=_headline(generates, best),
        at_fault=at_fault,
        fault=fault,
        best_sampler=best[0] if best else "",
        suggestions=tuple(_suggestions(known, best, at_fault)),
    )


def _analysis(known: Known) -> Claim:
    claim = "The latent space is hard to analyse."
    knn, pixels = known.value("representation", "knn_accuracy"), known.baseline("representation", "knn_accuracy")
    dead, dim = known.dead_units, known.latent_dim
    if dead is None or dim is None:
        return Claim("analysis", claim, "not measured", "The latents were not scored.")
    rank = known.value("representation", "effective_rank") or 0.0
    units = f"{dead} of {dim} units hardly vary (up to {DEAD_SHARE:.0%} pass), and the spread is that of {rank:.0f} directions."
    few_dead = dead <= DEAD_SHARE * dim
    if knn is None or pixels is None:
        return Claim(
            "analysis",
            claim,
            "not measured" if few_dead else "holds",
            f"Without labels the units alone can speak: {units}",
        )
    linear = known.value("representation", "linear_accuracy")
    by_line = "" if linear is None else f", a straight cut that of {linear:.1%}"
    fine = knn >= pixels - KNN_SLACK
    sentence = (
        f"Neighbours in latent space tell the class of {knn:.1%} of test images (raw pixels {pixels:.1%}; {KNN_SLACK:.0%} less"
        f" would pass){by_line}; {units}"
    )
    return Claim("analysis", claim, "does not hold" if fine and few_dead else "holds", sentence)


def _continuity(known: Known) -> Claim:
    claim = "It is not continuous."
    between, whose = known.value("continuity", "path_realism_between"), "two test images of different classes"
    within = known.value("continuity", "path_realism_within")
    if between is None:
        between, whose = known.value("continuity", "path_realism"), "two test images"
    if between is None:
        return Claim("continuity", claim, "not measured", "Paths between latents were not scored.")
    jump = known.value("continuity", "path_smoothness_between") or known.value("continuity", "path_smoothness")
    sentence = (
        f"Half-way between {whose}, {between:.0%} of the decoded pictures look like real ones"
        + (f" ({within:.0%} within a class)" if within is not None else "")
        + f"; {REALISM:.0%} are needed."
        + (f" The largest step along a path is {jump:.1f} times the mean one." if jump is not None else "")
    )
    return Claim("continuity", claim, "does not hold" if between >= REALISM else "holds", sentence)


def _generates(known: Known, best: tuple[str, float] | None) -> Claim:
    claim = "What it generates is poor."
    floor, rebuilt = known.value("generation", "floor"), known.value("generation", "reconstruction_fd")
    if best is None:
        return Claim("generation", claim, "not measured", "No sampler was scored.")
    name, distance = best
    if floor is None or floor <= 0:
        return Claim(
            "generation",
            claim,
            "not measured",
            f"There are too few images for FD; KID of the best sampler ({name}) is {distance:.4g}, which has no threshold.",
        )
    times = distance / floor
    answer: Answer = "does not hold" if times <= GOOD_FLOORS else "partly" if times <= FAIR_FLOORS else "holds"
    sentence = (
        f"FD of the best sampler ({name}) is {distance:.4g}, {times:.1f} times the {floor:.4g} between real train and test"
        f" images; up to {GOOD_FLOORS:.0f} times is good, up to {FAIR_FLOORS:.0f} fair."
        + (f" Reconstructions of the test images get {rebuilt:.4g}." if rebuilt is not None else "")
    )
    return Claim("generation", claim, answer, sentence)


def _hidden(known: Known) -> Claim:
    claim = "Probe points lie in the cluster of their class on the map, and are unclear all the same."
    unclear, holes = known.value("continuity", "hidden_unclear"), known.value("continuity", "hidden_holes")
    if unclear is None or holes is None:
        return Claim("map", claim, "not measured", "The probe's points were not compared with the map.")
    sentence = (
        f"{unclear:.0%} of the probe's points have map neighbours of their own class while their pictures look like no real"
        f" one; under {HIDDEN_SHARE:.0%} would pass. {holes:.0%} are shown so and lie farther from all data than 99 % of the"
        " data do."
    )
    return Claim("map", claim, "does not hold" if unclear < HIDDEN_SHARE else "holds", sentence)


def _larger() -> Claim:
    return Claim(
        "size",
        "Larger and more complicated inputs make it worse.",
        "not measured",
        "One run cannot tell; `latens compare DATA DATA` puts several sets of images side by side.",
    )


def _headline(generates: Claim, best: tuple[str, float] | None) -> str:
    if best is None or generates.answer == "not measured":
        return "Whether this model can generate was not measured."
    return {
        "does not hold": f"It can generate: sampled by {best[0]}, its pictures are close to real ones.",
        "partly": f"It can generate in part: sampled by {best[0]}, its pictures are fair.",
        "holds": f"It cannot generate: even the best sampler, {best[0]}, gives poor pictures.",
    }[generates.answer]


def _fault(known: Known, best: tuple[str, float] | None) -> tuple[tuple[str, ...] | None, str]:
    rebuilt = known.value("generation", "reconstruction_fd")
    probe = known.samplers().get(PROBE)
    if best is None or rebuilt is None or known.distance != "frechet":
        return None, "Who is at fault was not measured."
    name, distance = best
    parts: list[str] = []
    sentences: list[str] = []
    if rebuilt > DECODER_SHARE * distance:
        parts.append("decoder")
        sentences.append(
            f"the decoder, which costs {rebuilt / distance:.0%} of the best FD by itself ({rebuilt:.4g} of {distance:.4g}; over"
            f" {DECODER_SHARE:.0%} counts)"
        )
    if probe is not None and probe > SAMPLER_TIMES * distance:
        parts.append("sampler")
        sentences.append(
            f"the sampler: the notebook's probe, class means plus noise, gets FD {probe:.4g}, {probe / distance:.1f} times"
            f" that of {name} on the same decoder (over {SAMPLER_TIMES:.0f} times counts)"
        )
    if not parts:
        times = "" if probe is None else f", and the probe is {probe / distance:.1f} times the best"
        return (), f"Neither by the rules: the decoder costs {rebuilt / distance:.0%} of the best FD{times}."
    return tuple(parts), f"At fault: {'; and '.join(sentences)}."


def _suggestions(known: Known, best: tuple[str, float] | None, at_fault: Sequence[str] | None) -> Iterable[Suggestion]:
    samplers = known.samplers()
    probe = samplers.get(PROBE)
    if best is not None and probe is not None and best[0] != PROBE:
        yield Suggestion(
            f"Sample with {best[0]}, not with class means: `latens sample --sampler {best[0]}`.",
            f"{known.distance} {best[1]:.4g} in place of {probe:.4g} with the same decoder",
        )
    if best is not None and not {"flow", "jitter"} & samplers.keys():
        yield Suggestion(
            "Let a learned sampler try: `latens score --samplers all` fits and scores the rest.",
            f"{len(samplers)} samplers were scored, the best at {known.distance} {best[1]:.4g}",
        )
    rebuilt, floor = known.value("generation", "reconstruction_fd"), known.value("generation", "floor")
    if at_fault and "decoder" in at_fault and rebuilt is not None and floor is not None:
        yield Suggestion(
            "Rebuild better first: train longer or with `--recipe best`; no sampler can beat what the decoder costs.",
            f"FD of reconstructions {rebuilt:.4g}, floor {floor:.4g}",
        )
    yield from _about_the_space(known)
    for name in samplers:
        if known.copies(name):
            share = known.value("generation", "memorised", name)
            yield Suggestion(
                f"Do not take {name} for a generator: it copies train images.",
                f"{share:.1%} of its samples are nearer to a train image than 99 % of test images are",
            )


def _about_the_space(known: Known) -> Iterable[Suggestion]:
    dead, dim = known.dead_units, known.latent_dim
    rank = known.value("representation", "effective_rank")
    if dead is not None and dim is not None and dead > DEAD_SHARE * dim:
        yield Suggestion(
            "Give the units room: `--model autoencoder:activation=none` has no ReLU on the latent that can die.",
            f"{dead} of {dim} units hardly vary",
        )
    if rank is not None and dim is not None and rank < CROWDED * dim:
        yield Suggestion(
            f"Fewer numbers might do: `latens compare --latent-dims {dim // 4 or 1} {dim // 2 or 1} {dim}` tells where"
            " reconstruction stops paying.",
            f"the latents spread over {rank:.0f} directions of {dim}",
        )
    between = known.value("continuity", "path_realism_between")
    if between is not None and between < REALISM:
        yield Suggestion(
            "Do not walk straight lines: `latens figure path` follows real latents from neighbour to neighbour.",
            f"{between:.0%} of half-way pictures between classes look real",
        )
