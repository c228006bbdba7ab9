"""Byte pair encoding, from a user's files or learned from text."""

import os.path as osp
from collections.abc import Iterable, Iterator
from typing import Any

from ..utils.check import check_positive_int
from ..utils.errors import FileNotFoundRefusal, ValueRefusal
from .extra import extra

_UNKNOWN, _END_OF_WORD = '<unk>', '</w>'


def load_tokenizer(path: str) -> Any:
    """A tokenizer from local files.

    Args:
        path (str): ``tokenizer.json`` of the library tokenizers, or a folder with
            that file, or a folder with ``vocab.json`` and ``merges.txt``, as GPT's
            are published.

    Returns:
        tokenizers.Tokenizer: The tokenizer.

    Raises:
        FileNotFoundError: If there are no such files.
        ValueError: If a file cannot be read.
    """
    tokenizers = extra('tokenizers')
    file = osp.join(path, 'tokenizer.json') if osp.isdir(path) else path
    parts = [osp.join(path, name) for name in ('vocab.json', 'merges.txt')]
    try:
        if osp.isfile(file):
            return tokenizers.Tokenizer.from_file(file)
        if all(map(osp.isfile, parts)):
            model = tokenizers.models.BPE.from_file(
                *parts, unk_token=_UNKNOWN, end_of_word_suffix=_END_OF_WORD
            )
            return _with_words(tokenizers, model)
    except Exception as error:
        raise ValueRefusal(
            f'tokenizer: {path!r} cannot be read ({type(error).__name__}: {error}). '
            'Name a tokenizer.json, or a folder with vocab.json and merges.txt.'
        ) from error
    raise FileNotFoundRefusal(
        f'tokenizer: {path!r} is neither a tokenizer.json nor a folder with '
        'tokenizer.json, or with vocab.json and merges.txt. Learn one with python '
        'tools/prepare_text.py FOLDER --out FOLDER --vocab-size 10000.'
    )


def learn_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """Learn a byte pair encoding as GPT's: lower case, marked ends of words.

    Args:
        texts (Iterable[str]): The text, in pieces.
        vocab_size (int): Tokens; a short text may give fewer.

    Returns:
        tokenizers.Tokenizer: The tokenizer.

    Source:
        Thesis, 2.3.1.
    """
    check_positive_int('learn_tokenizer', 'vocab_size', vocab_size)
    tokenizers = extra('tokenizers')
    tokenizer = _with_words(
        tokenizers,
        tokenizers.models.BPE(unk_token=_UNKNOWN, end_of_word_suffix=_END_OF_WORD),
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[_UNKNOWN],
        end_of_word_suffix=_END_OF_WORD,
        show_progress=False,
    )
    tokenizer.train_from_iterator(batches(texts), trainer)
    return tokenizer


def _with_words(tokenizers: Any, model: Any) -> Any:
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = tokenizers.decoders.BPEDecoder(suffix=_END_OF_WORD)
    return tokenizer


def batches(texts: Iterable[str], size: int = 1000) -> Iterator[list[str]]:
    """Lists of pieces of text, which the library works on at once.

    Args:
        texts (Iterable[str]): The pieces.
        size (int): Pieces per list. Defaults to 1000.
    """
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


__all__ = ['batches', 'learn_tokenizer', 'load_tokenizer']
