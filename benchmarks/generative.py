"""What makes a prior sample well: a sweep of the recipe `generative`, one change at a time.

    python benchmarks/generative.py [DATA] [--steps 1400] [--only NAME ...]

Trains each setting for so many steps, on one thread, and prints the error, the distance of the reconstructions, of samples from
the normal prior, and of samples from the learned one. A setting takes about a minute of processor time at 1,400 steps.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch

import latens
from common import machine, machine_line
from latens.features import features_for
from latens.latents import decode_latents, encode_images
from latens.metrics.references import frechet_distance, moments
from latens.samplers import SAMPLERS
from latens.training.loop import build_model, fastest_forms, use_forms

BERNOULLI = "variational:likelihood=bernoulli"
SETTINGS: dict[str, dict[str, Any]] = {
    "recipe": {},
    "convolutional network": {"network": "convolutional"},
    "no matching": {"model": f"{BERNOULLI},beta=0.5"},
    "strong matching": {"model": f"{BERNOULLI},beta=0.5,match=30,warmup=300"},
    "beta 1": {"model": f"{BERNOULLI},beta=1,match=10,warmup=300"},
    "no warm-up": {"model": f"{BERNOULLI},beta=0.5,match=10"},
    "calibrated": {"model": "variational:match=30,warmup=300"},
    "free bits": {"model": f"{BERNOULLI},beta=0.5,match=10,warmup=300,free_bits=0.1"},
    "D 8": {"latent_dim": 8},
    "D 32": {"latent_dim": 32},
    "wasserstein, kernel": {"model": "wasserstein"},
    "wasserstein, flow": {"model": "wasserstein:discrepancy=flow"},
}


def measured(images: latens.Dataset, options: dict[str, Any], steps: int) -> dict[str, float]:
    """Train one setting, and measure it."""
    setting = latens.RECIPES["generative"](images)
    epochs = max(1, round(steps * setting.config.batch_size / len(images.train)))
    setting = setting.with_options(epochs=epochs, **options)
    model = build_model(setting, images.shape)
    use_forms(model, fastest_forms(setting, images.shape))
    began = time.process_time()
    *_, last = latens.train(model, images, setting.config)
    seconds = time.process_time() - began
    features = features_for(images)
    real, num = moments(features(images.test.pixels)), len(images.test)

    def distance(latents: np.ndarray) -> float:
        return float(frechet_distance(moments(features(decode_latents(model, latents))), real))

    with torch.no_grad():
        prior = model.sample_prior(num, torch.Generator().manual_seed(0)).numpy()
    latents = encode_images(model, images.train)
    began = time.process_time()
    sampler = SAMPLERS["local-mixture"]().fit(latents, images.train.labels)
    return {
        "mse": last.test_mse,
        "reconstruction": distance(encode_images(model, images.test)),
        "prior": distance(prior),
        "learned": distance(sampler.sample(num)),
        "seconds": seconds,
        "fitting": time.process_time() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="mnist")
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    args = parser.parse_args()
    images = latens.load_images(args.data)
    torch.set_num_threads(1)
    print(f"{machine_line(machine())}\n")
    print(
        "| setting | test MSE | FD of reconstructions | of the normal prior | of the learned prior | training, CPU s |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for name in args.only:
        row = measured(images, SETTINGS[name], args.steps)
        distances = " | ".join(f"{row[key]:.2f}" for key in ("reconstruction", "prior", "learned"))
        print(f"| {name} | {row['mse']:.4f} | {distances} | {row['seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
