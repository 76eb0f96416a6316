"""The verdict: can this run's latent space generate new pictures, what limits it, and what would help?

The reference experiment that latens repeats ends with five claims about plain autoencoders. Each is answered here for one run,
by scores that were measured on it. Where the scores do not decide, because there are too few pictures or none were scored, the
answer is "not measured". Pure functions over the scores.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from latens.metrics.intervals import Z, of_ratio
from latens.metrics.score import Score
from latens.text import counted

__all__ = ["Claim", "Known", "Suggestion", "Verdict", "judge"]

Answer = Literal["holds", "partly", "does not hold", "not measured"]

# The thresholds of the verdict; docs/verdict.md says how each was checked.
KNN_SLACK = 0.01  # by which the accuracy of latents may lie below that of raw pixels
DEAD_SHARE = 0.1  # of the units, beyond which the space is hard to read
REALISM = 0.8  # of midpoints between classes, as a share of what real images get
GOOD_FLOORS, FAIR_FLOORS = 5.0, 20.0  # frechet in multiples of its floor
# KID where images are too few for FD, as a share of that of plainly bad images (blurred or cross-faded real ones).
GOOD_SHARE, FAIR_SHARE = 0.5, 0.75
HIDDEN_SHARE = 0.1  # of probe points that the map shows among their class and whose pictures are like no real one
DECODER_SHARE = 0.5  # of the best frechet that the decoder alone costs
SAMPLER_TIMES = 3.0  # what the probe's frechet is of the best
COPIED_SHARE = 0.05  # of samples nearer to a train image than test images are; 0.01 where nothing is copied
ENOUGH_FOR_COPIES = (
    100  # test images; with fewer the 1st percentile of their distances is the least one, which is chance
)
CROWDED = 0.5  # share of the latent numbers that the effective rank is, below which fewer would do
ENOUGH_FOR_RANK = 10  # test pictures for each latent number; with fewer the effective rank is too low
ENOUGH_FOR_BALLS = (
    2_000  # test pictures; with fewer the neighbourhoods of real pictures are so wide that cross-fades lie in them
)
PROBE = "class-means"


@dataclass(frozen=True)
class Claim:
    """One of the claims of the reference experiment, answered.

    Args:
        name: a short name.
        claim: what the reference experiment says.
        answer: whether it holds for this run.
        sentence: why, with the numbers and the threshold; for "not measured" what is missing.
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
    """The answers that follow from the scores of a run.

    Args:
        claims: those of the reference experiment, answered, in its order.
        headline: whether this run can generate, in one sentence.
        at_fault: the parts that limit generation: "decoder", "sampler", both or none; None where it was not measured.
        fault: the same in a sentence, with its numbers.
        best_sampler: the name of the one with the lowest frechet that neither keeps the data nor copies; empty where none was
            scored.
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
    """The scores of a run by group, subject and name, as far as they were measured.

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
        """The baseline of a score, or None."""
        found = self.score(group, name, subject)
        return None if found is None else found.baseline

    @property
    def distance(self) -> str:
        """The name of the distance between sets of images that was measured: FD, or KID where they are few."""
        return "frechet" if self.score("generation", "floor") else "kid"

    def samplers(self) -> dict[str, float]:
        """The distance to the test images of each sampler that was scored, the least first."""
        found = {
            subject: score.value
            for (group, subject, name), score in self.scores.items()
            if group == "generation" and subject and name == self.distance
        }
        return dict(sorted(found.items(), key=lambda item: item[1]))

    def best(self) -> tuple[str, float] | None:
        """The sampler with the least distance among those that neither keep the data nor copy; among all where none is left."""
        found = self.samplers()
        without = {name: value for name, value in found.items() if not self.keeps_data(name)}
        fair = {name: value for name, value in without.items() if not self.copies(name)}
        return next(iter((fair or without or found).items()), None)

    def keeps_data(self, sampler: str) -> bool:
        """Whether a sampler draws from latents of the train images that it keeps: a generator needs none."""
        found = self.score("generation", self.distance, sampler)
        return found is not None and found.keeps_data

    def copies(self, sampler: str) -> bool:
        """Whether more of a sampler's pictures lie as near to a train image as copies do than may do by chance.

        False where there are too few test images to tell.
        """
        found = self.score("generation", "memorised", sampler)
        if found is None or _too_few_for_copies(found):
            return False
        return (found.value if found.low is None else found.low) > COPIED_SHARE

    @property
    def copies_unknown(self) -> str:
        """That too few test images leave open whether samplers copy, empty where it was measured or nothing hints at copies."""
        for (group, subject, name), score in self.scores.items():
            hinted = (group, name) == ("generation", "memorised") and subject and score.value > COPIED_SHARE
            if hinted and _too_few_for_copies(score):
                count = counted(score.protocol.images or 0, "test image")
                return f" Whether samplers copy train images was not measured: {count}; about {ENOUGH_FOR_COPIES} would do."
        return ""

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

    @property
    def realism(self) -> tuple[Score, str] | None:
        """The realism of midpoints between classes, or of any two images without labels, and of which two images it is."""
        for name, whose in (
            ("path_realism_between", "two test images of different classes"),
            ("path_realism", "two test images"),
        ):
            found = self.score("continuity", name)
            if found is not None:
                return found, whose
        return None

    @property
    def real_share(self) -> float:
        """The share of real images that count as real; 1 where that was not measured."""
        found = self.value("generation", "precision_real")
        return 1.0 if found is None else found

    @property
    def saturated(self) -> str:
        """Why the neighbourhoods of real images say nothing, empty where they do: bad images lie in them too."""
        real = self.score("generation", "precision_real")
        for name, what in (
            ("precision_blurred", "blurred real images"),
            ("precision_faded", "cross-fades of two real images"),
        ):
            bad = self.score("generation", name)
            if real is not None and bad is not None and not bad.surely_below(real):
                return (
                    f"of {what}, {bad.value:.0%} count as real, and of real ones {real.value:.0%}, so the measure cannot tell"
                    + self._enough(real.protocol.images)
                )
        found = self.realism
        if found is None or found[0].baseline is None or found[0].baseline < REALISM * self.real_share:
            return ""
        score, images = found[0], found[0].protocol.images
        faded = f"of plain cross-fades of the pixels, which are no real images, {score.baseline:.0%} count as real too"
        if images is None or images >= ENOUGH_FOR_BALLS:
            return f"{faded}, so these features cannot tell"
        return f"{faded}: the measure is too coarse{self._enough(images)}"

    @property
    def soft(self) -> str:
        """Why a low realism says nothing of what was decoded, empty where it does: reconstructions are no more real."""
        rebuilt = self.value("generation", "precision_rebuilt")
        if rebuilt is None or rebuilt >= REALISM * self.real_share:
            return ""
        return (
            f"of reconstructions of real images only {rebuilt:.0%} look like real ones to this measure, so it sees how sharp the"
            " decoder is and not what lies between"
        )

    @staticmethod
    def _enough(images: int | None) -> str:
        """How many test images would do in place of these; empty where more would not help."""
        if images is None or images >= ENOUGH_FOR_BALLS:
            return ""
        return f"; with {images:,} test images neighbourhoods are wide; about {ENOUGH_FOR_BALLS:,} would do"


def judge(scores: Iterable[Score], run: str = "RUN", *, relu: bool = True) -> Verdict:
    """Answer the claims of the reference experiment for a run, say what limits generation, and what would help.

    Args:
        scores: of a run.
        run: its folder, as the commands that are suggested name it: one word of a shell.
        relu: whether its latents are cut off by a ReLU, see `Recipe.has_relu_latent`: only then it is advised to train without.

    An answer is given only where the 95 % interval of the score lies on one side of the threshold.
    """
    known = Known(scores)
    best = known.best()
    generates = _generates(known, best)
    at_fault, fault = _limits(known, best)
    return Verdict(
        claims=(_analysis(known), _continuity(known), generates, _hidden(known), _larger()),
        headline=_headline(generates, best),
        at_fault=at_fault,
        fault=fault,
        best_sampler=best[0] if best else "",
        suggestions=tuple(_suggestions(known, best, at_fault, run, relu)),
    )


def _too_few_for_copies(score: Score) -> bool:
    return score.protocol.images is not None and score.protocol.images < ENOUGH_FOR_COPIES


def _side(score: Score, threshold: float) -> int:
    """1 where a score is at least a threshold, -1 where it is below, 0 where its interval holds the threshold."""
    low = score.value if score.low is None else score.low
    high = score.value if score.high is None else score.high
    if low < threshold < high:
        return 0
    return 1 if score.value >= threshold else -1


def _compared(one: Score, other: Score, times: float = 1.0) -> int:
    """1 where a score is more than so many times another beyond both intervals, -1 where it is less, 0 where that is open."""
    difference = one.value - times * other.value
    return 0 if abs(difference) < math.hypot(_reach(one), times * _reach(other)) else 1 if difference > 0 else -1


def _reach(score: Score) -> float:
    return 0.0 if score.low is None or score.high is None else (score.high - score.low) / 2


def _open(score: Score, threshold: float) -> str:
    """That the interval of a share holds the threshold, and how many pictures would do."""
    share, images = score.value, score.protocol.images
    spread = share * (1 - share) if 0 < share < 1 else threshold * (1 - threshold)
    needed = math.ceil(Z**2 * spread / max(abs(share - threshold), 0.01) ** 2)
    found = f"{share:.0%} ({score.low:.0%} to {score.high:.0%})"
    more, pairs = "", score.protocol.settings.get("pairs", math.inf)
    if images is not None and images < pairs:  # otherwise the pairs are too few, not the pictures
        more = f"; about {_rounded(max(needed, 2 * images)):,} test images in place of {images:,} would do"
    return f"{found} is too close to {threshold:.0%} to decide{more}"


def _rounded(number: int) -> int:
    """Up to two digits: no one needs to know that it is 1,537.

    >>> _rounded(1537), _rounded(60)
    (1600, 60)
    """
    step: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // step) * step


def _analysis(known: Known) -> Claim:
    claim = "The latent space is hard to analyse."
    knn = known.score("representation", "knn_accuracy")
    pixels = None if knn is None or knn.baseline_kind == "chance" else knn.baseline
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
            f"Without labels only the units can be judged: {units}",
        )
    linear = known.value("representation", "linear_accuracy")
    by_line = "" if linear is None else f", a linear classifier that of {linear:.1%}"
    line = pixels - KNN_SLACK
    side = _side(_with_interval(knn), line)
    sentence = (
        f"Neighbours in latent space give the class of {knn.value:.1%} of the test images (raw pixels {pixels:.1%};"
        f" {KNN_SLACK:.0%} less would pass){by_line}; {units}"
    )
    if few_dead and side == 0:
        return Claim(
            "analysis", claim, "not measured", f"{sentence} The accuracy of {_open(_with_interval(knn), line)}."
        )
    return Claim("analysis", claim, "does not hold" if side > 0 and few_dead else "holds", sentence)


def _with_interval(score: Score) -> Score:
    """A share with its 95 % interval, where it was stored without one and the number of images is known."""
    images = score.protocol.images
    if score.low is not None or not images:
        return score
    low, high = of_ratio(score.value, images)
    return Score(**{**vars(score), "low": low, "high": high})


def _continuity(known: Known) -> Claim:
    claim = "It is not continuous."
    found = known.realism
    if found is None:
        return Claim("continuity", claim, "not measured", "Paths between latents were not scored.")
    between, whose = found
    within = known.value("continuity", "path_realism_within")
    jump = known.value("continuity", "path_smoothness_between") or known.value("continuity", "path_smoothness")
    needed = REALISM * known.real_share
    sentence = (
        f"Half-way between {whose}, {between.value:.0%} of the decoded images look like real ones"
        + (f" ({within:.0%} within a class)" if within is not None else "")
        + f"; {needed:.0%} are needed{'' if known.real_share == 1 else f', {REALISM:.0%} of what real images get'}."
        + (f" The largest step along a path is {jump:.1f} times the mean one." if jump is not None else "")
    )
    side = _side(between, needed)
    if side >= 0 and known.saturated:
        return Claim("continuity", claim, "not measured", f"{sentence} But {known.saturated}.")
    if side <= 0 and known.soft:
        return Claim("continuity", claim, "not measured", f"{sentence} But {known.soft}.")
    if side == 0:
        return Claim("continuity", claim, "not measured", f"{sentence} {_open(between, needed)}.")
    return Claim("continuity", claim, "does not hold" if side > 0 else "holds", sentence)


def _generates(known: Known, best: tuple[str, float] | None) -> Claim:
    claim = "What it generates is poor."
    floor, rebuilt = known.value("generation", "floor"), known.value("generation", "reconstruction_fd")
    if best is None:
        return Claim("generation", claim, "not measured", "No sampler was scored.")
    name, distance = best
    if floor is None:
        return _generates_by_kid(known, claim, name, distance)
    if floor <= 0:
        text = f"FD between real train and test images is {floor:.4g}, so FD of samples ({name}: {distance:.4g}) has no unit."
        return Claim("generation", claim, "not measured", text)
    times = distance / floor
    answer: Answer = "does not hold" if times <= GOOD_FLOORS else "partly" if times <= FAIR_FLOORS else "holds"
    sentence = (
        f"FD of the best sampler ({name}) is {distance:.4g}, {times:.1f} times the {floor:.4g} between real train and test"
        f" images; up to {GOOD_FLOORS:.0f} times is good, up to {FAIR_FLOORS:.0f} fair."
        + (f" Reconstructions of the test images get {rebuilt:.4g}." if rebuilt is not None else "")
        + _nearer_with_data(known, name, distance)
    )
    score = known.score("generation", "frechet", name)
    for limit in (GOOD_FLOORS, FAIR_FLOORS):
        if score is not None and _side(score, limit * floor) == 0:
            images = score.protocol.images
            more = "" if images is None else f"; about {_more(score, limit * floor, images):,} test images would do"
            low, high = (score.low or 0.0) / floor, (score.high or 0.0) / floor
            text = f"{sentence} {low:.1f} to {high:.1f} times is too close to {limit:.0f} to decide{more}."
            return Claim("generation", claim, "not measured", text)
    return Claim("generation", claim, answer, sentence)


def _generates_by_kid(known: Known, claim: str, name: str, distance: float) -> Claim:
    """The answer where images are too few for FD: KID on the scale from real images to plainly bad ones."""
    few = f"With under {ENOUGH_FOR_BALLS:,} images in a part KID stands in for FD. The best sampler ({name}) gets {distance:.4g}"
    share = known.score("generation", "kid_share", name)
    if share is None:
        text = f"{few}, which has no scale here: it does not surely tell blurred and cross-faded images from real ones."
        return Claim("generation", claim, "not measured", text + known.copies_unknown)
    within = "" if share.low is None or share.high is None else f" ({share.low:.2f} to {share.high:.2f})"
    sentence = (
        f"{few}, {share.value:.2f}{within} of that of plainly bad images, which are blurred or cross-faded real ones; up to"
        f" {GOOD_SHARE:g} is good, up to {FAIR_SHARE:g} fair.{_nearer_with_data(known, name, distance)}{known.copies_unknown}"
    )
    for limit in (GOOD_SHARE, FAIR_SHARE):
        if _side(share, limit) == 0:
            images = share.protocol.images
            more = "" if images is None else f"; about {_more(share, limit, images):,} test images would do"
            return Claim(
                "generation", claim, "not measured", f"{sentence} That is too close to {limit:g} to decide{more}."
            )
    answer: Answer = (
        "does not hold" if share.value <= GOOD_SHARE else "partly" if share.value <= FAIR_SHARE else "holds"
    )
    return Claim("generation", claim, answer, sentence)


def _nearer_with_data(known: Known, best: str, distance: float) -> str:
    """That a sampler which keeps the data gets nearer; and if the best one does, that there was no other."""
    if known.keeps_data(best):
        return f" {best} keeps latents of the train images, and no sampler without them was scored."
    nearer = [(name, value) for name, value in known.samplers().items() if known.keeps_data(name) and value < distance]
    return f" {nearer[0][0]}, which keeps latents of the train images, gets {nearer[0][1]:.4g}." if nearer else ""


def _more(score: Score, threshold: float, images: int) -> int:
    """How many images would make the interval of a score half as wide as its distance to the threshold; at most 100 times."""
    times = (_reach(score) / max(abs(score.value - threshold), 1e-9)) ** 2
    return _rounded(math.ceil(images * min(max(times, 2.0), 100.0)))


def _hidden(known: Known) -> Claim:
    claim = "Probe points lie in the cluster of their class on the map, and are unclear all the same."
    unclear, holes = known.score("continuity", "hidden_unclear"), known.value("continuity", "hidden_holes")
    if unclear is None or holes is None:
        return Claim("map", claim, "not measured", "The probe's points were not compared with the map.")
    missed = 1 - known.real_share
    limit = HIDDEN_SHARE + missed
    by_chance = (
        f", {missed:.0%} more than {HIDDEN_SHARE:.0%}, as so many real images look like no other" if missed else ""
    )
    sentence = (
        f"{unclear.value:.0%} of the probe's points have map neighbours of their own class while their images look like no"
        f" real one; under {limit:.0%} would pass{by_chance}. {holes:.0%} are shown so and lie farther from all data than 99 % of"
        " the data do."
    )
    side = _side(unclear, limit)
    if side <= 0 and known.saturated:
        return Claim("map", claim, "not measured", f"{sentence} But {known.saturated}.")
    if side >= 0 and known.soft:
        return Claim("map", claim, "not measured", f"{sentence} But {known.soft}.")
    if side == 0:
        return Claim("map", claim, "not measured", f"{sentence} {_open(unclear, limit)}.")
    return Claim("map", claim, "does not hold" if side < 0 else "holds", sentence)


def _larger() -> Claim:
    return Claim(
        "size",
        "Larger and more complicated inputs make it worse.",
        "not measured",
        "One run cannot answer this; `latens compare DATA DATA` puts several sets of images side by side.",
    )


def _headline(generates: Claim, best: tuple[str, float] | None) -> str:
    if best is None or generates.answer == "not measured":
        return "Whether this model can generate was not measured."
    return {
        "does not hold": f"It can generate: sampled by {best[0]}, its images are close to real ones.",
        "partly": f"It can generate in part: sampled by {best[0]}, its images are fair.",
        "holds": f"It cannot generate: even the best sampler, {best[0]}, gives poor images.",
    }[generates.answer]


def _limits(known: Known, best: tuple[str, float] | None) -> tuple[tuple[str, ...] | None, str]:
    rebuilt = known.score("generation", "reconstruction_fd")
    if best is None or rebuilt is None or known.distance != "frechet":
        return None, "What limits generation was not measured."
    name, distance = best
    of_best, of_probe = known.score("generation", "frechet", name), known.score("generation", "frechet", PROBE)
    assert of_best is not None, "the best sampler was scored"
    parts: list[str] = []
    sentences: list[str] = []
    unclear: list[str] = []
    share = f"{rebuilt.value / distance:.0%} of the best FD"
    costs = f"{share} by itself ({rebuilt.value:.4g} of {distance:.4g}; over {DECODER_SHARE:.0%} counts)"
    side = _compared(rebuilt, of_best, DECODER_SHARE)
    if side > 0:
        parts.append("decoder")
        sentences.append(f"the decoder, which costs {costs}")
    elif side == 0 and rebuilt.value > 0:
        unclear.append(f"the decoder costs {costs}, too close to decide")
    if of_probe is not None:
        times = (
            f"class means plus noise get FD {of_probe.value:.4g}, {of_probe.value / distance:.1f} times that of {name} on the"
            f" same decoder (over {SAMPLER_TIMES:.0f} times counts)"
        )
        side = _compared(of_probe, of_best, SAMPLER_TIMES)
        if side > 0:
            parts.append("sampler")
            sentences.append(f"the sampler: {times}")
        elif side == 0:
            unclear.append(f"{times}, too close to decide")
    if sentences:
        text = f"What limits generation: {'; and '.join(sentences)}."
    elif unclear:
        text = "What limits generation is not clear."
    else:
        probed = (
            ""
            if of_probe is None
            else f", and class means plus noise get {of_probe.value / distance:.1f} times the best"
        )
        text = f"Neither decoder nor sampler limits generation by the rules: the decoder costs {share}{probed}."
    text += "".join(f" {one[0].upper()}{one[1:]}." for one in unclear)
    return (None if unclear and not parts else tuple(parts)), text


def _suggestions(
    known: Known, best: tuple[str, float] | None, at_fault: Sequence[str] | None, run: str, relu: bool
) -> Iterable[Suggestion]:
    samplers = known.samplers()
    of_probe = known.score("generation", known.distance, PROBE)
    if best is not None:
        of_best = known.score("generation", known.distance, best[0])
        if of_best is not None and of_probe is not None and best[0] != PROBE and _compared(of_probe, of_best) > 0:
            yield Suggestion(
                f"Sample with {best[0]}, not with class means: `latens sample {run} --sampler {best[0]} -o samples.npz`.",
                f"{known.distance} {best[1]:.4g} in place of {of_probe.value:.4g} with the same decoder",
            )
        if not {"flow", "jitter"} & samplers.keys():
            yield Suggestion(
                f"Try a learned sampler: `latens score {run} --samplers all` fits and scores the rest.",
                f"{len(samplers)} samplers were scored, the best at {known.distance} {best[1]:.4g}",
            )
    rebuilt, floor = known.value("generation", "reconstruction_fd"), known.value("generation", "floor")
    if at_fault and "decoder" in at_fault and rebuilt is not None and floor is not None:
        yield Suggestion(
            "Improve the reconstruction first: train longer or with `--recipe best`; no sampler can make up for what the decoder"
            " costs.",
            f"FD of reconstructions {rebuilt:.4g}, floor {floor:.4g}",
        )
    yield from _about_the_space(known, run, relu)
    for name in samplers:
        if known.copies(name):
            share = known.value("generation", "memorised", name)
            yield Suggestion(
                f"Do not take {name} for a generator: it copies train images.",
                f"{share:.1%} of its samples are nearer to a train image than 99 % of test images are",
            )


def _about_the_space(known: Known, run: str, relu: bool) -> Iterable[Suggestion]:
    dead, dim = known.dead_units, known.latent_dim
    rank = known.score("representation", "effective_rank")
    if dead is not None and dim is not None and dead > DEAD_SHARE * dim:
        found = f"{dead} of {dim} units hardly vary"
        if "prior" in known.samplers():  # what empties units is the prior then, no ReLU
            yield Suggestion(
                "Keep more units in use: `--model variational:beta=0.1` weighs the prior less,"
                " `--model variational:free_bits=0.1` lets each unit tell something for nothing.",
                found,
            )
        elif relu:
            yield Suggestion(
                "Avoid dead units: `--model autoencoder:activation=none` has no ReLU on the latent.", found
            )
    if rank is not None and dim is not None and dim > 1 and rank.value < CROWDED * dim:
        images = rank.protocol.images
        if images is None or images >= ENOUGH_FOR_RANK * dim:
            dims = " ".join(map(str, sorted({dim // 4 or 1, dim // 2 or 1, dim})))
            yield Suggestion(
                f"Fewer latent numbers might do: `latens compare DATA --latent-dims {dims}` shows from where on more of them no"
                " longer improve the reconstruction.",
                f"the latents spread over {rank.value:.0f} directions of {dim}",
            )
    between = known.score("continuity", "path_realism_between")
    if between is not None and _side(between, REALISM * known.real_share) < 0:
        yield Suggestion(
            f"Do not follow straight lines: `latens figure {run} path` goes over real latents from neighbour to neighbour.",
            f"{between.value:.0%} of half-way images between classes look real",
        )
