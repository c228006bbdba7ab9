"""What the arms change in the configs of pretraining and of the bilevel stage."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from mmengine.config import Config, ConfigDict

from ...config import is_type
from ...utils.errors import ValueRefusal

#: What data sets know of their labels, which differ in a mix and are not read.
_OF_LABELS = (
    'classes',
    'palette',
    'label_map',
    'reduce_zero_label',
    'dataset_type',
    'task_name',
)
#: Changes a config in place; gets the fine-tuning config of the task, too.
Patch = Callable[[Config, Config], None]


def training_twice(cfg: Config, task: Config) -> None:
    """The upper level alone: theta_D is trained and becomes the result."""
    cfg.optim_wrapper.indirect_weight = 0.0
    cfg.train_cfg.num_lower_steps = 0
    for hook in cfg.custom_hooks:
        if is_type(hook, 'ExportBackboneHook'):
            hook.level = 'upper'


def ij_discarded(cfg: Config, task: Config) -> None:
    """Without the first term of the upper level (B.9.5, arXiv:2410.02387).

    Neither theta_D nor the head gets a gradient at theta_P.
    """
    cfg.optim_wrapper.indirect_weight = 0.0


def weighted_sum(cfg: Config, task: Config) -> None:
    """One backbone under the sum of both losses (Eq. 10, B.9.4).

    As many steps as BiSSL has upper ones, with the optimizer and the schedule of
    its lower level. The head is warmed up as for BiSSL; the paper is silent on it.
    w is ``optim_wrapper.weight``.
    """
    wrapper, loop = cfg.optim_wrapper, cfg.train_cfg
    steps = loop.num_upper_steps
    clip = wrapper.lower.get('clip_grad', dict(max_norm=10.0))
    wrapper.setdefault('head_warmup', dict(optimizer=deepcopy(wrapper.upper.optimizer)))
    wrapper.lower.clip_grad = None
    wrapper.upper = deepcopy(wrapper.lower)
    wrapper.update(
        type='bissl_mm.WeightedSumOptimWrapper',
        clip_norm=clip and clip['max_norm'],
        hypergradient=dict(batches='first'),
        regularizer=dict(type='SquaredDistance', weight=1.0),
    )
    wrapper.setdefault('weight', 0.25)
    cfg.model.share_backbone = True
    cfg.param_scheduler.upper = deepcopy(cfg.param_scheduler.lower)
    loop.update(
        # The warm-up and a step after it.
        num_alternations=max(2, loop.num_alternations * steps),
        num_lower_steps=1,
        num_upper_steps=1,
        val_interval=loop.val_interval * steps,
    )
    # There is neither a system nor a distance of backbones to watch.
    cfg.custom_hooks = [
        hook
        for hook in cfg.custom_hooks
        if not is_type(hook, 'SolverMonitorHook', 'RegimeHook')
    ]
    # In alternations, of which there are more.
    for hook in (*cfg.custom_hooks, cfg.default_hooks.get('checkpoint') or {}):
        if hook.get('interval', -1) > 0:
            hook['interval'] *= steps


def further_pretraining(cfg: Config, task: Config) -> None:
    """The lower steps alone: theta_P sees no downstream label.

    One upper step is left in each alternation, because a loop has at least one.
    """
    cfg.optim_wrapper.indirect_weight = 0.0
    cfg.optim_wrapper.regularizer.weight = 0.0
    cfg.optim_wrapper.hypergradient.damping = 1.0
    cfg.train_cfg.update(num_upper_steps=1, head_warmup=None)


def longer_pretraining(cfg: Config, task: Config) -> None:
    """Pretraining over 100 epochs more, its schedule stretched.

    They cost as much as the stage of the first version: 600 epochs against 500
    and the stage (4.2.2; 4.4.3 of the published paper, arXiv:2410.02387).
    """
    before = cfg.train_cfg.max_epochs
    cfg.train_cfg.max_epochs = before + 100
    for schedule in _schedules(cfg):
        if schedule.get('end') == before:
            schedule.end = cfg.train_cfg.max_epochs


def data_mix(cfg: Config, task: Config) -> None:
    """Further pretraining on pretext and downstream images together.

    10 epochs, cosine without warm-up, and the paper's learning rate of 1.0 as a
    share of its pretraining's, 4.8 (B.9.3, arXiv:2410.02387): a rate of LARS means
    nothing to another optimizer. The downstream training images pass through the
    pretext views; their labels are not read.
    """
    own = cfg.train_dataloader.dataset
    other = deepcopy(task.train_dataloader.dataset)
    _innermost(other).pipeline = deepcopy(_innermost(own).pipeline)
    cfg.train_dataloader.dataset = ConfigDict(
        type='ConcatDataset',
        _scope_='mmengine',
        datasets=[own, other],
        ignore_keys=list(_OF_LABELS),
    )
    before = cfg.train_cfg.max_epochs
    cfg.train_cfg.max_epochs = 10
    cfg.optim_wrapper.optimizer.lr *= 1.0 / 4.8
    last = next(s for s in _schedules(cfg) if s.get('end') == before)
    cfg.param_scheduler = [dict(last, begin=0, end=10)]


def _schedules(cfg: Config) -> list[ConfigDict]:
    found = cfg.param_scheduler
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _innermost(dataset: Any) -> Any:
    """The data set that reads the images, within parts and caches of it."""
    while 'pipeline' not in dataset:
        if 'dataset' not in dataset:
            raise ValueRefusal(
                f'Data mix: {dataset.get("type")} has neither a pipeline nor an '
                'inner dataset, so its images cannot get the pretext views. Leave '
                'this arm out for this task.'
            )
        dataset = dataset.dataset
    return dataset
