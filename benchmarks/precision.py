"""Effect of the precision of training on test error and time: each of `PRECISIONS` in the same short training.

    python benchmarks/precision.py [--images 8000] [--epochs 4]

TF32 changes matrix products on CUDA only, so it is left out on a CPU.
"""

import argparse
from dataclasses import replace

import latens
from latens.device import choose_device, describe_device
from latens.training.loop import build_model, fastest_forms, use_forms
from latens.training.recipes import PRECISIONS, fast


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--epochs", type=int, default=4)
    args = parser.parse_args()

    device = choose_device("auto")
    whole = latens.load_images("mnist")
    images = replace(whole, train=whole.train.take(slice(0, args.images)))
    print(f"{args.images} digits, {args.epochs} epochs, {describe_device(device)}")
    for precision in PRECISIONS:
        if precision == "tf32" and device.type != "cuda":
            continue
        recipe = fast(whole).with_options(epochs=args.epochs, precision=precision)
        model = build_model(recipe, images.shape)
        if device.type == "cpu":
            use_forms(model, fastest_forms(recipe, images.shape))
        *_, last = latens.train(model.to(device), images, recipe.config)
        print(f"{precision:<10} test MSE {last.test_mse:.6f}   {last.elapsed:7.1f} s", flush=True)


if __name__ == "__main__":
    main()
