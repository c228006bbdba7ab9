"""GPT with a task of GLUE, the downstream model."""

from typing import Any

import torch
from mmengine.model import BaseModel, BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from ..registry import MODELS
from ..utils.check import check_in, check_keys, check_non_negative, check_positive_int
from .gpt import embed, next_token_loss
from .token_preprocessor import PADDING


@MODELS.register_module()
@check_keys
class GPTHead(BaseModule):
    r"""The parameters :math:`\phi_D` of a task: a linear layer, and the embedding
    rows of the tokens that only the task has (thesis, 5.4.1).

    The thesis splits one embedding matrix by rows. Here the new rows are a tensor
    of their own, which is the same function: the pretext model's tokens are
    paired with the backbone's as a whole, and the new ones belong to the head.

    Args:
        num_classes (int): Outputs; 1 for a regression. Defaults to 2.
        new_tokens (int): Start and end, and for pairs a delimiter. Defaults to
            3.
        embed_dims (int): Width of the backbone. Defaults to 768.
        dropout (float): Of the hidden states before both output layers (thesis,
            7.1.2). Defaults to 0.1.
        init_cfg (dict, optional): See ``BaseModule``.
    """

    def __init__(
        self,
        num_classes: int = 2,
        new_tokens: int = 3,
        embed_dims: int = 768,
        dropout: float = 0.1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        for name, value in (('num_classes', num_classes), ('new_tokens', new_tokens)):
            check_positive_int('GPTHead', name, value)
        self.num_classes = num_classes
        self.tokens = nn.Parameter(torch.empty(new_tokens, embed_dims))
        self.fc = nn.Linear(embed_dims, num_classes, bias=False)
        self.dropout = nn.Dropout(dropout)
        # As the backbone's own embeddings.
        for weight in (self.tokens, self.fc.weight):
            nn.init.normal_(weight, std=0.02)


@MODELS.register_module()
@check_keys
class GPTClassifier(BaseModel):
    r"""GPT that classifies or scores a sentence, or a pair of sentences.

    The loss is :math:`L^{task} + \nu L^{GPT}` (thesis, eq. 2.3). The task's loss is
    the cross entropy, or the mean squared error of a single output. The language
    model's loss is that of the task's own sentences. For a pair in both orders
    the hidden states of both are summed before the linear layer, and the language
    model's loss is the mean over the tokens of both.

    Args:
        backbone (dict): Config of :class:`GPTBackbone`.
        head (dict): Config of :class:`GPTHead`.
        lm_weight (float): :math:`\nu`. Defaults to 0.5.
        data_preprocessor (dict, optional): Defaults to
            :class:`TokenPreprocessor`.
        init_cfg (dict, optional): See ``BaseModule``.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        lm_weight: float = 0.5,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_non_negative('GPTClassifier', 'lm_weight', lm_weight)
        super().__init__(
            data_preprocessor or dict(type='bissl_mm.TokenPreprocessor'), init_cfg
        )
        self.backbone = MODELS.build(backbone)
        self.head = MODELS.build(
            dict(embed_dims=self.backbone.tokens.shape[1]) | dict(head)
        )
        self.lm_weight = lm_weight
        preprocessor: Any = self.data_preprocessor
        preprocessor.vocab_size = sum(map(len, self._rows()))
        preprocessor.pretext_vocab_size = len(self.backbone.tokens)

    def forward(self, inputs, data_samples=None, mode: str = 'tensor') -> Any:
        """The losses of a batch, its predictions, or its outputs.

        Args:
            inputs (Tensor): Token ids, shape (N, L), or (N, 2, L) for pairs in
                both orders; padded on the right with -1.
            data_samples (list[DataElement], optional): With ``gt_label``, or for
                a regression ``gt_score``.
            mode (str): ``'loss'``, ``'predict'`` or ``'tensor'``.

        Returns:
            dict, list or Tensor: ``loss_task`` and ``loss_lm``; the samples with
            ``pred_score`` (the outputs) and ``pred_label``; or outputs of shape
            (N, num_classes).
        """
        check_in('GPTClassifier', 'mode', mode, ('loss', 'predict', 'tensor'))
        ids = inputs.flatten(0, -2)
        hidden = self._hidden(ids)
        outputs = self.head.fc(self._final(hidden, ids, len(inputs)))
        if mode == 'tensor':
            return outputs
        samples: Any = data_samples
        if mode == 'predict':
            return _predicted(outputs, samples)
        losses = dict(loss_task=self._task_loss(outputs, samples))
        if self.lm_weight:
            loss = next_token_loss(hidden, ids, *self._rows())
            losses['loss_lm'] = self.lm_weight * loss
        return losses

    def transfer_features(self, inputs: Tensor) -> Tensor:
        """What the output layer gets: the last token's hidden states.

        Args:
            inputs (Tensor): See :meth:`forward`.

        Returns:
            Tensor: Shape (N, embed_dims); of pairs in both orders their sum.
        """
        ids = inputs.flatten(0, -2)
        return self._final(self._hidden(ids), ids, len(inputs))

    def _hidden(self, ids: Tensor) -> Tensor:
        return self.head.dropout(self.backbone(embed(ids, *self._rows())))

    def _final(self, hidden: Tensor, ids: Tensor, number: int) -> Tensor:
        last = (ids != PADDING).sum(1) - 1
        final = hidden[torch.arange(len(ids), device=ids.device), last]
        return final.view(number, -1, final.shape[1]).sum(1)

    def _rows(self) -> tuple[Tensor, Tensor]:
        """The embedding of all tokens: the backbone's, then the head's."""
        return self.backbone.tokens, self.head.tokens

    def _task_loss(self, outputs: Tensor, samples: list) -> Tensor:
        if self.head.num_classes == 1:
            scores = torch.cat([sample.gt_score for sample in samples])
            return F.mse_loss(outputs.flatten(), scores.to(outputs))
        labels = torch.cat([sample.gt_label for sample in samples])
        return F.cross_entropy(outputs, labels.to(outputs.device))


def _predicted(outputs: Tensor, samples: list) -> list:
    for sample, output in zip(samples, outputs, strict=True):
        sample.pred_score = output
        sample.pred_label = output.argmax()[None]
    return samples


__all__ = ['GPTClassifier', 'GPTHead']
