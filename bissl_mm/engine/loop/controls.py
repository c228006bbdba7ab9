"""Controls of the method whose settings belong together."""

from typing import Any

from mmengine.runner import Runner

from ...models.bissl_model import BiSSLModel
from ...utils.errors import ValueRefusal
from ..steps.weighted_sum import WeightedSumOptimWrapper

#: What one step on the sum of both losses needs, and what it has without.
_OF_THE_SUM = {
    'model.share_backbone': True,
    'train_cfg.num_lower_steps': 1,
    'train_cfg.num_upper_steps': 1,
    'optim_wrapper.hypergradient.batches': 'first',
}


def check_controls(runner: Runner, model: BiSSLModel) -> None:
    """Refuse half a control, which would train something else.

    Args:
        runner (Runner): Its loop and its wrapper are built.
        model (BiSSLModel): The model of the runner.

    Raises:
        ValueError: If the weighted sum lacks a setting, or if a shared backbone
            would get its gradient twice.
    """
    wrapper: Any = runner.optim_wrapper
    train_loop: Any = runner.train_loop
    loop = train_loop.settings
    is_shared = model.lower_backbone()[0] is model.upper_backbone()[0]
    if isinstance(wrapper, WeightedSumOptimWrapper):
        found = (
            is_shared,
            loop.num_lower_steps,
            loop.num_upper_steps,
            wrapper.system.config.batches,
        )
        wrong = {
            key: value
            for (key, wanted), value in zip(_OF_THE_SUM.items(), found, strict=True)
            if value != wanted
        }
        if wrong:
            now = ', '.join(f'{key}={value}' for key, value in wrong.items())
            typed = ' '.join(f'{key}={_OF_THE_SUM[key]}' for key in wrong)
            raise ValueRefusal(
                'WeightedSumOptimWrapper takes one step on both losses with one '
                f'backbone, but the config has {now}. Type --cfg-options {typed}'
            )
    elif is_shared and wrapper.indirect_weight:
        raise ValueRefusal(
            'model.share_backbone=True: theta_P is theta_D, so with '
            f'optim_wrapper.indirect_weight={wrapper.indirect_weight:g} the downstream gradient '
            'would count twice. Type --cfg-options optim_wrapper.indirect_weight=0'
        )
