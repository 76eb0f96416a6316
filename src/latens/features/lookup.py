"""The choice of the features for a data set."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latens.arrays import blocks
from latens.device import choose_device
from latens.errors import RunDamaged
from latens.features.features import Features
from latens.features.fitting import images_to_see, random_network, train_network
from latens.features.network import FeatureNetwork
from latens.files import cache_folder, read_safetensors, write_safetensors
from latens.images import Dataset, Images
from latens.progress import Progress, Silent

__all__ = ["SHIPPED", "features_for", "load_network", "save_network"]

FOLDER = Path(__file__).parent
VERSION = 1  # of the network and of how it is trained: networks of another version in the cache are left alone
# SHA-256 of the train pixels, so that MNIST is recognised wherever it was loaded from.
SHIPPED = {
    "mnist": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "fashion-mnist": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
}


def features_for(images: Dataset, progress: Progress | None = None, *, device: str = "cpu") -> Features:
    """The features by which samples of a model of these images are scored.

    MNIST and Fashion-MNIST have a classifier that ships with latens (see benchmarks/features.py). For other data with two
    classes or more a classifier is trained on the train part, once, and kept in the cache folder. Without labels it is a
    network with fixed random weights.

    Args:
        images: the data set.
        progress: shows how far training is.
        device: where features are computed.
    """
    shipped = _shipped(images)
    if shipped is not None:
        name, network = f"{shipped} classifier", load_network(FOLDER / f"{shipped}.safetensors")
    elif images.num_classes >= 2 and images.train.labels is not None and len(np.unique(images.train.labels)) >= 2:
        name, network = "classifier of this data", _trained(images.train, progress or Silent())
    else:
        name, network = "whitened random convolutions", random_network(images.train.inputs)
    return Features(name, network.to(choose_device(device)), images.shape, rounds=images.format.is_plain)


def load_network(path: Path) -> FeatureNetwork:
    """The network that `save_network` wrote.

    Raises:
        RunDamaged: the file is not there or is not that.
    """
    weights = read_safetensors(path)
    classes = weights.get("classifier.bias")
    try:
        with torch.device("meta"):  # made without drawing weights
            network = FeatureNetwork(weights["convolutions.0.weight"].shape[1], 0 if classes is None else len(classes))
        network.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, assign=True)
    except (KeyError, IndexError, RuntimeError):
        raise RunDamaged(f"{path}: not the weights of a feature network; remove it, and it is made again") from None
    return network.eval()


def save_network(path: Path, network: FeatureNetwork) -> None:
    """Write a network, in float16, the precision that its weights have."""
    weights: dict[str, Tensor] = {name: tensor.to(torch.float16) for name, tensor in network.state_dict().items()}
    write_safetensors(path, weights, {"kind": "feature network", "version": str(VERSION)})


def _shipped(images: Dataset) -> str | None:
    if images.shape != (1, 28, 28) or images.num_classes != 10 or not images.format.is_plain:
        return None
    if images.source in SHIPPED:
        return images.source
    if len(images.train) != 60_000:
        return None
    digest = hashlib.sha256()
    for block in blocks(images.train.pixels, 4096):
        digest.update(np.ascontiguousarray(block).data)
    return next((name for name, sha256 in SHIPPED.items() if sha256 == digest.hexdigest()), None)


def _trained(train: Images, progress: Progress) -> FeatureNetwork:
    path = cache_folder() / "features" / f"{train.fingerprint[:32]}-v{VERSION}.safetensors"
    if path.exists():
        try:
            return load_network(path)
        except RunDamaged:
            pass  # the cache holds what can be made again
    assert train.labels is not None, "a classifier is trained on labels"
    with progress.stage("features", "images") as tick:
        network = train_network(
            train.inputs,
            train.labels,
            train.num_classes,
            num_seen=images_to_see(len(train), *train.shape[1:]),
            progress=tick,
        )
    save_network(path, network)
    return network
