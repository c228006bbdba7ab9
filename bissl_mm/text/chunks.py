"""Text in chunks of equal length, the data of the pretext task."""

import os.path as osp
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..registry import DATASETS
from ..utils.check import check_keys, check_positive_int
from ..utils.errors import FileNotFoundRefusal, ValueRefusal

#: What ``tools/prepare_text.py`` writes: little-endian token ids.
FILE, DTYPE = 'tokens.bin', np.dtype('<i4')


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
        ValueError: If they are fewer than one chunk.
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
        self._number = number // context
        self._tokens: np.ndarray | None = None

    def __len__(self) -> int:
        return self._number

    def get_data_info(self, index: int) -> dict[str, int]:
        """The number of a chunk; it has no file of its own."""
        return dict(sample_idx=index)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """``inputs``: token ids of shape (context,), int64."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        if self._tokens is None:
            # Opened by each worker process.
            self._tokens = np.memmap(self.path, DTYPE, 'r')
        start = index * self.context
        chunk = self._tokens[start : start + self.context]
        return dict(inputs=torch.from_numpy(chunk.astype(np.int64)))


__all__ = ['DTYPE', 'FILE', 'TextChunks']
