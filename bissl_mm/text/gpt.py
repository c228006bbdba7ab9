"""GPT and its language model loss, the pretext task."""

from typing import Any

import torch
from mmengine.model import BaseModel, BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS
from ..utils.check import check_in, check_keys, check_positive_int
from ..utils.errors import RuntimeRefusal, ValueRefusal
from .gpt_block import Block
from .token_preprocessor import PADDING


@MODELS.register_module()
@check_keys
class GPTBackbone(BaseModule):
    """The embeddings and blocks of the first GPT (thesis, 2.3 and B).

    Tensors have the names and shapes of ``OpenAIGPTLMHeadModel`` of the library
    transformers (``transformer.*``), so its weights load without a conversion. The
    output layer of the language model has no weights of its own: it is the token
    embedding again. The defaults are those of the published model, 117 million
    weights (thesis, Table B.1).

    Args:
        vocab_size (int): Tokens, those of the tokenizer. Defaults to 40478.
        context (int): Longest sequence, in tokens. Defaults to 512.
        embed_dims (int): Width. Blocks are four times as wide. Defaults to 768.
        num_layers (int): Number of blocks. Defaults to 12.
        num_heads (int): Attention heads; they divide the width. Defaults to 12.
        dropout (float): Of embeddings, attention and blocks. Defaults to 0.1.
        init_cfg (dict, optional): See ``BaseModule``.
    """

    def __init__(
        self,
        vocab_size: int = 40478,
        context: int = 512,
        embed_dims: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        dropout: float = 0.1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        for name, value in dict(
            vocab_size=vocab_size,
            context=context,
            embed_dims=embed_dims,
            num_layers=num_layers,
            num_heads=num_heads,
        ).items():
            check_positive_int('GPTBackbone', name, value)
        if embed_dims % num_heads:
            raise ValueRefusal(
                f'GPTBackbone: embed_dims={embed_dims} does not divide into '
                f'num_heads={num_heads}. Set a divisor of embed_dims.'
            )
        self.context = context
        self.transformer: Any = nn.ModuleDict(
            dict(
                tokens_embed=nn.Embedding(vocab_size, embed_dims),
                positions_embed=nn.Embedding(context, embed_dims),
                h=nn.ModuleList(
                    Block(embed_dims, num_heads, dropout) for _ in range(num_layers)
                ),
            )
        )
        self.drop = nn.Dropout(dropout)
        for name in ('tokens_embed', 'positions_embed'):
            nn.init.normal_(self.transformer[name].weight, std=0.02)

    @property
    def tokens(self) -> Tensor:
        """The token embedding, shape (vocab_size, embed_dims)."""
        return self.transformer['tokens_embed'].weight

    def forward(self, embedded: Tensor) -> Tensor:
        """Hidden states after the last block.

        Args:
            embedded (Tensor): Embedded tokens without their positions, shape
                (N, L, embed_dims).

        Returns:
            Tensor: Shape (N, L, embed_dims).

        Raises:
            ValueError: If L exceeds the context.
        """
        length = embedded.shape[1]
        if length > self.context:
            raise ValueRefusal(
                f'GPTBackbone: a sequence has {length} tokens, more than '
                f'the context of {self.context}. Set the same context in the data '
                'set and in the backbone.'
            )
        positions = self.transformer['positions_embed'].weight[:length]
        hidden = self.drop(embedded + positions)
        for block in self.transformer['h']:
            hidden = block(hidden)
        return hidden


def embed(ids: Tensor, *rows: Tensor) -> Tensor:
    """Embed tokens whose rows are kept in several tensors.

    Args:
        ids (Tensor): Shape (N, L). Padding gets the first row.
        rows (Tensor): Each of shape (V_i, D); token ids count through them.

    Returns:
        Tensor: Shape (N, L, D).
    """
    embedded, start = F.embedding(ids.clamp(0, len(rows[0]) - 1), rows[0]), 0
    for before, these in zip(rows, rows[1:], strict=False):
        start += len(before)
        inside = (ids - start).clamp(0, len(these) - 1)
        mask = (ids >= start)[..., None]
        embedded = torch.where(mask, F.embedding(inside, these), embedded)
    return embedded


def next_token_loss(hidden: Tensor, ids: Tensor, *rows: Tensor) -> Tensor:
    """Mean cross entropy of the next token over all tokens but the first ones.

    The output layer is the token embedding (thesis, eq. 2.2).

    Args:
        hidden (Tensor): Hidden states, shape (N, L, D).
        ids (Tensor): Shape (N, L), padded with -1. Padding has no loss.
        rows (Tensor): As those of :func:`embed`.

    Returns:
        Tensor: A scalar.
    """
    targets = ids[:, 1:]
    real = targets != PADDING
    states = hidden[:, :-1][real]
    logits = torch.cat([F.linear(states, these) for these in rows], -1)
    return F.cross_entropy(logits, targets[real])


@MODELS.register_module()
@check_keys
class GPTLanguageModel(BaseModel):
    """GPT that predicts the next token, the pretext model of the thesis.

    It has no head: all its parameters are the backbone's (thesis, 2.3.3, 5.4).

    Args:
        backbone (dict): Config of :class:`GPTBackbone`.
        data_preprocessor (dict, optional): Defaults to
            :class:`TokenPreprocessor`.
        init_cfg (dict, optional): See ``BaseModule``.
    """

    def __init__(
        self,
        backbone: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            data_preprocessor or dict(type='bissl_mm.TokenPreprocessor'), init_cfg
        )
        self.backbone = MODELS.build(backbone)
        preprocessor: Any = self.data_preprocessor
        preprocessor.vocab_size = len(self.backbone.tokens)
        preprocessor.pretext_vocab_size = len(self.backbone.tokens)

    def forward(self, inputs, data_samples=None, mode: str = 'tensor'):
        """The loss of a batch, or its hidden states.

        Args:
            inputs (Tensor): Token ids, shape (N, L), padded with -1.
            data_samples (list, optional): Not used.
            mode (str): ``'loss'`` or ``'tensor'``.

        Returns:
            dict or Tensor: ``loss``, or hidden states of shape (N, L, D).

        Raises:
            RuntimeError: For predictions, which the pretext model has none of.
        """
        check_in('GPTLanguageModel', 'mode', mode, ('loss', 'predict', 'tensor'))
        if mode == 'predict':
            raise RuntimeRefusal(
                'GPTLanguageModel has no predictions to evaluate. Remove '
                'val_dataloader, val_evaluator and val_cfg from the config of the '
                'pretraining.'
            )
        tokens = self.backbone.tokens
        hidden = self.backbone(embed(inputs, tokens))
        if mode == 'tensor':
            return hidden
        return dict(loss=next_token_loss(hidden, inputs, tokens))


__all__ = ['GPTBackbone', 'GPTLanguageModel', 'embed', 'next_token_loss']
