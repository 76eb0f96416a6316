"""The feature network: its last layer but one gives the features of generation scores, for images of any size."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

__all__ = ["DIM", "FeatureNetwork", "folded"]

DIM = 64  # features of a picture
LARGEST_SIDE = 64  # pixels; larger pictures are averaged down to at most that
WIDTHS = (16, 32, 64, 64)
STRIDES = (2, 1, 2, 2)
GRID = 4  # what is left of height and width before the features


class FeatureNetwork(nn.Module):
    """Four convolutions, the features (a linear layer), and where there are classes a classifier on them.

    While it is trained, batch normalisation follows each layer; `folded` puts it into the weights.

    Args:
        channels: of the pictures.
        num_classes: 0 for none.
        normalised: whether batch normalisation is there.
    """

    scale: Tensor
    centre: Tensor | None
    whitening: Tensor | None

    def __init__(self, channels: int, num_classes: int, *, normalised: bool = False) -> None:
        super().__init__()
        inputs = (channels, *WIDTHS[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3 if number else 5, stride, 1 if number else 2, bias=not normalised)
            for number, (before, after, stride) in enumerate(zip(inputs, WIDTHS, STRIDES, strict=True))
        )
        self.to_features = nn.Linear(WIDTHS[-1] * GRID**2, DIM, bias=not normalised)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in WIDTHS) if normalised else None
        self.feature_norm = nn.BatchNorm1d(DIM) if normalised else None
        self.classifier = nn.Linear(DIM, num_classes) if num_classes else None
        self.register_buffer("scale", torch.ones(()))
        # Not among the weights: they follow from weights and images, and their last bits differ from machine to machine.
        self.register_buffer("centre", None, persistent=False)
        self.register_buffer("whitening", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, 64) of pictures (B, C, H, W) in [0, 1]."""
        factor = -(-max(x.shape[2:]) // LARGEST_SIDE)
        if factor > 1:
            x = F.avg_pool2d(x, factor, ceil_mode=True)
        for number, convolution in enumerate(self.convolutions):
            x = convolution(x)
            x = F.silu(x if self.norms is None else self.norms[number](x))
        features: Tensor = self.to_features(F.adaptive_avg_pool2d(x, GRID).flatten(1))
        features = features if self.feature_norm is None else self.feature_norm(features)
        if self.centre is not None and self.whitening is not None:
            features = (features - self.centre) @ self.whitening
        return features * self.scale

    def logits(self, features: Tensor) -> Tensor:
        """Logits (B, K) of features (B, 64)."""
        assert self.classifier is not None, "a network without classes has no classifier"
        logits: Tensor = self.classifier(F.silu(features / self.scale))
        return logits


def folded(network: FeatureNetwork) -> FeatureNetwork:
    """The same function as a normalised network in evaluation, without its normalisation."""
    norms, feature_norm = network.norms, network.feature_norm
    assert norms is not None, "there is something to fold"
    assert feature_norm is not None, "there is something to fold"
    network.eval()
    channels = network.convolutions[0].in_channels
    assert isinstance(channels, int)
    with torch.device("meta"):  # made without drawing weights
        plain = FeatureNetwork(channels, 0)
    plain.convolutions = nn.ModuleList(
        fuse_conv_bn_eval(convolution, norm)  # type: ignore[type-var, arg-type]
        for convolution, norm in zip(network.convolutions, norms, strict=True)
    )
    plain.to_features = fuse_linear_bn_eval(network.to_features, feature_norm)
    plain.classifier = network.classifier
    plain.scale = network.scale.clone()
    return plain.eval()
