"""The memory of a GPU: how it is written, and what of it tensors can use."""

import re

from .errors import ValueRefusal

GIB = 2**30
#: Beside the tensors: the CUDA context, workspaces of cuDNN and buffers of NCCL, and
#: a share of the tensors that fragmentation costs. Both are guesses.
MARGIN, SHARE = 1.5 * GIB, 0.1
_SIZE = re.compile(r'(\d+(?:\.\d+)?) ?(g|m|t)(?:i?b)?', re.IGNORECASE)


def read_memory(text: str) -> int:
    """Bytes of a card, from ``24GiB``, ``24GB`` or ``24g``.

    All three mean 24 * 2**30, as the makers of cards count. ``m`` and ``t`` are
    the units below and above.

    Raises:
        ValueError: If it is not such a size, or if the margin exceeds it.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueRefusal(
            f'--memory is {text!r}, but must be the memory of one GPU with its unit, '
            'for example --memory 24GiB.'
        )
    factor = dict(m=2**20, g=GIB, t=2**40)[found[2].lower()]
    size = int(float(found[1]) * factor)
    if size <= 2 * MARGIN:
        raise ValueRefusal(
            f'--memory is {text!r}, but CUDA alone takes some {MARGIN / GIB} GiB. Give '
            'the memory of one GPU, for example --memory 24GiB.'
        )
    return size


def with_margin(tensors: float) -> float:
    """Bytes that a card needs for tensors of so many bytes."""
    return tensors * (1 + SHARE) + MARGIN


def room(card: float) -> float:
    """Bytes of tensors that a card has room for."""
    return (card - MARGIN) / (1 + SHARE)


def read_count(name: str, text: str) -> int:
    """A whole number of at least 1 from the command line.

    Raises:
        ValueError: If it is another text.
    """
    if not re.fullmatch(r'0*[1-9]\d{0,5}', text.strip()):
        raise ValueRefusal(
            f'{name} is {text!r}, but must be a whole number of at least 1, for '
            f'example {name} 8.'
        )
    return int(text)


def check_dry_run(
    dry_run: str | None, num_gpus: str | None, memory: str | None
) -> tuple[int, int | None] | None:
    """The arguments of a dry run.

    Args:
        dry_run (str, optional): What stands behind ``--dry-run``; empty for
            nothing, None without the argument.
        num_gpus (str, optional): What stands behind ``--num-gpus``.
        memory (str, optional): What stands behind ``--memory``.

    Returns:
        tuple, optional: The number of GPUs, and the bytes of a card or None. None
        if no dry run is asked for.

    Raises:
        ValueError: If one cannot be read, or needs another.
    """
    if dry_run is None:
        for name, value in (('--num-gpus', num_gpus), ('--memory', memory)):
            if value is not None:
                raise ValueRefusal(
                    f'{name} {value} belongs to a dry run; add --dry-run memory, or '
                    f'leave {name} out.'
                )
        return None
    if dry_run != 'memory':
        raise ValueRefusal(
            f'--dry-run is {dry_run!r}, but can only be "memory": type --dry-run '
            'memory.'
        )
    return (
        1 if num_gpus is None else read_count('--num-gpus', num_gpus),
        None if memory is None else read_memory(memory),
    )
