"""From a config to the optimizers of both levels."""

import copy

from mmengine.optim import build_optim_wrapper
from torch import nn

from ...config import is_type
from ...config.types import type_name
from ...models.bissl_model import unwrap
from ...models.losses.outputs import convex_losses
from ...registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS
from ...utils.check import check_known_keys, check_not_moved, init_keys
from ...utils.errors import TypeRefusal, ValueRefusal
from .optim_wrapper import BiSSLOptimWrapper
from .settings import MOVED_OF_WRAPPER, HypergradientSettings

_LEVEL_KEYS = (
    'type',
    'optimizer',
    'clip_grad',
    'paramwise_cfg',
    'constructor',
    'accumulative_counts',
    '_scope_',
)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BiSSLOptimWrapperConstructor:
    """Build a :class:`BiSSLOptimWrapper` over a :class:`BiSSLModel`.

    ``optim_wrapper`` has the settings of ``BiSSLOptimWrapper`` and one dict per
    level. This dict has mmengine's usual form, with ``optimizer``,
    ``clip_grad``, ``paramwise_cfg`` and ``constructor``::

        optim_wrapper = dict(
            type='BiSSLOptimWrapper',
            constructor='BiSSLOptimWrapperConstructor',
            lower=dict(optimizer=dict(type='SGD', lr=1.0), clip_grad=...),
            upper=dict(optimizer=dict(type='SGD', lr=0.03), clip_grad=...))

    ``clip_grad`` defaults to the published ``dict(max_norm=10)`` at both
    levels; None switches it off. ``head_warmup`` defaults to ``optimizer`` and
    ``paramwise_cfg`` of the upper level, without clipping.

    Args:
        optim_wrapper_cfg (dict): See above.
        paramwise_cfg (dict, optional): Must be None; each level has its own.

    Raises:
        TypeError: For an unknown key. The message names the nearest one. Also for a
            wrapper that scales its loss.
        ValueError: If a level or its optimizer is missing.
    """

    def __init__(
        self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None
    ) -> None:
        if paramwise_cfg is not None:
            raise ValueRefusal(
                'optim_wrapper: paramwise_cfg belongs to a level. Move it '
                'into optim_wrapper.lower or optim_wrapper.upper.'
            )
        cfg = copy.deepcopy(dict(optim_wrapper_cfg))
        check_not_moved('optim_wrapper', cfg, MOVED_OF_WRAPPER)
        kind = OPTIM_WRAPPERS.get(str(cfg.get('type', 'BiSSLOptimWrapper')))
        check_known_keys(
            'optim_wrapper',
            cfg,
            (*init_keys(kind or BiSSLOptimWrapper), 'type', '_scope_'),
        )
        self.levels = {}
        for level in ('lower', 'upper', 'head_warmup'):
            self.levels[level] = _level_cfg(level, cfg.pop(level, None), self.levels)
        cfg['hypergradient'] = HypergradientSettings.read(cfg.get('hypergradient'))
        self.settings = cfg

    def __call__(self, model: nn.Module):
        """Build the wrapper. The model does not change.

        Args:
            model (nn.Module): A :class:`BiSSLModel`, wrapped or not.

        Returns:
            BiSSLOptimWrapper: With new optimizers.

        Raises:
            TypeError: If ``curvature`` is ``'gauss_newton'`` and the pretext
                loss has no such matrix.
            ValueError: If the system does not suit the model.
        """
        model = unwrap(model)
        if self.settings['hypergradient'].curvature == 'gauss_newton':
            convex_losses(model.pretext)
        parts = dict(
            lower=model.pretext, upper=model.downstream, head_warmup=model.downstream
        )
        wrappers = {
            level: build_optim_wrapper(parts[level], self.levels[level])
            for level in parts
        }
        built = OPTIM_WRAPPERS.build(
            {'type': 'bissl_mm.BiSSLOptimWrapper', **self.settings, **wrappers}
        )
        built.regularizer.tie(model.levels.lower_names, model.levels.theta_p)
        # A refusal should come before the head warm-up, not after it.
        if built.indirect_weight:
            built.system.check(model)
        return built


def _level_cfg(level: str, cfg: dict | None, others: dict) -> dict:
    if level == 'head_warmup':
        upper = others['upper']
        cfg = dict(cfg or {})
        for key in ('optimizer', 'paramwise_cfg', 'constructor'):
            if key in upper:
                cfg.setdefault(key, copy.deepcopy(upper[key]))
        cfg.setdefault('clip_grad', None)
    if not isinstance(cfg, dict) or 'optimizer' not in cfg:
        raise ValueRefusal(
            f'optim_wrapper.{level} must be a dict with an optimizer, but is '
            f'{cfg!r}. For example {level}=dict(optimizer=dict(type="SGD", '
            'lr=0.03, momentum=0.9)).'
        )
    if is_type(cfg, 'AmpOptimWrapper', 'ApexOptimWrapper'):
        # Before it is built: that needs a GPU, and it has keys of its own.
        raise TypeRefusal(
            f'optim_wrapper.{level}: {type_name(cfg["type"])} scales its loss, which '
            "does not fit the hand-set gradients. Set type='OptimWrapper' without "
            "loss_scale and dtype, and optim_wrapper.first_order_dtype='bfloat16'."
        )
    check_known_keys(f'optim_wrapper.{level}', cfg, _LEVEL_KEYS)
    cfg.setdefault('type', 'OptimWrapper')
    cfg.setdefault('clip_grad', dict(max_norm=10.0))
    return cfg
