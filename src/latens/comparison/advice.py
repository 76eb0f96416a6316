"""What the numbers advise: where reconstruction stops paying, and whether larger and more complicated data are harder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from latens.comparison.cells import number_text
from latens.comparison.rows import Setting
from latens.training.recipes import LINEAR_PATH

__all__ = ["ENOUGH", "Advice", "advise", "pays_until"]

ENOUGH = 0.10  # a doubling that lowers the error by less than this share doesn't pay
FEWEST = 3  # dimensions that it takes to see a bend
RULE = (
    f"The rule: the smallest latent dimension from which on doubling it lowers the test MSE by less than {ENOUGH:.0%}."
)


@dataclass(frozen=True)
class Advice:
    """A sentence about one model and network on one data set.

    Args:
        data: name of the data set.
        name: of the setting.
        latent_dim: what is advised; None where nothing can be.
        sentence: why.
    """

    data: str
    name: str
    latent_dim: int | None
    sentence: str


def pays_until(latent_dims: Sequence[int], errors: Sequence[float]) -> int | None:
    """The smallest dimension from which on doubling it lowers the error by less than a tenth.

    Between two dimensions that are no doubling apart, the drop is that of a doubling at the same slope of the logarithms.

    Args:
        latent_dims: ascending, two or more.
        errors: positive, one a dimension.

    Returns:
        The dimension; None where even the last step pays.

    >>> pays_until([8, 16, 32, 64], [0.02, 0.01, 0.0095, 0.0094])
    16
    >>> pays_until([8, 16, 32], [0.02, 0.01, 0.005]) is None
    True
    """
    drops = [_drop_a_doubling(*pair) for pair in pairwise(zip(latent_dims, errors, strict=True))]
    paying = [index for index, drop in enumerate(drops) if drop >= ENOUGH]
    first = paying[-1] + 1 if paying else 0
    return latent_dims[first] if first < len(drops) else None


def _drop_a_doubling(small: tuple[int, float], large: tuple[int, float]) -> float:
    doublings = math.log2(large[0] / small[0])
    return 1.0 - math.pow(large[1] / small[1], 1 / doublings)


def advise(settings: Sequence[Setting]) -> tuple[Advice, ...]:
    """Where reconstruction stops paying, for each data set, model and network.

    Args:
        settings: of any number of data sets.
    """
    groups: dict[tuple[str, str], list[Setting]] = {}
    for setting in settings:
        groups.setdefault((setting.data, setting.name), []).append(setting)
    return tuple(_advice(data, name, found) for (data, name), found in groups.items())


def _advice(data: str, name: str, settings: Sequence[Setting]) -> Advice:
    measured = [(s.recipe.latent_dim, mse, s) for s in settings if (mse := s.mean("reconstruction.mse"))]
    measured.sort(key=lambda found: found[0])
    dims = [dim for dim, _, _ in measured]
    if len(dims) < FEWEST:
        counted = {0: "none has", 1: "1 has"}.get(len(dims), f"{len(dims)} have")
        needed = f"at least {FEWEST} latent dimensions are needed to see where reconstruction stops paying; {counted} a test MSE"
        return Advice(data, name, None, f"{name}: {needed}.")
    errors = [mse for _, mse, _ in measured]
    chosen = pays_until(dims, errors)
    if chosen is None:
        drop = _drop_a_doubling((dims[-2], errors[-2]), (dims[-1], errors[-1]))
        found = f"still pays at {dims[-1]}, the largest tried, where a doubling lowered the test MSE by {drop:.0%}"
        return Advice(data, name, None, f"{name}: reconstruction {found}; try {2 * dims[-1]}.{_use(measured[-1][2])}")
    index = dims.index(chosen)
    drop = _drop_a_doubling((dims[index], errors[index]), (dims[index + 1], errors[index + 1]))
    change = f"lowers it by {drop:.0%} only" if drop >= 0.005 else "does not lower it"
    found = f"stops paying at {chosen}: test MSE {number_text(errors[index])}, and a doubling from there {change}"
    return Advice(data, name, chosen, f"{name}: reconstruction {found}.{_use(measured[index][2])}")


def _use(setting: Setting) -> str:
    """How much of its latent space a setting uses, and how far seeds differ."""
    dim, told = setting.recipe.latent_dim, []
    rank, active = setting.mean("representation.effective_rank"), setting.mean("representation.active_units")
    if rank is not None:
        told.append(f"the latents' effective rank is {number_text(rank, 3)}")
    if active is not None:
        told.append(f"{number_text(active, 3)} of {dim} units are active")
    text = f" At {dim} " + " and ".join(told) + "." if told else ""
    spread = setting.spread("reconstruction.mse")
    if spread is not None and spread.std is not None:
        text += f" Over {len(spread.values)} seeds the error's standard deviation is {spread.std / spread.mean:.1%}."
    ratio = setting.mean("reconstruction.pca_ratio")
    if ratio is not None and ratio > 1:
        text += " PCA with as many numbers rebuilds better"
        text += "." if setting.recipe.network == LINEAR_PATH else ": try --network linear-path, which starts as PCA."
    return text
