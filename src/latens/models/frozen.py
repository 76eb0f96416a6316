"""A model whose encoder is given and stays as it is: a decoder is trained for what it sees."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latens.arrays import blocks, drawn_rows, gather
from latens.encoders import Encoder, recorded_encoder
from latens.errors import UsageError
from latens.images.pixels import composite, to_unit
from latens.losses import Losses, squared_error
from latens.models.checks import make_network
from latens.models.contract import Model
from latens.networks import Network

__all__ = ["FrozenEncoder", "FrozenModel"]

MOST_FITTED = 20_000  # train images of whose features the directions are found
TRIED = 4  # images, before a run is made
AT_ONCE = 32  # images; an encoder enlarges them to a few hundred pixels a side
ALIKE = 0.01  # share of the length of a feature vector that another machine or release may change
LINEAR = "linear-path"  # a network whose linear path is found together with its encoder's

Floats = NDArray[np.float32]


class FrozenModel(Model):
    """A given encoder that is not trained, and a decoder that is: a representation autoencoder.

    Args:
        image_shape: (C, H, W).
        latent_dim: D, at most the number of the encoder's features.
        network: a name of `NETWORKS`; its decoder is used.
        encoder: the name of an encoder, see `latens.encoders`. It is loaded when it is first needed.

    A latent is an image's features in their principal directions over the train images: each feature in units of its spread,
    rotated, and the D directions of most variance kept. So latents lie as near to each other as what the encoder sees, and maps
    show kinds of things where the encoder knows them. Colours and places that the encoder does not keep can't be rebuilt.

    Latents of images that it was prepared with are kept in memory, so that the encoder sees each image once.

    Raises:
        UsageError: no encoder is named, the network is `linear-path`, or a shape or dimension is not allowed.
        UnknownName: no such network.

    Source: Zheng et al., "Diffusion transformers with representation autoencoders", 2025.
    """

    encoder: "FrozenEncoder"
    reads_host = True
    trained_together = False

    def __init__(
        self, image_shape: tuple[int, int, int], latent_dim: int, network: str = "convolutional", encoder: str = ""
    ) -> None:
        if not isinstance(encoder, str) or not encoder:
            raise UsageError("the model frozen needs an encoder: --encoder timm:NAME, onnx:FILE or MODULE:NAME")
        if network == LINEAR:
            raise UsageError(
                f"the model frozen has no {LINEAR}, which is found with an encoder of its own; use another network"
            )
        made = make_network(image_shape, latent_dim, network)
        super().__init__(image_shape, Network(FrozenEncoder(encoder, latent_dim), made.decoder, made.latent_shape))

    def prepare(self, *parts: Any, progress: Callable[[int, int], None] | None = None) -> None:
        """Find the directions in the first part, unless they are known, and the latents of all; see `Prepared`.

        Raises:
            UsageError: the encoder can't be loaded or fails, or there are fewer features or images than `latent_dim`.
        """
        self.encoder.prepare([part for part in parts if len(part)], progress)

    def check(self, images: Any) -> None:
        """See that the encoder works on some images (N, C, H, W), and gives enough features, before anything is written.

        Raises:
            UsageError: it can't be loaded or fails, or gives fewer features than `latent_dim`.
        """
        count = self.encoder.seen.features(next(_as_models_see_them(images[:TRIED]))).shape[1]
        if count < self.latent_dim:
            raise UsageError(
                f"latent dimension is {self.latent_dim}; the encoder {self.encoder.seen.name} gives {count} features, so at most"
                f" {count} is possible"
            )

    def use_encoder(self, load: Callable[[], Encoder]) -> None:
        """Take the encoder from here when it is needed, in place of looking for its name."""
        self.encoder.seen.load = load

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The squared error of the reconstruction, one value a sample: (B, C, H, W) -> (B,)."""
        error = squared_error(x, self.decode(self.encode(x)))
        return Losses(error, {"squared_error": error})


class FrozenEncoder(nn.Module):
    """What a given encoder sees in images, in its principal directions: (B, C, H, W) -> (B, D).

    Args:
        name: of the encoder.
        latent_dim: D.

    `weight` (D, F), `bias` (D,) and `pattern` (F,), what the encoder sees in a fixed pattern, are buffers: empty until `prepare`
    has found them.
    """

    weight: Tensor
    bias: Tensor
    pattern: Tensor

    def __init__(self, name: str, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(latent_dim, 0))
        self.register_buffer("bias", torch.zeros(latent_dim))
        self.register_buffer("pattern", torch.zeros(0))
        self.seen = _Seen(name)
        self.register_load_state_dict_pre_hook(_sized_as_stored)  # type: ignore[no-untyped-call]  # torch has no types for it

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """The latents, without a gradient.

        Raises:
            UsageError: the encoder can't be loaded or fails, or was another one in training.
        """
        images = x.detach().float().cpu().contiguous().numpy()
        return torch.from_numpy(self._latents(images)).to(x.device, x.dtype)

    def prepare(self, parts: list[Any], progress: Callable[[int, int], None] | None = None) -> None:
        """See `FrozenModel.prepare`."""
        total, done = sum(map(len, parts)), 0
        if not self.weight.shape[1]:
            self._find_directions(parts[0], total, progress)
        for part in parts:
            for images in _as_models_see_them(part):
                keys = [_key(image) for image in images]
                if any(key not in self.seen.latents for key in keys):
                    self.seen.latents.update(zip(keys, self._latents(images), strict=True))
                done += len(images)
                if progress is not None:
                    progress(done, total)

    def _find_directions(self, learned: Any, total: int, progress: Callable[[int, int], None] | None) -> None:
        rows, found, images = drawn_rows(len(learned), MOST_FITTED), [], []
        for some in _as_models_see_them(gather(learned, rows)):
            images.append([_key(image) for image in some])
            found.append(self.seen.features(some))
            if progress is not None:
                progress(sum(map(len, images)), total)
        features, dim = np.concatenate(found).astype(np.float64), len(self.bias)
        most = min(features.shape[1], len(features) - 1)
        if dim > most:
            raise UsageError(
                f"latent dimension is {dim}; the encoder {self.seen.name} gives {features.shape[1]} features of {len(features)}"
                f" images, so at most {most} is possible"
            )
        mean, spread = features.mean(0), features.std(0)
        tiny = float(np.finfo(np.float32).tiny)
        scale = np.where(spread > 1e-6 * spread.max(), 1 / np.maximum(spread, tiny), 0)
        standard = (features - mean) * scale
        variances, directions = np.linalg.eigh(standard.T @ standard / len(standard))
        kept = np.ascontiguousarray(directions[:, ::-1][:, :dim].T)
        largest = kept[np.arange(dim), np.argmax(np.abs(kept), axis=1)]
        kept *= np.where(largest < 0, -1, 1)[:, None]  # the same sign on every machine
        unit = max(float(variances[::-1][:dim].mean()), tiny) ** -0.5
        weight = kept * scale * unit
        device = self.bias.device
        self.weight = torch.from_numpy(weight).float().to(device)
        self.bias = torch.from_numpy(-weight @ mean).float().to(device)
        self.pattern = torch.from_numpy(self.seen.of_pattern()).to(device)
        self.seen.checked = True
        self.seen.latents.update(
            (key, latent)
            for keys, some in zip(images, found, strict=True)
            for key, latent in zip(keys, self._projected(some), strict=True)
        )

    def _latents(self, images: Floats) -> Floats:
        """The latents of images, those of known ones from memory."""
        known = self.seen.latents
        latents = np.empty((len(images), len(self.bias)), np.float32)
        keys = [_key(image) if known else b"" for image in images]
        missing = [row for row, key in enumerate(keys) if key not in known]
        for row, key in enumerate(keys):
            if key in known:
                latents[row] = known[key]
        for start in range(0, len(missing), AT_ONCE):
            rows = missing[start : start + AT_ONCE]
            latents[rows] = self._projected(self._features(images[rows]))
        return latents

    def _features(self, images: Floats) -> Floats:
        if not self.weight.shape[1]:
            raise UsageError(
                "the model frozen has not seen its train images yet; train it, or call its prepare(images)"
            )
        self.seen.check(self.pattern)
        return self.seen.features(images)

    def _projected(self, features: Floats) -> Floats:
        found: Floats = features @ self.weight.cpu().numpy().T + self.bias.cpu().numpy()
        return found


class _Seen:
    """An encoder, loaded when it is needed, and the latents of images that were seen: no part of a model's weights."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.load: Callable[[], Encoder] = lambda: recorded_encoder(name)
        self.latents: dict[bytes, Floats] = {}
        self.checked = False
        self._encoder: Encoder | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Seen":
        return self  # a copy of a model sees the same

    def features(self, images: Floats) -> Floats:
        """What the encoder sees in images (B, C, H, W): (B, F)."""
        if self._encoder is None:
            self._encoder = self.load()
        return self._encoder.vectors(composite(images))

    def of_pattern(self) -> Floats:
        """What it sees in a fixed pattern, (F,)."""
        pattern = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
        found: Floats = self.features(pattern)[0]
        return found

    def check(self, pattern: Tensor) -> None:
        """Check once that it is the encoder of the training.

        Raises:
            UsageError: it sees other things in the pattern.
        """
        if self.checked:
            return
        then, now = pattern.cpu().numpy(), self.of_pattern()
        if then.shape != now.shape or np.linalg.norm(now - then) > ALIKE * np.linalg.norm(then):
            raise UsageError(
                f"encoder {self.name!r}: gives other features than when this model was trained; the same network with the same"
                " weights is needed"
            )
        self.checked = True


def _sized_as_stored(module: nn.Module, stored: dict[str, Any], prefix: str, *_: Any) -> None:
    """Make room for buffers whose size is known once they are found."""
    for name, buffer in list(module.named_buffers(recurse=False)):
        if prefix + name in stored:
            setattr(module, name, torch.zeros(stored[prefix + name].shape, dtype=buffer.dtype, device=buffer.device))


def _as_models_see_them(part: Any) -> Iterator[Floats]:
    """Images in blocks of floats in [0, 1], to the bit as training and encoding make them."""
    for block in blocks(part, AT_ONCE):
        yield to_unit(torch.from_numpy(np.array(block))).numpy()


def _key(image: Floats) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()
