"""The tab-separated files of GLUE, as their publishers wrote them."""

import logging
import os.path as osp
from dataclasses import dataclass

from mmengine.logging import print_log

from ..utils.errors import FileNotFoundRefusal, ValueRefusal

#: A file with a larger share of unreadable rows is refused.
MAX_BAD_SHARE = 0.01


@dataclass(frozen=True)
class GLUETask:
    """A task of GLUE.

    Attributes:
        folder (str): Its folder in the download.
        sentences (tuple): Columns of one or two sentences: names, or numbers
            from 0 in a file without a header.
        label (str or int): Column of the label.
        labels (tuple[str, ...]): Labels in the files, by class number. Empty for
            a regression.
        classes (tuple[str, ...]): Names of the classes.
        similarity (bool): Whether the order of the two sentences has no meaning.
        metric (str): ``'accuracy'``, ``'f1'``, ``'matthews'`` or ``'pearson'``
            (thesis, 7.1.1).
    """

    folder: str
    sentences: tuple
    label: str | int
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    metric: str
    similarity: bool = False


_ENTAILMENT = ('entailment', 'not_entailment')

#: The seven tasks of the thesis (7.1.1).
TASKS = dict(
    cola=GLUETask(
        'CoLA', (3,), 1, ('0', '1'), ('unacceptable', 'acceptable'), 'matthews'
    ),
    sst2=GLUETask(
        'SST-2',
        ('sentence',),
        'label',
        ('0', '1'),
        ('negative', 'positive'),
        'accuracy',
    ),
    rte=GLUETask(
        'RTE', ('sentence1', 'sentence2'), 'label', _ENTAILMENT, _ENTAILMENT, 'accuracy'
    ),
    qnli=GLUETask(
        'QNLI', ('question', 'sentence'), 'label', _ENTAILMENT, _ENTAILMENT, 'accuracy'
    ),
    mrpc=GLUETask(
        'MRPC',
        ('#1 String', '#2 String'),
        'Quality',
        ('0', '1'),
        ('not_equivalent', 'equivalent'),
        'f1',
        similarity=True,
    ),
    qqp=GLUETask(
        'QQP',
        ('question1', 'question2'),
        'is_duplicate',
        ('0', '1'),
        ('not_duplicate', 'duplicate'),
        'f1',
        similarity=True,
    ),
    stsb=GLUETask(
        'STS-B', ('sentence1', 'sentence2'), 'score', (), (), 'pearson', similarity=True
    ),
)


def read_glue(task: GLUETask, path: str) -> list[tuple[list[str], float]]:
    """Read the rows of a file.

    Quotation marks have no meaning in these files. Rows with a missing column or
    an unknown label (a few in QQP) are left out with a warning.

    Args:
        task (GLUETask): One of :data:`TASKS`.
        path (str): The file.

    Returns:
        list[tuple]: Sentences, and the number of the class or the score.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, or more than 1% of the rows are
            unreadable.
    """
    if not osp.isfile(path):
        raise FileNotFoundRefusal(
            f'GLUE: the file {path!r} does not exist. Set data_root to the folder '
            f'that contains {task.folder}/train.tsv and {task.folder}/dev.tsv '
            '(export BISSL_DATA_DIR=FOLDER if that is FOLDER/glue).'
        )
    # Only a line feed ends a row; sentences may contain other line separators.
    with open(path, encoding='utf-8-sig', newline='\n') as file:
        rows = [line.rstrip('\r\n').split('\t') for line in file]
    columns = _columns(task, path, rows)
    found, bad = [], []
    for number, row in enumerate(rows, 1):
        example = _example(task, row, columns) if any(row) else None
        if example is not None:
            found.append(example)
        elif any(row):
            bad.append(number)
    if bad:
        _report(task, path, bad, len(found))
    if not found:
        raise ValueRefusal(f'GLUE: the file {path!r} has no rows. Download it again.')
    return found


def _columns(task: GLUETask, path: str, rows: list[list[str]]) -> list[int]:
    """Numbers of the columns of label and sentences; takes the header out."""
    wanted = (task.label, *task.sentences)
    if isinstance(task.label, int):
        return [int(name) for name in wanted]
    header = rows.pop(0) if rows else []
    missing = [name for name in wanted if name not in header]
    if missing:
        raise ValueRefusal(
            f'GLUE: the file {path!r} has no column {missing[0]!r}; its first line '
            f'has {", ".join(map(repr, header[:12])) or "nothing"}. Use the file of '
            f'{task.folder} as published, with labels (train.tsv or dev.tsv).'
        )
    return [header.index(str(name)) for name in wanted]


def _example(
    task: GLUETask, row: list[str], columns: list[int]
) -> tuple[list[str], float] | None:
    if len(row) <= max(columns):
        return None
    label, *sentences = (row[i].strip() for i in columns)
    if not all(sentences):
        return None
    if task.labels:
        return (sentences, task.labels.index(label)) if label in task.labels else None
    try:
        score = float(label)
    except ValueError:
        return None
    return (sentences, score) if 0 <= score <= 5 else None


def _report(task: GLUETask, path: str, bad: list[int], good: int) -> None:
    first = bad[0] + (not isinstance(task.label, int))
    text = (
        f'GLUE: {len(bad)} of {len(bad) + good} rows of {path!r} lack a column or have '
        f'an unknown label (first: line {first})'
    )
    if len(bad) > MAX_BAD_SHARE * (len(bad) + good):
        raise ValueRefusal(
            f'{text}. Use the file of {task.folder} as published, with labels '
            f'({", ".join(task.labels) or "0 to 5"}).'
        )
    print_log(f'{text} and are left out.', logger='current', level=logging.WARNING)


__all__ = ['TASKS', 'GLUETask', 'read_glue']
