"""What differs between the demos."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from .data import DemoData, digits
from .digits import write_digits
from .images import images
from .scene_pictures import detections, segmentations
from .scenes import write_scenes

#: Names of the arms in the order of the tables; the last one is the method.
ARMS = ('FT', 'training twice', 'BiSSL+FT')
#: Number of stages of each arm that has stages; they differ in their seeds.
NUM_STAGES = 3


@dataclass(frozen=True)
class DemoTask:
    """What differs between the demos.

    Attributes:
        name (str): ``'classification'``, ``'images'``, ``'detection'``,
            ``'segmentation'``.
        folder (str): Default work folder.
        configs (dict[str, str]): Configs of ``'pretext'``, ``'bissl'`` and
            ``'fine_tune'``, as paths in the folder of configs.
        data (Callable): Writes the pictures to a folder, or finds them, and
            returns :class:`~bissl_mm.analysis.demo.data.DemoData`.
        metric (str): Metric of the evaluator that chooses settings and is
            compared.
        metric_name (str): Name of the metric in texts.
        labeled (str): What the labeled pictures are, in words.
        budget (dict): Number of search settings, their ranges, and the number
            of seeds per stage. It was fixed before the first comparison and is
            the same for all arms.
        show (Callable, optional): Draws predictions beside the ground truth.
        config_task (str, optional): Task of the second and the third config, if
            they take one.
        has_features (bool): Whether each picture has one label. Then features
            and their neighbours are shown.
    """

    name: str
    folder: str
    configs: dict[str, str]
    data: Callable[[str], DemoData]
    metric: str
    metric_name: str
    labeled: str
    budget: dict
    show: Callable = None
    config_task: str | None = None
    has_features: bool = field(default=False)


def _digit_configs(pictures: str) -> dict[str, str]:
    return dict(
        pretext='demo/simclr_digits',
        bissl=f'demo/bissl-simclr_{pictures}',
        fine_tune=f'demo/fine_tune_{pictures}',
    )


TASKS = {
    task.name: task
    for task in (
        DemoTask(
            'classification',
            'work_dirs/demo',
            _digit_configs('digits'),
            partial(digits, write_digits),
            'accuracy/top1',
            'test accuracy',
            'labeled digits',
            dict(settings=8, lr=(1e-3, 0.3), weight_decay=(1e-5, 1e-2), seeds=4),
            has_features=True,
        ),
        DemoTask(
            'images',
            'work_dirs/demo-images',
            dict(
                pretext='pretext/simclr_r10_b256-60e_imagefolder-32px',
                bissl='bissl/bissl-simclr_r10_b128-10x4-30t_imagefolder-32px',
                fine_tune='fine_tune/r10_32px',
            ),
            images,
            'accuracy/top1',
            'test accuracy',
            'labeled images',
            dict(settings=8, lr=(0.02, 0.32), weight_decay=(5e-4, 5e-3), seeds=4),
            config_task='imagefolder-32px',
            has_features=True,
        ),
        DemoTask(
            'detection',
            'work_dirs/demo-det',
            _digit_configs('digit-scenes'),
            partial(digits, write_scenes),
            'coco/bbox_mAP_50',
            'test AP50',
            'scenes of digits with boxes',
            dict(settings=1, lr=(5e-3, 0.1), weight_decay=(1e-5, 1e-2), seeds=1),
            detections,
            config_task='digit-scenes-detection',
        ),
        DemoTask(
            'segmentation',
            'work_dirs/demo-seg',
            _digit_configs('digit-scenes'),
            partial(digits, write_scenes),
            'mIoU',
            'test mIoU',
            'scenes of digits with masks',
            dict(settings=2, lr=(0.03, 0.5), weight_decay=(1e-5, 1e-2), seeds=1),
            segmentations,
            config_task='digit-scenes-segmentation',
        ),
    )
}
