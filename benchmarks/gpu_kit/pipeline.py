"""The input pipeline: views on one core, and the way to the device."""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS, DefaultScope
from phase_sides import synchronize

from .stage import PIXELS, PRETEXT, config_of
from .steps import seconds_of

#: Height and width of a decoded image, as ImageNet's are on average.
IMAGE = (375, 500)


def pipeline(args: argparse.Namespace, say: Callable[[dict], None]) -> None:
    """Images per second of the shipped views, and seconds of a copy."""
    number = 4 if args.quick else 200
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for height, width in (IMAGE, (PIXELS, PIXELS)):
        rate = images_per_second(height, width, number)
        say(
            dict(
                row=f'SimCLR, {height} x {width} decoded to 2 views of {PIXELS} px',
                images_per_second_and_core=rate,
            )
        )
    torch.set_num_threads(threads)
    if args.device == 'cpu':
        return
    batch = torch.randint(0, 256, (2 * PRETEXT, 3, PIXELS, PIXELS), dtype=torch.uint8)
    found = dict(
        pageable=_copies(batch, args, non_blocking=False),
        pinned=_copies(batch.pin_memory(), args, non_blocking=False),
        pinned_non_blocking=_copies(batch.pin_memory(), args, non_blocking=True),
        pinned_non_blocking_host=_host(batch.pin_memory()),
    )
    say(dict(row=f'copy of {len(batch)} views, uint8', seconds=found))


def images_per_second(height: int, width: int, number: int) -> float:
    steps = config_of('resnet50', False).train_cfg.pretext_dataloader.dataset.pipeline
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        views = Compose([TRANSFORMS.build(step) for step in steps[1:]])
    draw = np.random.default_rng(0)
    # What an image shows does not change the work.
    image = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
    sample = dict(img_shape=(height, width), ori_shape=(height, width))
    views(dict(sample, img=image))
    begin = time.perf_counter()
    for _ in range(number):
        views(dict(sample, img=image))
    return number / (time.perf_counter() - begin)


def _copies(batch: torch.Tensor, args: argparse.Namespace, non_blocking: bool) -> float:
    return seconds_of(
        lambda: batch.to(args.device, non_blocking=non_blocking).float(),
        args.device,
        20,
    )


def _host(batch: torch.Tensor) -> float:
    """For how long the host is busy with a copy that does not block."""
    synchronize('cuda')
    begin = time.perf_counter()
    for _ in range(20):
        batch.to('cuda', non_blocking=True)
    seconds = (time.perf_counter() - begin) / 20
    synchronize('cuda')
    return seconds
