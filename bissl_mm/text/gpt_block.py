"""A transformer block of the first GPT.

torch's own layer has other names of its tensors than the published weights, and a
dropout that GPT does not have.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Projection(nn.Module):
    """A linear layer ``x W + b`` whose W is stored as (inputs, outputs).

    Args:
        inputs (int): Number of inputs.
        outputs (int): Number of outputs.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., inputs) to (..., outputs)."""
        return F.linear(x, self.weight.T, self.bias)


class Attention(nn.Module):
    """Each token attends to itself and to earlier ones (thesis, B.1).

    Args:
        dims (int): Width.
        num_heads (int): Heads; they divide the width.
        dropout (float): Of the attention and of the result.
    """

    def __init__(self, dims: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.c_attn = Projection(dims, 3 * dims)
        self.c_proj = Projection(dims, dims)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, L, dims), in and out."""
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in self.c_attn(x).chunk(3, -1)
        )
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=True,
        )
        return self.drop(self.c_proj(mixed.transpose(1, 2).flatten(2)))


class FeedForward(nn.Module):
    """Two layers with GELU between them, in GPT's form by a hyperbolic tangent.

    Args:
        dims (int): Width; within it is four times that.
        dropout (float): Of the result.
    """

    def __init__(self, dims: int, dropout: float) -> None:
        super().__init__()
        self.c_fc = Projection(dims, 4 * dims)
        self.c_proj = Projection(4 * dims, dims)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., dims), in and out."""
        return self.drop(self.c_proj(F.gelu(self.c_fc(x), approximate='tanh')))


class Block(nn.Module):
    """Attention and two layers, each followed by a norm of the sum (thesis, B).

    Args:
        dims (int): Width.
        num_heads (int): Attention heads.
        dropout (float): See the parts.
    """

    def __init__(self, dims: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attn = Attention(dims, num_heads, dropout)
        self.ln_1 = nn.LayerNorm(dims)
        self.mlp = FeedForward(dims, dropout)
        self.ln_2 = nn.LayerNorm(dims)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (N, L, dims), in and out."""
        x = self.ln_1(x + self.attn(x))
        return self.ln_2(x + self.mlp(x))


__all__ = ['Block']
