"""The table of results: models × samplers on MNIST, Fashion-MNIST and colour photographs, and the published claims it tests.

    python benchmarks/results.py [--fashion FOLDER] [--photographs FOLDER] [--recipes notebook best] [--write docs/results.md]

Trains the models that are missing in --out, scores every sampler that each model supports, and prints the table. Fashion-MNIST
and the photographs are used only if their folder is given. With two cores and three data sets it takes about an hour. An
interrupted run continues where it was stopped.
"""

import argparse
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import latens
from common import kept_sections, machine, machine_line
from latens.files import atomic_write, write_json
from latens.runs import Run
from latens.samplers import SAMPLERS
from latens.verdict import COPIED_SHARE, Known

MODELS = ("autoencoder", "autoencoder:activation=none", "variational", "wasserstein", "regularised", "quantised")
COLUMNS = ("model", "sampler", "MSE", "kNN", "linear", "FD", "× floor", "density", "coverage", "copied", "training, s")
RECIPES = {"notebook": "autoencoder, 300 epochs (recipe `notebook`)", "best": "autoencoder, residual (recipe `best`)"}


def rows_of(run: Run, model: str) -> list[dict[str, Any]]:
    """One row for each sampler, the smallest FD first."""
    known = Known(run.scores)
    floor = known.value("generation", "floor")
    rows = []
    for sampler, distance in known.samplers().items():
        rows.append(
            {
                "data": run.record["data"]["name"],
                "model": model,
                "sampler": sampler,
                "mse": known.value("reconstruction", "mse"),
                "pca_mse": known.value("reconstruction", "pca_mse"),
                "knn": known.value("representation", "knn_accuracy"),
                "linear": known.value("representation", "linear_accuracy"),
                "fd": distance,
                "floor": floor,
                "reconstruction_fd": known.value("generation", "reconstruction_fd"),
                "density": known.value("generation", "density", sampler),
                "coverage": known.value("generation", "coverage", sampler),
                "real_density": known.baseline("generation", "density", sampler),
                "real_coverage": known.baseline("generation", "coverage", sampler),
                "memorised": known.value("generation", "memorised", sampler),
                "seconds": run.record["result"]["seconds"],
            }
        )
    return rows


def number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table of one set of images."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|" + "---:|" * (len(COLUMNS) - 2)]
    for row in rows:
        cells = [
            row["model"],
            row["sampler"],
            number(row["mse"], 5),
            number(row["knn"], 3),
            number(row["linear"], 3),
            number(row["fd"], 3),
            number(row["fd"] / row["floor"], 1),
            number(row["density"], 2),
            number(row["coverage"], 2),
            f"{row['memorised']:.1%}",
            number(row["seconds"], 0),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    first = rows[0]
    beside = (
        f"For comparison: floor {first['floor']:.3f} (real train against test images), density {first['real_density']:.2f} and"
        f" coverage {first['real_coverage']:.2f} of real images, PCA's MSE {first['pca_mse']:.5f}."
    )
    return "\n".join([*lines, "", beside, ""])


def find(rows: Iterable[dict[str, Any]], model: str, samplers: Sequence[str] = ()) -> dict[str, Any] | None:
    """The row of a model with the least FD, among some samplers or all that do not copy."""
    fair = [row for row in rows if row["model"] == model and row["memorised"] <= COPIED_SHARE]
    fair = [row for row in fair if not samplers or row["sampler"] in samplers]
    return min(fair, key=lambda row: row["fd"], default=None)


def claims(by_data: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The published claims that the table tests, each confirmed or not, with the numbers."""
    said = []
    for data, rows in by_data.items():
        gaussian, mixture = (find(rows, "autoencoder", (name,)) for name in ("gaussian", "mixture"))
        if gaussian and mixture:
            times = gaussian["fd"] / mixture["fd"]
            said.append(
                f"{data}: a mixture of Gaussians makes a plain autoencoder generate well (Ghosh et al."
                f" 2020: FD 58.7 with one Gaussian, 10.7 with ten, on MNIST):"
                f" **{'confirmed' if times > 2 else 'not confirmed'}**; FD {gaussian['fd']:.3g} with one Gaussian a"
                f" class, {mixture['fd']:.3g} with a mixture a class, {times:.1f} times less."
            )
        prior = {m: find(rows, m, ("prior",)) for m in ("variational", "wasserstein")}
        if all(prior.values()):
            better = prior["wasserstein"]["fd"] < prior["variational"]["fd"]
            said.append(
                f"{data}: WAE samples better from its prior than the VAE (Tolstikhin et al. 2018):"
                f" **{'confirmed' if better else 'not confirmed'}**; FD {prior['wasserstein']['fd']:.3g} against"
                f" {prior['variational']['fd']:.3g}."
            )
        found = {m: find(rows, m, ("mixture",)) for m in ("regularised", "variational")}
        if all(found.values()):
            better = found["regularised"]["fd"] < found["variational"]["fd"]
            said.append(
                f"{data}: with a density fitted to the latents, RAE samples better than the VAE (Ghosh et al. 2020):"
                f" **{'confirmed' if better else 'not confirmed'}**; FD {found['regularised']['fd']:.3g} against"
                f" {found['variational']['fd']:.3g} with the mixture."
            )
    if len(by_data) > 1:
        times = {
            data: best["fd"] / best["floor"] for data, rows in by_data.items() if (best := find(rows, "autoencoder"))
        }
        ordered = list(times.values())
        worse = all(a < b for a, b in itertools.pairwise(ordered))
        told = ", ".join(f"{data} {value:.1f}" for data, value in times.items())
        said.append(
            "Larger and more complicated inputs make it worse (reference experiment):"
            f" **{'confirmed' if worse else 'not confirmed'}** by the plain autoencoder's best sampler,"
            f" FD in multiples of the floor: {told}."
        )
    return said


def compared(data: str, name: str, out: Path, models: Sequence[str], samplers: Sequence[str]) -> list[dict[str, Any]]:
    """Train, score, and read one set of images."""
    done = latens.compare(data, models=models, seeds=[0], samplers=samplers, out=out / name)
    rows = []
    for run in done.runs:
        rows += [{**row, "data": name} for row in rows_of(run, run.recipe.model_choice)]
    return rows


def by_recipe(recipe: str, out: Path, samplers: Sequence[str]) -> list[dict[str, Any]]:
    """A recipe's own model on MNIST."""
    done = latens.compare("mnist", recipe=recipe, seeds=[0], samplers=samplers, out=out / f"mnist-{recipe}")
    return [{**row, "data": "mnist"} for run in done.runs for row in rows_of(run, RECIPES[recipe])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fashion", metavar="FOLDER", help="folder with Fashion-MNIST's IDX files")
    parser.add_argument(
        "--photographs", metavar="FOLDER", help="folder with labelled colour photographs in train/ and test/"
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), help="all by default")
    parser.add_argument(
        "--recipes",
        nargs="*",
        default=[],
        choices=list(RECIPES),
        help="train these on MNIST too: a quarter of an hour each",
    )
    parser.add_argument("--out", type=Path, default=Path("build/results"))
    parser.add_argument("--write", type=Path, metavar="MD", help="write the page there")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()

    sources = {"mnist": "mnist", "fashion-mnist": args.fashion, "photographs": args.photographs}
    by_data = {
        name: compared(path, name, args.out, args.models, args.samplers) for name, path in sources.items() if path
    }
    for recipe in args.recipes:
        by_data["mnist"] = by_recipe(recipe, args.out, args.samplers) + by_data["mnist"]
    page = PAGE.format(
        machine=machine_line(machine()),
        tables="\n".join(f"## {name}\n\n{markdown(rows)}" for name, rows in by_data.items()),
        claims="\n".join(f"- {claim}" for claim in claims(by_data)),
    )
    print(page)
    if args.write:
        kept = kept_sections(args.write.read_text()) if args.write.is_file() else ""
        atomic_write(args.write, (page + kept).encode())
    if args.json:
        write_json(args.json, {"machine": machine(), "rows": by_data, "claims": claims(by_data)})


PAGE = """# Results

Made by `python benchmarks/results.py`; one seed. {machine}.

Each model is trained by the recipe `fast` with the reference experiment's network at latent dimension 64, unless
the row says otherwise.
Each sampler is fitted to the latents of the train images; 10,000 of its samples (as many as there are test images, where those
are fewer) are compared with the test images through the features of a classifier. FD: Fréchet distance; copied: the share of
samples nearer to a train image than 99 % of test images are, 1 % where nothing is copied. `latens score RUN --samplers all` gives
these numbers, with intervals and protocols, for any run. Seconds are wall-clock time and depend on the
machine's other work.

{tables}
## Published claims

{claims}
"""


if __name__ == "__main__":
    main()
