"""A small GLUE download in its publishers' layouts, and a text with a vocabulary."""

import itertools
import random
from pathlib import Path

GOOD = ('good', 'fine', 'great', 'happy')
BAD = ('bad', 'poor', 'awful', 'sad')
HEADERS = {
    'CoLA': None,
    'SST-2': 'sentence\tlabel',
    'RTE': 'index\tsentence1\tsentence2\tlabel',
    'QNLI': 'index\tquestion\tsentence\tlabel',
    # The published file begins with a byte order mark.
    'MRPC': '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String',
    'QQP': 'id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate',
    'STS-B': 'index\tgenre\tfilename\tyear\told_index\tsource1\tsource2'
    '\tsentence1\tsentence2\tscore',
}


#: Tokens of the vocabulary that :func:`write_books` learns.
VOCAB = 200


def row(folder: str, number: int, rng: random.Random) -> str:
    """A row of a file; quotation marks are text."""
    positive = number % 2
    words = GOOD if positive else BAD
    first = f'the "day was {rng.choice(words)}'
    second = f'it was {rng.choice(words)} , he said'
    answer = 'entailment' if positive else 'not_entailment'
    cells = {
        'CoLA': ('gj04', positive, '' if positive else '*', first),
        'SST-2': (first, positive),
        'RTE': (number, first, second, answer),
        'QNLI': (number, first + ' ?', second, answer),
        'MRPC': (positive, 100 + number, 200 + number, first, second),
        'QQP': (number, 1, 2, first + ' ?', second + ' ?', positive),
        'STS-B': (
            *(number, 'news', 'f', '2012', number, 'none', 'none', first, second),
            f'{1 + 3 * positive + rng.random():.3f}',
        ),
    }
    return '\t'.join(map(str, cells[folder]))


def write_glue(root: Path, train: int = 20, dev: int = 6) -> Path:
    """Write ``train.tsv`` and ``dev.tsv`` of all tasks."""
    rng = random.Random(0)
    for folder, header in HEADERS.items():
        (root / folder).mkdir(parents=True)
        for name, number in (('train', train), ('dev', dev)):
            lines = [row(folder, i, rng) for i in range(number)]
            lines = lines if header is None else [header, *lines]
            text = '\n'.join(lines) + '\n'
            (root / folder / f'{name}.tsv').write_text(text, encoding='utf-8')
    return root


def write_books(root: Path) -> Path:
    """Write what ``tools/prepare_text.py`` makes of a text of made-up words."""
    from bissl_mm.text.prepare import prepare_text

    rng = random.Random(0)
    parts = ('ba', 'de', 'fi', 'go', 'lu', 'my', 'ra', 'se', 'ti', 'vo')
    words = [''.join(three) for three in itertools.product(parts, repeat=3)]
    words += [*GOOD, *BAD, 'the', 'day', 'was', 'it', 'he', 'said', '"', ',', '?']
    lines = [' '.join(rng.choices(words, k=12)) for _ in range(200)]
    root.mkdir(parents=True, exist_ok=True)
    source = root / 'source.txt'
    source.write_text('\n'.join(lines), encoding='utf-8')
    vocabulary, _ = prepare_text(str(source), str(root), None, VOCAB)
    assert vocabulary == VOCAB
    return root
