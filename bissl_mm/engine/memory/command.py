"""The command ``tools/train.py CONFIG --dry-run memory``."""

import logging
import multiprocessing
import os
import sys
import traceback
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from ...utils.errors import Refusal, RuntimeRefusal, refusal_in, refusal_text


class Request(NamedTuple):
    """What is asked.

    Attributes:
        config (str): Path of the config.
        options (dict, optional): Its ``--cfg-options``.
        task (str, optional): Its ``--task``.
        num_gpus (int): GPUs, each with one process.
        card (int, optional): Bytes of one; None if none is named.
        command (tuple[str]): The command of the run, for the answer.
    """

    config: str
    options: Mapping[str, Any] | None
    task: str | None
    num_gpus: int
    card: int | None
    command: tuple[str, ...]


def dry_run(request: Request) -> str:
    """The answer, from a process of its own.

    Fake tensors change what torch does in the whole process. So it is one that
    ends right afterwards.

    Raises:
        Refusal: Of the same class as in the other process.
        RuntimeError: If the other process ends without an answer.
    """
    context = multiprocessing.get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(request, sender))
    process.start()
    sender.close()
    try:
        result = receiver.recv()
    except EOFError:
        result = None
    process.join()
    if isinstance(result, Refusal):
        raise result
    if result is None:
        raise RuntimeRefusal(
            f'--dry-run memory: the process that computes it ended with status '
            f'{process.exitcode} before it had an answer; its messages are above.'
        )
    return result


def _answer(request: Request, sender: Connection) -> None:
    """The whole other process. It never returns."""
    status = 0
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    # What libraries print about themselves is not the answer.
    sys.stdout = sys.stderr
    try:
        sender.send(answer(request))
    except Exception as error:
        refusal = refusal_in(error)
        if refusal is None:
            traceback.print_exc()
            status = 1
        else:
            sender.send(type(refusal)(refusal_text(refusal)))
    sys.stderr.flush()
    # Nothing that fake tensors changed is used once more.
    os._exit(status)


def answer(request: Request) -> str:
    """The answer, computed in this process."""
    from ...config import is_type, read_config
    from ...utils.card import room
    from ...utils.operators import check_compiled_operators
    from ..steps.settings import refuse_moved
    from .fit import Fitter
    from .live_tensors import can_count
    from .report import advice, report
    from .stage import Stage

    if not can_count():
        import torch

        raise RuntimeRefusal(
            f'--dry-run memory: torch {torch.__version__} does not let tensors be '
            'counted. Use a newer torch for it, 2.11 for example; the run itself may '
            'keep this one.'
        )
    cfg: Any = read_config(request.config, request.options, request.task)
    check_compiled_operators(cfg)
    refuse_moved(cfg)
    if not is_type(cfg.get('train_cfg'), 'BiSSLTrainLoop'):
        raise RuntimeRefusal(
            f'--dry-run memory is for the bilevel stage, and {request.config} is '
            'another stage, whose step needs less. Give a config of configs/bissl.'
        )
    stage = Stage(cfg, request.num_gpus)
    peaks = stage.measure({})
    lines = report(stage, peaks)
    if request.card is None:
        lines.append('Add --memory 24GiB (your card) to see what fits it.')
    else:
        fit = Fitter(stage, peaks).fit(room(request.card))
        lines += advice(stage, fit, request.card, request.command)
    return '\n'.join(lines)
