"""An autoregressive distribution over rows of codes, from which `QuantisedModel` samples."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CodePrior"]

UNITS_A_PLACE, FEWEST_UNITS = 4, 64


class CodePrior(nn.Module):
    """The probability of a row of D codes, as the product of the probabilities of each code given those before it.

    Args:
        num_places: D.
        levels: L, the number of values that a code can have: 0 to L - 1.

    Two hidden layers. Each hidden unit belongs to a place: it is connected to the codes and units of that place and of the places
    before it, and to the outputs of the places after it. So one pass gives the probabilities of all places; sampling takes D
    short steps.

    Source: Germain et al., "MADE: masked autoencoder for distribution estimation", 2015, section 4, with the degrees of the
    units in
    order and the second hidden layer added to the first.

    >>> prior = CodePrior(3, 5)
    >>> prior.nll(prior.sample(4)).shape
    torch.Size([4])
    """

    input_mask: Tensor  # (U, D * L), the codes that each unit is connected to
    hidden_mask: Tensor  # (U, U), the units that each unit is connected to
    output_mask: Tensor  # (D * L, U), the units that each code's probability depends on

    def __init__(self, num_places: int, levels: int) -> None:
        super().__init__()
        self.num_places, self.levels = num_places, levels
        self.units = max(UNITS_A_PLACE, -(-FEWEST_UNITS // num_places))  # of each place, in each layer
        code_place = torch.arange(num_places).repeat_interleave(levels)
        unit_place = torch.arange(num_places).repeat_interleave(self.units)
        self.register_buffer("input_mask", (unit_place[:, None] >= code_place).float(), persistent=False)
        self.register_buffer("hidden_mask", (unit_place[:, None] >= unit_place).float(), persistent=False)
        self.register_buffer("output_mask", (code_place[:, None] > unit_place).float(), persistent=False)
        width = len(unit_place)
        # Stored as vectors, so that Adam trains them: Muon's steps would go into the masked entries, and it learns slower here.
        self.first = nn.Parameter(torch.randn(self.input_mask.numel()) / num_places**0.5)
        self.second = nn.Parameter(torch.randn(self.hidden_mask.numel()) / width**0.5)
        self.last = nn.Parameter(torch.randn(self.output_mask.numel()) * 0.3 / width**0.5)
        self.first_bias, self.second_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.last_bias = nn.Parameter(torch.zeros(len(code_place)))

    def _weights(self) -> tuple[Tensor, Tensor, Tensor]:
        masks = (self.input_mask, self.hidden_mask, self.output_mask)
        first, second, last = (
            w.view_as(m) * m for w, m in zip((self.first, self.second, self.last), masks, strict=True)
        )
        return first, second, last

    def logits(self, codes: Tensor) -> Tensor:
        """The logits of the codes of each place: int64 (B, D) -> (B, D, L)."""
        first, second, last = self._weights()
        levels = torch.arange(self.levels, device=codes.device)
        one_hot = (codes[..., None] == levels).flatten(1).to(first.dtype)  # (B, D * L)
        hidden = F.linear(one_hot, first, self.first_bias)
        hidden = hidden + F.linear(F.silu(hidden), second, self.second_bias)
        return F.linear(F.silu(hidden), last, self.last_bias).view(-1, self.num_places, self.levels)

    def nll(self, codes: Tensor) -> Tensor:
        """The negative log-likelihood: int64 (B, D) in 0 to L - 1 -> (B,), nats."""
        logits = self.logits(codes).flatten(0, 1)
        return F.cross_entropy(logits, codes.flatten(), reduction="none").view(codes.shape).sum(1)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """New rows of codes: int64 (n, D)."""
        first, second, last = self._weights()
        codes = torch.zeros(n, self.num_places, dtype=torch.long, device=first.device)
        hidden = self.first_bias.repeat(n, 1)
        for place in range(self.num_places if n else 0):
            known = place * self.units  # units that are final
            row = slice(place * self.levels, (place + 1) * self.levels)
            seen = hidden[:, :known]
            deep = seen + F.linear(F.silu(seen), second[:known, :known], self.second_bias[:known])
            logits = F.linear(F.silu(deep), last[row, :known], self.last_bias[row])
            codes[:, place] = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
            hidden += first[:, row].T[codes[:, place]]
        return codes
