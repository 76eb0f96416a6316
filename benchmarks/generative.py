"""Can a model generate? A sweep of the recipe `generative`, one change at a time, and the learned samplers beside each other.

    python benchmarks/generative.py [mnist] [fashion-mnist] [--short] [--seeds 0 1 2] [--only NAME ...]
        [--out build/generative] [--write docs/results.md]

Trains the recipe, each setting of the sweep, and `fast` (with --only also `best`); measures reconstructions, samples from the
normal prior and samples from the learned prior, and for the recipes as they are those of every sampler. Train images decoded
more and less sharply are compared with other train images, beside the sharpness that the training found. Distances are those of
as many samples as there are test images, of classes by their shares, from the test images, by the features that latens scores
with. Everything runs on one thread. A training of the recipe takes about four minutes of processor time, with --short (the sweep
alone) one. Rows and weights are kept in --out, so that an interrupted run goes on where it stopped, and samplers can be fitted
anew without training; another --out begins anew.
"""

import argparse
import functools
import itertools
import operator
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import latens
from common import machine_line, say, write_json, write_section
from latens.features import features_for
from latens.files import read_json
from latens.latents import decode_latents, encode_images
from latens.metrics.frechet import frechet_distance, moments
from latens.samplers import SAMPLERS, samplers_for
from latens.training.loop import build_model, fastest_forms, use_forms
from latens.training.recipes import Recipe

SHORT = 1400  # steps
BERNOULLI = "variational:likelihood=bernoulli"
RECIPE = f"{BERNOULLI},beta=0.5,match=10,sharpness=matched"
SETTINGS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "sharpness 1": {"model": f"{BERNOULLI},beta=0.5,match=10,warmup={{warmup}}"},
    "network `convolutional`": {"network": "convolutional"},
    "no match": {"model": f"{BERNOULLI},beta=0.5,warmup={{warmup}},sharpness=matched"},
    "match 30": {"model": f"{BERNOULLI},beta=0.5,match=30,warmup={{warmup}},sharpness=matched"},
    "beta 1": {"model": f"{BERNOULLI},beta=1,match=10,warmup={{warmup}},sharpness=matched"},
    "beta 0.25": {"model": f"{BERNOULLI},beta=0.25,match=10,warmup={{warmup}},sharpness=matched"},
    "no warm-up": {"model": RECIPE},
    "free bits 0.1": {"model": f"{RECIPE},warmup={{warmup}},free_bits=0.1"},
    "calibrated, match 30": {"model": "variational:match=30,warmup={warmup}"},
    "latent dimension 8": {"latent_dim": 8},
    "latent dimension 32": {"latent_dim": 32},
    "`wasserstein`": {"model": "wasserstein"},
    "`wasserstein:discrepancy=flow`": {"model": "wasserstein:discrepancy=flow"},
}
PLAIN = ("fast", "best")  # other recipes for the samplers; the second takes long, so only by --only
SHARPNESSES = (1.0, 1.25, 1.5, 1.75, 2.0)
MOST = 10_000  # images, and samples, that are compared


class Trained:
    """A model that was trained on a set of images, with what it takes to measure it."""

    def __init__(self, images: latens.Dataset, recipe: Recipe, kept: Path) -> None:
        torch.set_num_threads(1)
        self.images = images
        self.model = build_model(recipe, images.shape)
        use_forms(self.model, fastest_forms(recipe, images.shape))
        if kept.is_file() and kept.with_suffix(".json").is_file():
            self.model.load_state_dict(torch.load(kept, weights_only=True))
            self.model.eval()
            row = read_json(kept.with_suffix(".json"))
            self.facts = {name: row[name] for name in ("mse", "steps", "cpu_seconds", "wall_seconds")}
        else:
            cpu, wall = time.process_time(), time.perf_counter()
            *_, last = latens.train(self.model, images, recipe.config)
            times = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
            self.facts = {"mse": last.test_mse, "steps": last.step, **times}
            torch.save(self.model.state_dict(), kept)
        self.num = min(MOST, len(images.test))
        self.features = features_for(images)
        self.real = moments(self.features(images.test.pixels))

    def distance(self, latents: np.ndarray) -> float:
        """Of what these latents are decoded to from the test images."""
        return frechet_distance(moments(self.features(decode_latents(self.model, latents))), self.real)

    @property
    def reconstruction(self) -> float:
        """The distance of the test images' reconstructions."""
        return self.distance(encode_images(self.model, self.images.test))

    def of_sampler(self, name: str, latents: np.ndarray) -> dict[str, Any]:
        """A sampler's distance, and the time of its fit."""
        sampler = SAMPLERS[name](**SAMPLERS[name].options_for(self.model, torch.device("cpu")))
        began = time.process_time()
        sampler.fit(latents, self.images.train.labels)
        seconds = time.process_time() - began
        labels = self.images.train.labels if len(sampler.classes) else None
        if labels is not None:
            labels = np.random.default_rng(0).permutation(labels)[: self.num]
        return {"fd": self.distance(sampler.sample(self.num, labels=labels)), "cpu_seconds": seconds}


def trained(
    images: latens.Dataset, recipe: str, seed: int, steps: int | None, options: dict[str, Any], kept: Path
) -> Trained:
    """Train a recipe with other options, for so many steps where they are given; or take the weights that were kept."""
    setting = latens.RECIPES[recipe](images)
    if steps is not None:
        epochs = max(1, round(steps * setting.config.batch_size / len(images.train)))
        setting = setting.with_options(epochs=epochs)
    warmup = max(1, setting.config.epochs * -(-len(images.train) // setting.config.batch_size) // 5)
    options = {"seed": seed, **options}
    if "warmup" in setting.model_options and "model" not in options:
        told = ",".join(f"{name}={value}" for name, value in setting.model_options.items() if name != "warmup")
        options["model"] = f"{setting.model}:{told},warmup={warmup}"
    elif "model" in options:
        options["model"] = options["model"].format(warmup=warmup)
    return Trained(images, setting.with_options(**options), kept)


def measured(
    images: latens.Dataset, name: str, seed: int, steps: int | None, row: dict[str, Any], kept: Path
) -> dict[str, Any]:
    """Train one setting, or another recipe, and measure it.

    Every sampler is fitted to the latents of the recipes as they are; the learned prior alone to those of other settings.
    What is in `row` already is not measured again.
    """
    plain = name in PLAIN
    done = trained(
        images, name if plain else "generative", seed, None if plain else steps, SETTINGS.get(name, {}), kept
    )
    whole = plain or (name == "recipe" and steps is None)
    latents = encode_images(done.model, images.train)
    samplers = dict(row.get("samplers", {}))
    wanted = samplers_for(done.model) if whole else ("prior", "local-mixture")
    for sampler in [one for one in wanted if one not in samplers]:
        samplers[sampler] = done.of_sampler(sampler, latents)
        say(f"{name}, {sampler}: {samplers[sampler]['fd']:.3f}, fitted in {samplers[sampler]['cpu_seconds']:.0f} CPU s")
    return {
        **done.facts,
        "reconstruction": row.get("reconstruction") or done.reconstruction,
        "samplers": samplers,
        "sharpness": row.get("sharpness") or (sharpnesses(done) if name == "recipe" else {}),
    }


@torch.no_grad()
def sharpnesses(done: Trained) -> dict[str, float]:
    """The distance of train images that are decoded more and less sharply from other train images; nothing without logits."""
    model, pixels = done.model, done.images.train.pixels
    if not model.decodes_logits:
        return {}
    num = min(MOST, len(pixels) // 2)
    real = moments(done.features(pixels[:num]))
    latents = torch.from_numpy(encode_images(model, pixels[num : 2 * num]))
    logits = torch.cat([model.decoder(model.shaped(some)) for some in torch.split(latents, 1000)])
    matched = model.sharpness
    assert isinstance(matched, torch.Tensor)
    found = {"matched": float(matched), **{str(sharpness): sharpness for sharpness in SHARPNESSES}}
    decoded = {name: (logits * (value / matched)).sigmoid().numpy() for name, value in found.items()}
    distances = {name: frechet_distance(moments(done.features(x)), real) for name, x in decoded.items()}
    return {"value": float(matched), **distances}


# ---- tables


Rows = Sequence[dict[str, Any]]  # of one setting, one a seed


def middle(rows: Rows, *keys: str) -> float:
    """The median of a figure over the seeds."""
    return statistics.median(float(functools.reduce(operator.getitem, keys, row)) for row in rows)  # type: ignore[arg-type]


def sweep_table(by_name: Mapping[str, Rows]) -> str:
    """One line a setting."""
    columns = ("test MSE", "reconstructions", "normal prior", "learned prior", "training, CPU s", "fit, CPU s")
    lines = [f"| setting | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for name, rows in by_name.items():
        if name in SETTINGS:
            distances = [("reconstruction",), ("samplers", "prior", "fd"), ("samplers", "local-mixture", "fd")]
            times = [("cpu_seconds",), ("samplers", "local-mixture", "cpu_seconds")]
            cells = [
                f"{middle(rows, 'mse'):.4f}",
                *(f"{middle(rows, *keys):.2f}" for keys in distances),
                *(f"{middle(rows, *keys):.0f}" for keys in times),
            ]
            lines.append(f"| {name}{_times(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def samplers_table(by_name: Mapping[str, Rows]) -> str:
    """One line a sampler."""
    lines = ["| recipe | sampler | keeps train latents | FD | fit, CPU s |", "|---|---|---|---:|---:|"]
    for name, rows in by_name.items():
        if len(rows[0]["samplers"]) > 2:
            recipe = "generative" if name == "recipe" else name
            beside = f"{middle(rows, 'reconstruction'):.3f}"
            lines.append(f"| `{recipe}`{_times(rows)} | (reconstructions) | | {beside} | |")
            for sampler in sorted(rows[0]["samplers"], key=lambda one: middle(rows, "samplers", one, "fd")):
                kept = "yes" if SAMPLERS[sampler].keeps_data else "no"
                distance, seconds = (middle(rows, "samplers", sampler, key) for key in ("fd", "cpu_seconds"))
                lines.append(f"| `{recipe}` | {sampler} | {kept} | {distance:.3f} | {seconds:.0f} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def sharpness_table(by_name: Mapping[str, Rows]) -> str:
    """One line a sharpness."""
    rows = [row for row in by_name.get("recipe", ()) if row["sharpness"]]
    lines = ["| sharpness | FD |", "|---:|---:|"]
    if not rows:
        return ""
    lines += [f"| {one:g} | {middle(rows, 'sharpness', str(one)):.3f} |" for one in SHARPNESSES]
    found, distance = (middle(rows, "sharpness", key) for key in ("value", "matched"))
    return "\n".join([*lines, f"| {found:.2f}, as the training matched it | {distance:.3f} |"])


def _times(rows: Rows) -> str:
    return f" ({len(rows)} seeds)" if len(rows) > 1 else ""


TABLES = {
    "{data}: one change at a time, {steps}; FD": sweep_table,
    "{data}: samplers on the latents of a recipe": samplers_table,
    "{data}: FD of train images that are decoded more or less sharply, from other train images": sharpness_table,
}


def load(name: str) -> latens.Dataset:
    """A set of images: as `latens` takes it, and Fashion-MNIST from its Debian package where it can't be fetched."""
    try:
        return latens.load_images(name)
    except latens.LatensError:
        if name != "fashion-mnist":
            raise
    from sets import debian

    found = next(debian("dataset-fashion-mnist").rglob("train-images-idx3-ubyte*"))
    return latens.load_images(found.parent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", default=["mnist"])
    parser.add_argument("--short", action="store_true", help=f"{SHORT:,} steps in place of the recipe's own")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these settings or recipes alone")
    parser.add_argument("--out", type=Path, default=Path("build/generative"), help="where the rows are kept")
    parser.add_argument(
        "--again", nargs="+", metavar="SAMPLER", help="fit these samplers anew, also where there is a row"
    )
    parser.add_argument("--write", type=Path, metavar="MD", help="write the tables there, as a section of its own")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    names = [name for name in (*SETTINGS, *PLAIN) if name in (args.only or (*SETTINGS, PLAIN[0]))]
    for data in args.data:
        images: latens.Dataset | None = None
        for seed, name in itertools.product(args.seeds, names):
            file = _file(args.out, data, name, args.short, seed)
            row = read_json(file) if file.is_file() else {}
            if row and not args.again:
                continue
            images = load(data) if images is None else images
            for sampler in args.again or ():
                row.get("samplers", {}).pop(sampler, None)
            row = measured(images, name, seed, SHORT if args.short else None, row, file.with_suffix(".pt"))
            write_json(file, row)
            say(f"{data}, {name}, seed {seed}: reconstructions {row['reconstruction']:.3f}")
    page = page_of(args.out)
    print(page)
    if args.write:
        write_section(args.write, "generative", page)


def _file(out: Path, data: str, name: str, short: bool, seed: int | str) -> Path:
    data, name = ("".join(one if one.isalnum() else "-" for one in text) for text in (Path(data).name, name))
    return out / f"{data}.{name}.{'short' if short else 'whole'}.{seed}.json"


def page_of(out: Path) -> str:
    """All that was measured, of any call."""
    tables, machines = [], []
    sets = sorted({file.name.split(".")[0] for file in out.glob("*.json")}, key=lambda name: name != "mnist")
    for data, short in itertools.product(sets, (False, True)):
        by_name = {}
        for name in (*SETTINGS, *PLAIN):
            files = sorted(out.glob(_file(out, data, name, short, "*").name))
            by_name[name] = [read_json(file) for file in files]
            machines += [row["machine"] for row in by_name[name]]
        by_name = {name: rows for name, rows in by_name.items() if rows}
        steps = f"{SHORT:,} steps" if short else "the recipe's own steps"
        for title, table in TABLES.items():
            if text := table(by_name):
                tables.append(f"### {title.format(data=data, steps=steps)}\n\n{text}\n")
    if not tables:
        raise SystemExit("nothing was measured")
    return PAGE.format(machine=machine_line(machines[-1]), tables="\n".join(tables))


PAGE = """## The recipe `generative`, and the samplers

Made by `python benchmarks/generative.py`; one seed where no number is given, medians otherwise. {machine}.

`latens run mnist --recipe generative` trains a variational autoencoder of 16 numbers whose prior is matched to the latents. Its
learned prior is the sampler `local-mixture`, fitted to the latents of the train images after training. FD: Fréchet distance of as
many samples as there are test images from the test images. Times are processor seconds on one thread.

{tables}"""


if __name__ == "__main__":
    main()
