"""A distribution over rows of codes, told one after the other: what `Quantised` samples from."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CodePrior"]


class CodePrior(nn.Module):
    """How probable a row of D codes is, as the product over places of the probability of a code given those before it.

    Args:
        num_places: D.
        levels: L, the number of values that a code can have: 0 to L - 1.
        width: hidden units.

    Each code before a place adds a vector of its own to what the place sees; one hidden layer of the place's own makes
    probabilities of the sum. All places are trained at once, and to sample takes D short steps.

    Source: Larochelle and Murray, "The neural autoregressive distribution estimator", 2011, equations 4 and 5, with a vector
    for each
    value of a code in place of one for each bit.

    >>> prior = CodePrior(3, 5)
    >>> prior.nll(prior.sample(4)).shape
    torch.Size([4])
    """

    before: Tensor  # (D, D), which places each place sees, and by what their sum is divided

    def __init__(self, num_places: int, levels: int, width: int = 128) -> None:
        super().__init__()
        self.num_places, self.levels, self.width = num_places, levels, width
        self.told = nn.Parameter(torch.randn(num_places, levels * width))  # by a code, to the places after it
        self.readout = nn.Parameter(torch.randn(num_places, width, levels) * width**-0.5)
        # Kept as single rows: what is no matrix is no work for Muon.
        self.hidden_bias = nn.Parameter(torch.zeros(num_places * width))
        self.bias = nn.Parameter(torch.zeros(num_places * levels))
        rows = torch.ones(num_places, num_places).tril(-1)
        self.register_buffer("before", rows / rows.sum(1, keepdim=True).clamp(min=1).sqrt(), persistent=False)

    def nll(self, codes: Tensor) -> Tensor:
        """The negative log-likelihood: int64 (B, D) in 0 to L - 1 -> (B,), nats."""
        places = torch.arange(self.num_places, device=codes.device)
        told = F.embedding(codes + self.levels * places, self.told.view(-1, self.width))  # (B, D, width)
        hidden = F.silu(self.before @ told + self.hidden_bias.view(-1, self.width))
        logits = (hidden.transpose(0, 1) @ self.readout).transpose(0, 1) + self.bias.view(-1, self.levels)  # (B, D, L)
        return F.cross_entropy(logits.flatten(0, 1), codes.flatten(), reduction="none").view(codes.shape).sum(1)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """New rows of codes: int64 (n, D)."""
        codes = torch.empty(n, self.num_places, dtype=torch.long, device=self.told.device)
        seen = torch.zeros(n, self.width, device=self.told.device, dtype=self.told.dtype)
        told, hidden_bias = self.told.view(-1, self.levels, self.width), self.hidden_bias.view(-1, self.width)
        for place, bias in enumerate(self.bias.view(-1, self.levels)):
            hidden = F.silu(seen / max(place, 1) ** 0.5 + hidden_bias[place])
            probabilities = (hidden @ self.readout[place] + bias).softmax(1)
            codes[:, place] = torch.multinomial(probabilities, 1, generator=generator)[:, 0] if n else 0
            seen += told[place, codes[:, place]]
        return codes
