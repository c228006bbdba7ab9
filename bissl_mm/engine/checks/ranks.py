"""Check that all processes have the same model.

Every process takes its own steps, on averaged gradients. The parameters are not
synchronised again, so a difference would stay and grow.
"""

import os.path as osp
from collections.abc import Callable

import torch
from mmengine.dist import (
    all_gather,
    all_gather_object,
    broadcast_object_list,
    get_rank,
    get_world_size,
)
from torch import Tensor, nn

from ...utils.errors import FileNotFoundRefusal, Refusal, RuntimeRefusal, ValueRefusal

#: Integers of the width of a floating-point type.
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
#: Values at a time, so that a digest needs little memory.
_STRETCH = 2**20


@torch.no_grad()
def digests(tensors: list[Tensor]) -> Tensor:
    """A fingerprint of the bits of each tensor.

    It is a sum of whole numbers, so it does not depend on the number of threads.

    Args:
        tensors (list[Tensor]): Tensors of any floating-point type.

    Returns:
        Tensor: Shape ``(len(tensors), 2)``, int64, on the device of the first
        tensor. The two numbers are the plain sum of the bits, and their sum
        weighted by odd numbers, which differ by place; both modulo 2^64.
    """
    found = []
    for tensor in tensors:
        bits = tensor.detach().contiguous().view(-1)
        if bits.is_floating_point():
            bits = bits.view(_BITS[bits.element_size()])
        sums = bits.new_zeros(2, dtype=torch.int64)
        for start in range(0, len(bits), _STRETCH):
            part = bits[start : start + _STRETCH].to(torch.int64)
            sums[0] += part.sum()
            sums[1] += (
                torch.arange(
                    2 * start + 1, 2 * (start + len(part)) + 1, 2, device=part.device
                )
                .mul_(part)
                .sum()
            )
        found.append(sums.to(tensors[0].device))
    return torch.stack(found)


def check_same_parameters(model: nn.Module, when: str) -> None:
    """Refuse to continue if the processes' parameters differ in a bit.

    The processes exchange 16 bytes per tensor. Buffers are not compared.

    Args:
        model (nn.Module): All its parameters are compared, including those that
            are not trained. Not changed.
        when (str): For the message, for example ``'after alternation 3'``.

    Raises:
        RuntimeError: On all ranks, naming the first tensor and the ranks
            that differ from rank 0.
    """
    if get_world_size() == 1:
        return
    names, params = zip(*model.named_parameters(), strict=True)
    mine = digests(list(params))
    all_ranks = all_gather(mine)
    same = torch.stack([(each == all_ranks[0]).all(1) for each in all_ranks])
    if not same.all():
        raise _difference(names, same.tolist(), when)


def check_same_progress(place: str) -> None:
    """Refuse to begin if the processes are not at the same place.

    Args:
        place (str): The place of this process.

    Raises:
        RuntimeError: On all ranks, naming the places.
    """
    places = all_gather_object(place)
    for rank, other in enumerate(places):
        if other != places[0]:
            raise RuntimeRefusal(
                f'The processes are at different places: rank 0 at '
                f'{places[0]}, rank {rank} at {other}. They have not read the '
                'same checkpoint. Put the work folder on a file system that '
                'all of them can read, and give them the same --resume PATH.'
            )


def chosen_by_first_rank(choose: Callable[[], str | None]) -> str | None:
    """The file that rank 0 chooses and that all ranks must be able to read.

    Args:
        choose (Callable): Returns a path or None. Only rank 0 calls it.

    Raises:
        ValueError: On all ranks, if ``choose`` refuses.
        FileNotFoundError: On all ranks, if one of them lacks the file.
    """
    if get_world_size() == 1:
        return choose()
    choice: list[str | None] = [None, None]
    if get_rank() == 0:
        try:
            choice[0] = choose()
        except Refusal as refusal:
            choice[1] = str(refusal)
    broadcast_object_list(choice, 0)
    path, refusal = choice
    if refusal is not None:
        raise ValueRefusal(refusal)
    if path is None:
        return None
    seen = all_gather_object(osp.isfile(path))
    if not all(seen):
        ranks = ', '.join(str(i) for i, sees in enumerate(seen) if not sees)
        raise FileNotFoundRefusal(
            f"--resume: rank 0 continues from '{path}', but rank(s) {ranks} "
            'cannot read this file. Put the work folder on a file system that '
            'all processes can read, or copy the file there.'
        )
    return path


def _difference(
    names: tuple[str, ...], same: list[list[bool]], when: str
) -> RuntimeRefusal:
    ranks = [rank for rank, row in enumerate(same) if not all(row)]
    places = [i for i in range(len(names)) if not all(row[i] for row in same)]
    rest = f' and {len(places) - 1} more' if len(places) > 1 else ''
    return RuntimeRefusal(
        f'{when[0].upper()}{when[1:]}, the parameters are not the same on all '
        f'processes: {names[places[0]]}{rest} of {len(names)} tensors differ '
        f'between rank 0 and rank(s) {", ".join(map(str, ranks))}. The run '
        'would train several models. Give all processes the same processor '
        'type, OMP_NUM_THREADS and versions of the libraries, and continue with '
        '--resume from the last checkpoint, which is that of rank 0.'
    )
