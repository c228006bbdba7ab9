"""Mean average precision at 11 recalls, the measure of PASCAL VOC 2007."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from ..registry import METRICS
from ..utils.check import check_in
from ..utils.errors import KeyRefusal, ValueRefusal

#: Recalls in tenths at which precision is read.
TENTHS = range(11)


@METRICS.register_module()
class VOC07Metric(BaseMetric):
    r"""11-point mAP of images that may have several classes.

    The images are ordered by the score of a class. The average precision of the
    class is :math:`\frac{1}{11} \sum_{t \in \{0, 0.1, \dots, 1\}}
    \max_{r \geq t} p(r)`, where p is the precision at recall r, and 0 where recall
    never reaches t. The result is the mean over the classes that some image has,
    times 100. Images of one score stay in their order.

    Args:
        difficult (str): What an image counts for in a class of which it has
            difficult objects only. ``'positive'``, the default: it has the class,
            as in the authors' released runs. ``'ignored'``: it counts neither way,
            as in VOC's own evaluation; the data then have ``gt_label_difficult``.
        collect_device (str): ``'cpu'``, the default, or ``'gpu'``.
        prefix (str, optional): Defaults to ``'voc07'``.

    Source:
        Everingham et al., The PASCAL Visual Object Classes Challenge, 2010,
        section 4.2; Table 1, arXiv:2410.02387.
    """

    default_prefix = 'voc07'

    def __init__(
        self,
        difficult: str = 'positive',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        check_in('VOC07Metric', 'difficult', difficult, ('positive', 'ignored'))
        self.difficult = difficult

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the scores, and 1, 0 or -1 (not counted) for each class.

        Args:
            data_batch (Any): Not used.
            data_samples (Sequence[dict]): With ``pred_score``, ``(C, )``, and
                ``gt_label``, ``(K, )``.

        Raises:
            KeyError: If difficult objects are to be ignored and a sample does not
                have them.
        """
        for sample in data_samples:
            score = torch.as_tensor(sample['pred_score']).detach().cpu().float()
            target = torch.zeros(len(score), dtype=torch.int8)
            target[torch.as_tensor(sample['gt_label']).cpu().long()] = 1
            if self.difficult == 'ignored':
                if 'gt_label_difficult' not in sample:
                    raise KeyRefusal(
                        'VOC07Metric: difficult is ignored, but a sample has no '
                        "gt_label_difficult. Add algorithm_keys=['gt_label_difficult'] "
                        'to PackInputs, and prepare the data with '
                        'tools/prepare_dataset.py voc07.'
                    )
                target[torch.as_tensor(sample['gt_label_difficult']).long()] = -1
            self.results.append((score.numpy(), target.numpy()))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """``{'mAP': ...}``, in percent.

        Args:
            results (list): Pairs of scores and targets, ``(C, )`` each.

        Raises:
            ValueError: If no image has a class.
        """
        scores, targets = (np.stack(each) for each in zip(*results, strict=True))
        found = [
            eleven_point_precision(scores[:, i], targets[:, i])
            for i in range(scores.shape[1])
            if (targets[:, i] > 0).any()
        ]
        if not found:
            raise ValueRefusal(
                f'VOC07Metric: none of {len(scores)} images has a class that counts. '
                'Evaluate more images.'
            )
        return dict(mAP=100 * float(np.mean(found)))


def eleven_point_precision(scores: np.ndarray, targets: np.ndarray) -> float:
    """Average precision of one class, from 0 to 1.

    Args:
        scores (np.ndarray): ``(N, )``, larger for images that rather have the class.
        targets (np.ndarray): ``(N, )``: 1 for images that have it, 0 for images that
            do not, -1 for images that count neither way. At least one is 1.
    """
    order = np.argsort(-scores, kind='stable')
    ranked = targets[order]
    ranked = ranked[ranked >= 0] > 0
    hits = np.cumsum(ranked)
    precision = hits / np.arange(1, len(ranked) + 1)
    # The best precision at this recall or a larger one.
    best = np.maximum.accumulate(precision[::-1])[::-1]
    # In whole numbers: 3 of 10 are a recall of 0.3, not less.
    first = [np.searchsorted(10 * hits, tenth * hits[-1]) for tenth in TENTHS]
    return float(np.mean(best[first]))
