"""anomalib's PatchCore on feature maps that are given: scores and maps of new images.

    python anomalib_patchcore.py IN.npz OUT.npz

Needs anomalib. IN has `normal_K` (N, F, h, w) and `tested_K` (M, F, h, w) for each layer K, and `size` (H, W) of the maps; OUT
gets `scores` (M,) and `maps` (M, H, W). The network is replaced by these maps; all else is anomalib's: averaging, memory of a
tenth of the patches, the weight of the nine nearest, smoothing. Prints its version as JSON.
"""

import importlib.metadata
import json
import sys

import numpy as np
import torch
from torch import nn

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # torchvision's own operators are built for CUDA's build of torch. PatchCore uses none; anomalib only imports them.
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor")

from anomalib.models.image.patchcore.torch_model import PatchcoreModel

AT_ONCE = 16  # images
SHARE = 0.1  # of the patches that are kept in memory, anomalib's default


class Given(nn.Module):
    """Gives the feature maps of the rows that stand for images."""

    def __init__(self) -> None:
        super().__init__()
        self.maps: dict[str, torch.Tensor] = {}

    def forward(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        return {name: one[rows[:, 0, 0, 0].long()] for name, one in self.maps.items()}


def main() -> None:
    torch.manual_seed(0)
    with np.load(sys.argv[1]) as arrays:
        layers = sorted(name for name in arrays if name.startswith("normal_"))
        parts = {
            part: {name: torch.from_numpy(arrays[name.replace("normal", part)]) for name in layers}
            for part in ("normal", "tested")
        }
        height, width = (int(side) for side in arrays["size"])
    model = PatchcoreModel(backbone="resnet18", layers=layers, pre_trained=False)
    model.feature_extractor = Given()

    def through(part: str) -> list:
        model.feature_extractor.maps = parts[part]
        count = len(parts[part][layers[0]])
        rows = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(-1, 1, height, width)
        with torch.no_grad():
            return [model(rows[start : start + AT_ONCE]) for start in range(0, count, AT_ONCE)]

    model.train()
    found = through("normal")
    model.subsample_embedding(SHARE, embeddings=torch.cat(found)) if found else None
    model.eval()
    results = through("tested")
    scores = torch.cat([one.pred_score.reshape(-1) for one in results]).numpy()
    maps = torch.cat([one.anomaly_map.reshape(-1, height, width) for one in results]).numpy()
    np.savez(sys.argv[2], scores=scores, maps=maps)
    print(json.dumps({"anomalib": importlib.metadata.version("anomalib")}))


if __name__ == "__main__":
    main()
