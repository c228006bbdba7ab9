"""The streams of both levels, from the configs of their data."""

from mmengine.dist import get_rank, get_world_size
from mmengine.runner import Runner

from ...datasets import LevelStream
from ...utils.total_batch import describe_batch
from .settings import LoopSettings


def build_streams(
    runner: Runner, settings: LoopSettings, dataloader: dict, pretext_dataloader: dict
) -> dict[str, LevelStream]:
    """Build a stream for each level, and log the sizes of batches.

    Args:
        runner (Runner): Its logger is used.
        settings (LoopSettings): How many batches a phase takes.
        dataloader (dict): Downstream data.
        pretext_dataloader (dict): Data of the pretext task.

    Returns:
        dict[str, LevelStream]: By ``'lower'`` and ``'upper'``.

    Raises:
        ValueError: If a dataset is too small.
    """
    for name, loader in (
        ('train_dataloader', dataloader),
        ('train_cfg.pretext_dataloader', pretext_dataloader),
    ):
        line = describe_batch(name, loader, get_world_size())
        if line is not None:
            runner.logger.info(line)
    place = dict(rank=get_rank(), world_size=get_world_size())
    return dict(
        lower=LevelStream(
            pretext_dataloader, 'lower', settings.num_lower_batches, **place
        ),
        upper=LevelStream(dataloader, 'upper', settings.num_upper_steps, **place),
    )
