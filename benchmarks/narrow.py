"""Number of seeds that end with all latents 0, by latent dimension and initial bias: recipe `fast` on 200 digits.

python benchmarks/narrow.py --seeds 12
"""

import argparse
from dataclasses import replace

import latens
from latens.latents import encode_images
from latens.training.loop import build_model, fastest_forms, train, use_forms
from latens.training.recipes import LATENT_BIAS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=60)
    args = parser.parse_args()
    images = latens.load_images("mnist")
    images = replace(images, train=images.train.take(slice(0, 200)), test=images.test.take(slice(0, 50)))
    print(f"{'dimension':>9} {'bias':>5} {'dead':>5} of {args.seeds} seeds")
    for latent_dim in (1, 2, 4):
        for bias in (0.0, LATENT_BIAS):
            dead = 0
            for seed in range(args.seeds):
                options = {"latent_dim": latent_dim, "latent_bias": bias, "seed": seed, "epochs": args.epochs}
                recipe = latens.RECIPES["fast"](images).with_options(**options)
                model = build_model(recipe, images.shape)
                use_forms(model, fastest_forms(recipe, images.shape, len(images.train)))
                list(train(model, images, recipe.config))
                dead += not encode_images(model, images.train).any()
            print(f"{latent_dim:>9} {bias:>5} {dead:>5}", flush=True)


if __name__ == "__main__":
    main()
