"""Joins the token sequences of a batch."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from ..registry import MODELS
from ..utils.errors import ValueRefusal

#: In place of the tokens after the end of a shorter sequence.
PADDING = -1


@MODELS.register_module()
class TokenPreprocessor(BaseDataPreprocessor):
    """Pads the sequences of a batch on the right, to the longest one.

    The models read no padding: each token attends to earlier tokens alone, and
    losses leave padding out.

    Args:
        vocab_size (int, optional): Number of tokens that the model knows. The
            models set it themselves. Defaults to None, not checked.
        pretext_vocab_size (int, optional): How many of them the pretext model
            knows, likewise.
        non_blocking (bool): See ``BaseDataPreprocessor``. Defaults to False.
    """

    def __init__(
        self,
        vocab_size: int | None = None,
        pretext_vocab_size: int | None = None,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        self.vocab_size = vocab_size
        self.pretext_vocab_size = pretext_vocab_size

    def forward(self, data: dict, training: bool = False) -> dict:
        """Pad and move a batch.

        Args:
            data (dict): ``inputs``: N sequences of token ids, each of shape
                (L,), or (2, L) for two orders of a pair; or all in one tensor.
            training (bool): Without effect.

        Returns:
            dict: The same with ``inputs`` of shape (N, L) or (N, 2, L), int64,
            padded with -1.

        Raises:
            ValueError: If the model has no embedding of a token, or if its new tokens
                have other numbers than those of the data.
        """
        self._check_vocabulary(data)
        inputs = data['inputs']
        if not isinstance(inputs, Tensor):
            inputs = _padded(inputs)
        largest = int(inputs.max())
        if self.vocab_size is not None and largest >= self.vocab_size:
            raise ValueRefusal(
                f'The data have the token {largest}, but the model knows '
                f'{self.vocab_size} tokens (0 to {self.vocab_size - 1}). Give the '
                "backbone the tokenizer's vocab_size and the head the task's "
                'new_tokens, or prepare the text with another tokenizer.'
            )
        cast: Any = self.cast_data(dict(data, inputs=inputs))
        return cast

    def _check_vocabulary(self, data: dict) -> None:
        sample = (data.get('data_samples') or (None,))[0]
        found = getattr(sample, 'vocab_size', None)
        if self.pretext_vocab_size not in (None, found) and found is not None:
            raise ValueRefusal(
                f'The tokenizer of the data has {found} tokens, but the backbone has '
                f'vocab_size={self.pretext_vocab_size}. Type export '
                f'BISSL_VOCAB_SIZE={found}, or set vocab_size of the backbones.'
            )


def _padded(sequences: Sequence[Tensor]) -> Tensor:
    longest = max(each.shape[-1] for each in sequences)
    padded = sequences[0].new_full(
        (len(sequences), *sequences[0].shape[:-1], longest), PADDING
    )
    for row, each in zip(padded, sequences, strict=True):
        row[..., : each.shape[-1]] = each
    return padded.to(torch.int64)


__all__ = ['PADDING', 'TokenPreprocessor']
