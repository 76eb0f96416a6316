"""anomalib's PatchCore on feature maps that are given: scores and maps of new images.

    python anomalib_patchcore.py IN.npz OUT.npz

Needs anomalib. IN has the maps of two layers of a network, `normal0` and `normal1` (N, F, h, w), `tested0` and `tested1`
(M, F, h, w), float32, the finer first, `seen` (H, W) of the images as the network saw them, `size` (H, W) of the maps that are
wanted, and `share` of the patches that are kept. OUT gets `scores` (M,) and `maps` (M, H, W). Prints its version as JSON.
"""

import argparse
import importlib.metadata
import json

import numpy as np
import torch
from torch import nn

AT_ONCE = 16  # images


class Given(nn.Module):
    """In place of the network: the maps of the images whose rows are given."""

    def __init__(self, layers: list[torch.Tensor]) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        picked = rows[:, 0, 0, 0].long()
        return {f"layer{k}": one[picked] for k, one in enumerate(self.layers, 1)}


def rows_as_images(start: int, end: int, size: tuple[int, int]) -> torch.Tensor:
    """Images as large as the real ones, which hold nothing but their row."""
    return torch.arange(start, end, dtype=torch.float32)[:, None, None, None].expand(-1, 3, *size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", metavar="IN.npz")
    parser.add_argument("output", metavar="OUT.npz")
    args = parser.parse_args()
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    with np.load(args.input) as found:
        arrays = dict(found)
    seen, size = ((int(arrays[name][0]), int(arrays[name][1])) for name in ("seen", "size"))
    torch.manual_seed(0)
    model = PatchcoreModel(["layer1", "layer2"], backbone="resnet18", pre_trained=False, num_neighbors=9)
    scores, maps = [], []
    for part in ("normal", "tested"):
        layers = [torch.from_numpy(arrays[f"{part}{k}"]) for k in range(2)]
        model.feature_extractor = Given(layers)
        model.train(part == "normal")
        with torch.no_grad():
            for start in range(0, len(layers[0]), AT_ONCE):
                answer = model(rows_as_images(start, min(start + AT_ONCE, len(layers[0])), seen))
                if part == "tested":
                    scores.append(answer.pred_score.flatten().numpy())
                    maps.append(nn.functional.interpolate(answer.anomaly_map, size, mode="area")[:, 0].numpy())
            if part == "normal":
                model.subsample_embedding(float(arrays["share"]))
    np.savez(args.output, scores=np.concatenate(scores), maps=np.concatenate(maps))
    print(json.dumps({"anomalib": importlib.metadata.version("anomalib"), "memory": len(model.memory_bank)}))


if __name__ == "__main__":
    main()
