"""Runs all checks of the data before a stage's first step."""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import cv2
from mmengine.config import Config
from mmengine.registry import DefaultScope

from ...utils.errors import Refusal
from ...utils.random import seeded
from .boxes import check_classes_with_boxes
from .class_folders import check_class_folders
from .class_names import check_class_names
from .classes import check_classes, check_labels
from .coco import check_coco
from .findings import Look
from .headers import read_header
from .images import check_images, check_orientation
from .label_folders import check_label_folders
from .lists import check_lists
from .masks import check_masks
from .masks_among_images import check_masks_among_images
from .parts import PLACES, parts_of
from .passed_over import check_any_file, check_passed_over
from .repeated import check_repeated
from .seg_evaluation import check_seg_evaluation, check_seg_inference
from .seg_files import check_seg_files, check_seg_folders
from .seg_settings import check_seg_settings
from .trial import check_pipelines
from .voc_files import check_voc

Check = Callable[[Look], None]
OnBug = Callable[[str, Exception], None]

#: Checks that read the files before a library does.
FILE_CHECKS: Sequence[Check] = (
    check_class_names,
    check_lists,
    check_class_folders,
    check_any_file,
    check_seg_folders,
    check_coco,
    check_voc,
)
#: Checks of the built datasets. The pipelines are tried last.
DATA_CHECKS: Sequence[Check] = (
    check_images,
    check_orientation,
    check_masks_among_images,
    check_passed_over,
    check_seg_settings,
    check_seg_inference,
    check_seg_files,
    check_masks,
    check_seg_evaluation,
    check_classes_with_boxes,
    check_classes,
    check_label_folders,
    check_labels,
    check_repeated,
    check_pipelines,
)


def look_over(
    cfg: Config,
    names: Iterable[str] = tuple(PLACES),
    everything: bool = False,
    world_size: int = 1,
    on_bug: OnBug | None = None,
) -> Look:
    """Look over the splits of a config.

    This is cheap. It reads the headers of all files, or of 20,000 per split that
    are chosen by a seed, and the pixels of a seeded sample of 64 per split.

    Args:
        cfg (Config): The config; not changed. Its batch sizes are those of
            one process.
        names (Iterable[str]): Splits to check. Those that the config does not
            have are skipped.
        everything (bool): Whether to read all headers and all pixels.
        world_size (int): Number of processes.
        on_bug (Callable, optional): Called with the name of a check and the
            error that it raised; the look then continues without that check.
            By default the error is raised.

    Returns:
        Look: The findings. They are not raised here, see
        :meth:`Look.raise_refusals`. If files are refused, the datasets that
        would read them are not built.
    """
    # Files may have changed since the last look.
    read_header.cache_clear()
    look = Look(cfg, parts_of(cfg, names, everything), everything, world_size)
    # Random draws of datasets during the look must not change the run.
    with (
        DefaultScope.overwrite_default_scope(cfg.get('default_scope')),
        seeded(0),
        _no_old_garbage(),
        _quiet_decoder(),
    ):
        _run(FILE_CHECKS, look, on_bug)
        if look.refusals:
            return look
        for part in look:
            try:
                part.build()
            except Refusal as refusal:
                look.refuse(str(refusal))
        if not look.refusals:
            _run(DATA_CHECKS, look, on_bug)
    return look


def _run(checks: Sequence[Check], look: Look, on_bug: OnBug | None) -> None:
    for check in checks:
        try:
            check(look)
        except Refusal as refusal:
            look.refuse(str(refusal))
        except Exception as error:
            if on_bug is None:
                raise
            on_bug(check.__name__, error)


@contextmanager
def _no_old_garbage() -> Iterator[None]:
    """Keep the garbage collector from searching the imported libraries.

    mmengine collects garbage whenever it builds a dataset. This saves about a
    second.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _quiet_decoder() -> Iterator[None]:
    """Silence OpenCV, which prints a line for each file it cannot decode.

    The look reports these files itself.
    """
    if not hasattr(cv2, 'setLogLevel'):
        yield
        return
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        yield
    finally:
        cv2.setLogLevel(level)
