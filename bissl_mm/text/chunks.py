"""Text in chunks of equal length, the data of the pretext task."""

import json
import os.path as osp
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset

from ..registry import DATASETS
from ..utils.check import check_keys, check_positive_int
from ..utils.errors import FileNotFoundRefusal, ValueRefusal

#: What ``tools/prepare_text.py`` writes: little-endian token ids.
FILE, DTYPE = 'tokens.bin', np.dtype('<i4')
#: What it writes beside them.
TOKENIZER = 'tokenizer.json'


@DATASETS.register_module()
@check_keys
class TextChunks(Dataset):
    """Tokens of a text in chunks of exactly ``context`` tokens (thesis, 7.1.1).

    What remains after the last chunk is left out. The file is read as it is
    needed, so a text may be larger than the memory.

    Args:
        data_root (str): Folder that ``tools/prepare_text.py`` wrote.
        context (int): Tokens per chunk. Defaults to 512.

    Raises:
        FileNotFoundError: If the folder has no tokens.
        ValueError: If they are fewer than one chunk, or if the tokenizer beside them
            cannot be read.
    """

    metainfo: dict[str, Any] = {}

    def __init__(self, data_root: str, context: int = 512) -> None:
        check_positive_int('TextChunks', 'context', context)
        path = osp.join(data_root, FILE)
        if not osp.isfile(path):
            raise FileNotFoundRefusal(
                f'TextChunks: the file {path!r} does not exist. Type python '
                f'tools/prepare_text.py TEXT_FOLDER --out {data_root} (export '
                'BISSL_DATA_DIR=FOLDER if it is in FOLDER/books).'
            )
        number = osp.getsize(path) // DTYPE.itemsize
        if context < 2 or number < context:
            raise ValueRefusal(
                f'TextChunks: {path!r} has {number} tokens, and context={context} '
                'asks for chunks of that many. Set a context of at least 2 and at '
                'most the number of tokens, or prepare more text.'
            )
        self.path, self.context = path, context
        self.vocab_size = vocabulary_beside(data_root)
        self._number = number // context
        self._tokens: np.ndarray | None = None

    def __len__(self) -> int:
        return self._number

    def get_data_info(self, index: int) -> dict[str, int]:
        """The number of a chunk; it has no file of its own."""
        return dict(sample_idx=index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``inputs``: token ids of shape (context,), int64. ``data_samples`` has the
        tokenizer's ``vocab_size``, for the model to compare, if it is known."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        if self._tokens is None:
            # Opened by each worker process.
            self._tokens = np.memmap(self.path, DTYPE, 'r')
        start = index * self.context
        chunk = self._tokens[start : start + self.context]
        item: dict[str, Any] = dict(inputs=torch.from_numpy(chunk.astype(np.int64)))
        if self.vocab_size is not None:
            facts = dict(sample_idx=index, vocab_size=self.vocab_size)
            item['data_samples'] = BaseDataElement(metainfo=facts)
        return item


def vocabulary_beside(folder: str) -> int | None:
    """Number of tokens of ``tokenizer.json``; None without this file.

    Read as JSON, since training needs no other part of the library tokenizers.

    Args:
        folder (str): With the tokens.

    Raises:
        ValueError: If the file cannot be read.
    """
    path = osp.join(folder, TOKENIZER)
    if not osp.isfile(path):
        return None
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        vocab = content['model']['vocab']
        added = {token['content'] for token in content.get('added_tokens', ())}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueRefusal(
            f'TextChunks: {path!r} cannot be read ({type(error).__name__}: {error}). '
            'Prepare the text again with tools/prepare_text.py.'
        ) from error
    # Unigram models have pairs of token and score.
    return len(added.union(vocab if isinstance(vocab, dict) else (t for t, _ in vocab)))


__all__ = ['DTYPE', 'FILE', 'TOKENIZER', 'TextChunks']
