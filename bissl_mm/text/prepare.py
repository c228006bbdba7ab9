"""Turns text files into tokens."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..utils.errors import FileNotFoundRefusal, ValueRefusal
from ..utils.files import atomic_file, atomic_path
from .chunks import DTYPE, FILE, TOKENIZER
from .tokenizer import batches, learn_tokenizer, load_tokenizer


def prepare_text(
    source: str,
    out: str,
    tokenizer: str | None = None,
    vocab_size: int = 10000,
    pattern: str = '*.txt',
) -> tuple[int, int]:
    """Write ``tokens.bin`` and beside it ``tokenizer.json``, learned or given.

    Args:
        source (str): A text file, or a folder with text files, read in the order
            of their names.
        out (str): Folder; made if it is not there.
        tokenizer (str, optional): See
            :func:`~bissl_mm.text.tokenizer.load_tokenizer`. Defaults to None: one
            is learned.
        vocab_size (int): Tokens that are learned. Defaults to 10000.
        pattern (str): Names of the files in a folder. Defaults to ``'*.txt'``.

    Returns:
        tuple[int, int]: Size of the vocabulary, and number of tokens written.

    Raises:
        FileNotFoundError: If there is no text file.
        ValueError: If a file is not text in UTF-8, or has no text.
    """
    files = _files(Path(source), pattern)
    if tokenizer is None:
        known = learn_tokenizer(_lines(files), vocab_size)
    else:
        known = load_tokenizer(tokenizer)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    with atomic_file(folder / FILE, 'wb') as file:
        for batch in batches(_lines(files)):
            for encoded in known.encode_batch(batch):
                np.array(encoded.ids, DTYPE).tofile(file)
                number += len(encoded.ids)
        if not number:
            raise ValueRefusal(f'prepare_text: {source!r} has no text. Name another.')
    with atomic_path(folder / TOKENIZER) as path:
        known.save(path)
    return known.get_vocab_size(), number


def _files(source: Path, pattern: str) -> list[Path]:
    files = [source] if source.is_file() else sorted(source.rglob(pattern))
    files = [path for path in files if path.is_file()]
    if not files:
        raise FileNotFoundRefusal(
            f"prepare_text: '{source}' is neither a text file nor a folder with files "
            f'{pattern}. Correct the path, or set --pattern.'
        )
    return files


def _lines(files: list[Path]) -> Iterator[str]:
    for path in files:
        try:
            with open(path, encoding='utf-8') as file:
                yield from file
        except UnicodeDecodeError as error:
            raise ValueRefusal(
                f"prepare_text: '{path}' is not text in UTF-8 ({error}). Convert or "
                'remove it.'
            ) from error


__all__ = ['prepare_text']
