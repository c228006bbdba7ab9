"""The best evaluation of a run, by one metric in percent."""

import copy
import math

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...utils.errors import KeyRefusal

#: Metrics that OpenMMLab's evaluators report as fractions. mmpretrain and mmseg
#: report percent.
FRACTIONS = (
    'cityscapes/',
    'coco/',
    'crowd_human/',
    'lvis/',
    'openimages/',
    'pascal_voc/',
)


class KeepBest(Hook):
    """Keep the weights of the best evaluation in memory.

    An evaluation of weights that are not finite counts as NaN. Evaluators give it a
    number: mmpretrain the accuracy 0.

    Args:
        metric (str): Name of the metric. Larger is better.
    """

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.value = -float('inf')
        self.state: dict[str, torch.Tensor] = {}
        self.curve: list[float] = []

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Compare with the best so far."""
        value = percent(self.metric, metrics)
        if not all(bool(p.isfinite().all()) for p in runner.model.parameters()):
            value = math.nan
        self.curve.append(value)
        if value > self.value:
            self.value = value
            self.state = copy.deepcopy(runner.model.state_dict())


def percent(metric: str, metrics: dict[str, float]) -> float:
    """A metric in percent.

    Args:
        metric (str): Its name.
        metrics (dict[str, float]): What an evaluator reports.

    Returns:
        float: 0 if mmdet found nothing to evaluate; NaN if the data have no box by
        which the precision could be measured.

    Raises:
        KeyError: If the evaluator does not report the metric.
    """
    if not metrics:
        return 0.0
    if metric not in metrics:
        raise KeyRefusal(
            f'The evaluator does not report the metric {metric!r}. Type '
            f'--metric with one of {", ".join(sorted(metrics))}.'
        )
    value = float(metrics[metric])
    if not metric.startswith(FRACTIONS):
        return value
    # pycocotools reports -1 where there is no box.
    return 100 * value if value >= 0 else math.nan
