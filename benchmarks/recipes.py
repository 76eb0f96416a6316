"""A recipe with several seeds, as a table: test MSE, kNN accuracy of the latents, seconds.

    python benchmarks/recipes.py [--recipe fast] [--data mnist] [--seeds 5] [--json FILE]

The seeds are trained one after the other in this process. The seconds are those of training alone, without loading,
evaluation or scoring. The machine's float32 matrix product rate is printed too.
"""

import argparse
import json
import statistics

import torch

import latens
from common import gemm_rate
from latens.device import describe_device
from latens.latents import encode_images
from latens.metrics.votes import knn_accuracy
from latens.training.loop import build_model, fastest_forms, use_forms


def one(images: latens.Dataset, recipe: str, seed: int) -> dict[str, float]:
    setting = latens.RECIPES[recipe](images).with_options(seed=seed)
    model = build_model(setting, images.shape)
    use_forms(model, fastest_forms(setting, images.shape))
    *_, last = latens.train(model, images, setting.config)
    row = {"seed": seed, "epochs": last.epoch, "steps": last.step, "test_mse": last.test_mse, "seconds": last.elapsed}
    if images.train.labels is not None:
        latents = [encode_images(model, part) for part in (images.train, images.test)]
        row["knn_accuracy"] = knn_accuracy(latents[0], images.train.labels, latents[1], images.test.labels)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json")
    args = parser.parse_args()

    images = latens.load_images(args.data)
    machine = {"device": describe_device(torch.device("cpu")), "gemm_gflops": round(gemm_rate())}
    print(
        f"{args.recipe} on {args.data}: {machine['device']}, {machine['gemm_gflops']} GFLOP/s in a float32 matrix product"
    )
    print(f"{'seed':>4} {'epochs':>6} {'steps':>6} {'test MSE':>9} {'kNN':>7} {'seconds':>8}")
    rows = []
    for seed in range(args.seeds):
        rows.append(row := one(images, args.recipe, seed))
        accuracy = f"{row['knn_accuracy']:.4f}" if "knn_accuracy" in row else ""
        print(
            f"{seed:4} {row['epochs']:6} {row['steps']:6} {row['test_mse']:9.6f} {accuracy:>7} {row['seconds']:8.1f}",
            flush=True,
        )
    worst = max(row["test_mse"] for row in rows)
    print(f"worst test MSE {worst:.6f}; median seconds {statistics.median(row['seconds'] for row in rows):.1f}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"machine": machine, "recipe": args.recipe, "data": args.data, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
