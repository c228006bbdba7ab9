"""The metrics of the tasks of GLUE."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from ..registry import METRICS
from ..utils.check import check_in, check_keys
from .extra import extra
from .glue_files import TASKS


@METRICS.register_module()
@check_keys
class GLUEMetric(BaseMetric):
    """The metric of a task, times 100 as in the thesis's Table 7.1.

    CoLA: Matthews correlation; STS-B: Pearson correlation; MRPC, QQP: F1 of the
    second class; the others: accuracy. A correlation with constant predictions is
    not defined and counts as 0.

    Args:
        task (str): A task of :class:`GLUEDataset`.
        collect_device (str): See ``BaseMetric``. Defaults to ``'cpu'``.
        prefix (str, optional): Defaults to ``'glue'``.
    """

    default_prefix = 'glue'

    def __init__(
        self, task: str, collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        check_in('GLUEMetric', 'task', task, tuple(TASKS))
        super().__init__(collect_device, prefix)
        self.task = TASKS[task]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep labels and predictions.

        Args:
            data_batch (dict): Not used.
            data_samples (Sequence[dict]): With ``gt_label`` and ``pred_label``,
                or ``gt_score`` and ``pred_score``.
        """
        kind = 'label' if self.task.labels else 'score'
        self.results += [
            (float(sample[f'gt_{kind}']), float(sample[f'pred_{kind}']))
            for sample in data_samples
        ]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The metric of all samples by its name."""
        targets, predictions = np.array(results).T
        value = _METRICS[self.task.metric](targets, predictions)
        return {self.task.metric: 100 * float(value)}


def _accuracy(targets: np.ndarray, predictions: np.ndarray) -> float:
    return extra('sklearn.metrics').accuracy_score(targets, predictions)


def _f1(targets: np.ndarray, predictions: np.ndarray) -> float:
    return extra('sklearn.metrics').f1_score(targets, predictions, zero_division=0)


def _matthews(targets: np.ndarray, predictions: np.ndarray) -> float:
    return extra('sklearn.metrics').matthews_corrcoef(targets, predictions)


def _pearson(targets: np.ndarray, predictions: np.ndarray) -> float:
    if len(targets) < 2 or np.ptp(targets) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return extra('scipy.stats').pearsonr(targets, predictions)[0]


_METRICS = dict(accuracy=_accuracy, f1=_f1, matthews=_matthews, pearson=_pearson)

__all__ = ['GLUEMetric']
