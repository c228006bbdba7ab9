"""A data set of a task of GLUE."""

import logging
import os.path as osp

import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from torch import Tensor

from ..registry import DATASETS
from ..utils.check import check_in, check_keys, check_positive_int
from ..utils.errors import ValueRefusal
from .glue_files import TASKS, read_glue
from .tokenizer import load_tokenizer


@DATASETS.register_module()
@check_keys
class GLUEDataset(BaseDataset):
    """The tokens and labels of a task of GLUE.

    Inputs are ``[start, sentence, end]``, of pairs ``[start, first, delimiter,
    second, end]``. Pairs whose order has no meaning (MRPC, QQP, STS-B) come in both
    orders. Start is the first token after the tokenizer's, end the second,
    delimiter the third. Longer inputs than the context are left out (thesis,
    7.1.1).

    Args:
        task (str): ``'cola'``, ``'sst2'``, ``'rte'``, ``'qnli'``, ``'mrpc'``,
            ``'qqp'`` or ``'stsb'``.
        data_root (str): Folder of the GLUE download, with ``CoLA/train.tsv`` and
            so on.
        tokenizer (str): See :func:`load_tokenizer`.
        split (str): ``'train'``, the first 80% of ``train.tsv``; ``'val'``, its
            last 20%; or ``'test'``, ``dev.tsv`` (the labels of ``test.tsv`` are
            not public; thesis, 7.1.1). Defaults to ``'train'``.
        context (int): Longest input, in tokens. Defaults to 512.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If a file has another layout, or no input is short enough.
    """

    def __init__(
        self,
        task: str,
        data_root: str,
        tokenizer: str,
        split: str = 'train',
        context: int = 512,
    ) -> None:
        check_in('GLUEDataset', 'task', task, tuple(TASKS))
        check_in('GLUEDataset', 'split', split, ('train', 'val', 'test'))
        check_positive_int('GLUEDataset', 'context', context)
        self.task = TASKS[task]
        self.split, self.context = split, context
        self.tokenizer, self.vocab_size = tokenizer, 0
        super().__init__(
            data_root=data_root,
            metainfo=dict(classes=self.task.classes) if self.task.classes else None,
        )

    def load_data_list(self) -> list[dict]:
        """Read, split and tokenize the rows.

        Returns:
            list[dict]: ``tokens``, one or two lists, and ``gt_label`` or
            ``gt_score``.
        """
        name = 'dev.tsv' if self.split == 'test' else 'train.tsv'
        path = osp.join(self.data_root or '', self.task.folder, name)
        rows = read_glue(self.task, path)
        cut = len(rows) * 4 // 5
        rows = dict(train=rows[:cut], val=rows[cut:]).get(self.split, rows)
        key = 'gt_label' if self.task.labels else 'gt_score'
        inputs = self._inputs([sentences for sentences, _ in rows])
        found = [
            dict(tokens=tokens, **{key: label})
            for tokens, (_, label) in zip(inputs, rows, strict=True)
            if len(tokens[0]) <= self.context
        ]
        self._report(path, len(rows) - len(found), len(rows))
        return found

    def _inputs(self, rows: list[list[str]]) -> list[list[list[int]]]:
        """Token ids of each input, in one or two orders."""
        tokenizer = load_tokenizer(self.tokenizer)
        start = self.vocab_size = tokenizer.get_vocab_size()
        end, delimiter = start + 1, start + 2
        columns = [
            [encoded.ids for encoded in tokenizer.encode_batch(list(sentences))]
            for sentences in zip(*rows, strict=True)
        ]
        if len(columns) == 1:
            return [[[start, *ids, end]] for ids in columns[0]]
        orders = (1, -1) if self.task.similarity else (1,)
        return [
            [[start, *pair[0], delimiter, *pair[1], end] for pair in both]
            for both in (
                [pair[::step] for step in orders] for pair in zip(*columns, strict=True)
            )
        ]

    def _report(self, path: str, left_out: int, total: int) -> None:
        if total and left_out == total:
            raise ValueRefusal(
                f'GLUEDataset: all {total} inputs of {path!r} are longer than '
                f'context={self.context} tokens. Set a longer context.'
            )
        if left_out:
            print_log(
                f'GLUEDataset: {left_out} of {total} inputs of {path!r} are longer than '
                f'{self.context} tokens and are left out.',
                logger='current',
                level=logging.WARNING,
            )

    def prepare_data(self, idx: int) -> dict[str, Tensor | BaseDataElement]:
        """``inputs`` of shape (L,) or (2, L), int64, and ``data_samples`` with
        ``gt_label`` (int64) or ``gt_score`` (float32), each of shape (1,)."""
        info = self.get_data_info(idx)
        tokens = torch.tensor(info['tokens'])
        sample = BaseDataElement(
            metainfo=dict(sample_idx=idx, vocab_size=self.vocab_size)
        )
        if self.task.labels:
            sample.gt_label = torch.tensor([info['gt_label']])
        else:
            sample.gt_score = torch.tensor([info['gt_score']], dtype=torch.float32)
        return dict(
            inputs=tokens if self.task.similarity else tokens[0], data_samples=sample
        )


__all__ = ['GLUEDataset']
