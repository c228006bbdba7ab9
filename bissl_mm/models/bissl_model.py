"""Both models of the bilevel problem in one."""

from functools import cached_property
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from ..registry import MODELS
from ..utils.check import check_in, check_keys, check_mapping, init_keys
from ..utils.errors import RuntimeRefusal, TypeRefusal, ValueRefusal
from ..utils.target_networks import restart_targets
from .backbone_map import BackboneMap
from .levels import Levels, exchanged, freeze_as_trained, levels_of
from .lora import Lora, is_adapter, merged
from .losses.functional import substituted
from .pretext.norm import set_sync_norms
from .weights.pixels import unscale
from .weights.pretext_heads import load_pretext_head
from .weights.pretrained import load_pretrained
from .weights.taken import init_with_checks, leave_out_replaced


@MODELS.register_module()
@check_keys
class BiSSLModel(BaseModel):
    r"""A pretext model (lower level) beside a downstream model (upper level).

    Both are complete OpenMMLab models with their own data preprocessors. They
    have two copies of one backbone, :math:`\theta_P` and :math:`\theta_D`.
    :class:`BiSSLTrainLoop` trains them. Evaluation uses the downstream model.

    Args:
        pretext (dict): Pretext model, for example mmpretrain's ``SimCLR``.
            Models of other libraries need ``_scope_``, for example
            ``_scope_='mmpretrain'``.
        downstream (dict): Downstream model, for example ``ImageClassifier``.
        backbone_map (dict): Arguments of :class:`BackboneMap`. Defaults to
            pairing ``backbone`` with ``backbone``.
        pretrained (str, optional): Checkpoint of the pretraining for the
            pretext model: of stage 1, of mmpretrain or of torchvision. Backbone
            tensors must match; others are only reported. Defaults to None.
        pretrained_head (str, optional): File of a projection head that was released
            beside the backbone, see
            :func:`~bissl_mm.models.weights.pretext_heads.load_pretext_head`. All of
            its tensors must match. Defaults to None.
        unscaled_pixels (bool): The convention of the authors' release, see
            :func:`~bissl_mm.models.weights.pixels.unscale`. Defaults to False.
        eval_backbone (str): The backbone that evaluation uses: ``'upper'``
            (:math:`\theta_D`, as published) or ``'lower'`` (:math:`\theta_P`
            with its running statistics). Defaults to ``'upper'``.
        sync_norms (bool, optional): True gives the batch norms of both models
            the statistics of all processes' batches: several processes then
            compute what one computes on the union. False gives each process its
            own statistics. Defaults to None: as the configs of the two models
            say.
        share_backbone (bool): Whether both models train one backbone, a control: two
            losses of the same weights, one step after the other. Set
            ``indirect_weight=0`` with it. Defaults to False.
        lora (dict, optional): Arguments of :class:`bissl_mm.models.lora.Lora`:
            both backbones train adapters alone. Defaults to None: all weights.
        data_preprocessor (dict, optional): Must be None; each model has its own.
        init_cfg (dict, optional): See ``BaseModule``.

    Raises:
        ValueError: If the two backbones do not correspond.
    """

    pretext: BaseModel
    downstream: BaseModel

    def __init__(
        self,
        pretext: dict | nn.Module,
        downstream: dict | nn.Module,
        backbone_map: dict | BackboneMap | None = None,
        pretrained: str | None = None,
        pretrained_head: str | None = None,
        unscaled_pixels: bool = False,
        eval_backbone: str = 'upper',
        sync_norms: bool | None = None,
        share_backbone: bool = False,
        lora: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if data_preprocessor is not None:
            raise ValueRefusal(
                'BiSSLModel: a data_preprocessor at the top of the config '
                'belongs to neither of the two models. Move it into '
                'model.pretext or model.downstream.'
            )
        check_in('BiSSLModel', 'eval_backbone', eval_backbone, ('upper', 'lower'))
        super().__init__(init_cfg=init_cfg)
        self.pretext = _build(pretext, 'pretext')
        self.downstream = _build(downstream, 'downstream')
        if unscaled_pixels:
            unscale(self.pretext)
        if sync_norms is not None:
            for level in ('pretext', 'downstream'):
                setattr(self, level, set_sync_norms(getattr(self, level), sync_norms))
        self.backbone_map = (
            backbone_map
            if isinstance(backbone_map, BackboneMap)
            else BackboneMap(**(backbone_map or {}))
        )
        self.pretrained = pretrained
        self.pretrained_head = pretrained_head
        self.unscaled_pixels = unscaled_pixels
        self.eval_backbone = eval_backbone
        freeze_as_trained(self.pretext, self.downstream)
        self.pairs = self.backbone_map.resolve(self.pretext, self.downstream)
        if lora is not None:
            adapters = Lora(**check_mapping('model.lora', lora, init_keys(Lora)))
            adapters.add_to(self.pretext, self.downstream, self.backbone_map)
            self.pairs = self.backbone_map.resolve(self.pretext, self.downstream)
        if share_backbone:
            params = dict(self.pretext.named_parameters())
            for lower, upper in self.pairs.params + self.pairs.fixed_params:
                owner, _, name = upper.rpartition('.')
                setattr(self.downstream.get_submodule(owner), name, params[lower])

    def init_weights(self) -> None:
        """Initialise both models, then load ``pretrained``."""
        if self.is_init:
            return
        if self.pretrained is not None:
            leave_out_replaced(self.downstream, self.pairs.all)
        init_with_checks(self, super().init_weights)
        if self.pretrained is not None:
            load_pretrained(self.pretext, self.pretrained, self.pretrained_names)
        if self.pretrained_head is not None:
            load_pretext_head(self.pretext, self.pretrained_head)

    @property
    def pretrained_names(self) -> list[str]:
        """The lower backbone's tensors that a pretraining has, too."""
        return [lower for lower, _ in self.pairs.all if not is_adapter(lower)]

    def train(self, mode: bool = True) -> 'BiSSLModel':
        """Set the mode of both models; trained parameters stay trained.

        mmdet's backbones freeze their first stages again in every call.
        """
        super().train(mode)
        for model, side in ((self.pretext, 0), (self.downstream, 1)):
            params = dict(model.named_parameters())
            for trained, pairs in (
                (True, self.pairs.params),
                (False, self.pairs.fixed_params),
            ):
                for pair in pairs:
                    params[pair[side]].requires_grad_(trained)
        return self

    @torch.no_grad()
    def copy_backbone_to_upper(self) -> None:
        r""":math:`\theta_D \leftarrow \theta_P` (Algorithm 1, line 2).

        Running statistics and fixed parameters are copied as well.
        """
        lower, upper = self.pretext.state_dict(), self.downstream.state_dict()
        for lower_name, upper_name in self.pairs.all:
            if upper_name in upper and lower_name in lower:
                upper[upper_name].copy_(lower[lower_name])

    def restart_targets(self) -> None:
        """Restart the target networks of the pretext model from its weights; see
        :func:`~bissl_mm.utils.target_networks.restart_targets`."""
        restart_targets(self.pretext)

    @torch.no_grad()
    def adapt_upper_backbone(self, alpha: float) -> None:
        r""":math:`\theta_D \leftarrow (1-\alpha)\theta_D + \alpha\theta_P`.

        Only the first version of the paper does this (arXiv:2410.02387v1).
        """
        torch._foreach_lerp_(
            list(self.upper_backbone()), list(self.lower_backbone()), alpha
        )

    @cached_property
    def levels(self) -> Levels:
        """The parameters of both levels, listed once: modules keep theirs."""
        return levels_of(self.pretext, self.downstream, self.pairs)

    def lower_backbone(self) -> tuple[Tensor, ...]:
        r"""The trained parameters :math:`\theta_P`."""
        return self.levels.theta_p

    def upper_backbone(self) -> tuple[Tensor, ...]:
        r""":math:`\theta_D`, in the order of :meth:`lower_backbone`."""
        return self.levels.theta_d

    def upper_head(self) -> tuple[Tensor, ...]:
        r"""The trained parameters :math:`\phi_D`: those without a partner."""
        return self.levels.phi_d

    def upper_state_at_lower(self) -> dict[str, Tensor]:
        r"""State of the downstream model with :math:`\theta_P` as backbone.

        Returns:
            dict[str, Tensor]: All parameters, which are the leaves
            :math:`\theta_P` and :math:`\phi_D` themselves, and copies of all
            buffers. The buffers of the backbone are those of the lower one. A
            layer in evaluation mode then uses statistics that fit
            :math:`\theta_P`.
        """
        pairs = [(upper, lower) for lower, upper in self.pairs.all]
        return exchanged(self.downstream, self.pretext, pairs)

    def lower_state_at_upper(self) -> dict[str, Tensor]:
        r"""State of the pretext model with :math:`\theta_D` as backbone.

        Returns:
            dict[str, Tensor]: As :meth:`upper_state_at_lower`, the other way
            round: the leaves :math:`\theta_D` and :math:`\phi_P`, and copies of
            all buffers.
        """
        return exchanged(self.pretext, self.downstream, self.pairs.all)

    def backbone_state_dict(self, level: str = 'lower') -> dict[str, Tensor]:
        r""":math:`\theta_P` or :math:`\theta_D` with buffers, on the CPU.

        Names are those of the pretext model, but its backbone module is always
        called ``backbone``. Adapters are added to their weights.

        Args:
            level (str): ``'lower'`` for :math:`\theta_P`, ``'upper'`` for
                :math:`\theta_D`. Defaults to ``'lower'``.
        """
        root = self.backbone_map.lower_root
        state = dict(self.pretext.state_dict())
        if level == 'upper':
            upper = self.downstream.state_dict()
            state.update((low, upper[up]) for low, up in self.pairs.all)
        return {
            'backbone.' + name[len(root) :]: tensor.detach().cpu().clone()
            for name, tensor in merged(self.pretext, state).items()
            if name.startswith(root)
        }

    def forward(self, inputs, data_samples=None, mode: str = 'tensor'):
        """Forward of the downstream model; see its documentation."""
        if self.eval_backbone == 'upper' or mode == 'loss':
            return self.downstream(inputs, data_samples, mode=mode)
        with substituted(self.downstream, self.upper_state_at_lower()):
            return self.downstream(inputs, data_samples, mode=mode)

    def val_step(self, data: dict | tuple | list) -> list:
        """Predictions of the downstream model."""
        data = self.downstream.data_preprocessor(data, False)
        return self._run_forward(data, mode='predict')

    test_step = val_step

    def train_step(self, data, optim_wrapper):
        """Refuse to train two levels in one step.

        Raises:
            RuntimeError: Always, naming the loop to use.
        """
        raise RuntimeRefusal(
            'BiSSLModel is trained by its own loop. Set '
            "train_cfg=dict(type='bissl_mm.BiSSLTrainLoop', ...)."
        )


def _build(model: dict | nn.Module, name: str) -> Any:
    if isinstance(model, nn.Module):
        return model
    if not isinstance(model, dict):
        raise TypeRefusal(
            f'BiSSLModel: {name} must be a config dict or a model, but is {model!r}.'
        )
    return MODELS.build(model)


def unwrap(model: nn.Module) -> BiSSLModel:
    """The :class:`BiSSLModel` itself, out of a model wrapper if it is in one.

    Raises:
        TypeError: If the model is another one.
    """
    inner = getattr(model, 'module', model)
    if not isinstance(inner, BiSSLModel):
        raise TypeRefusal(
            f'The model is a {type(inner).__name__}, but the bilevel stage '
            "needs model=dict(type='bissl_mm.BiSSLModel', pretext=..., "
            'downstream=...).'
        )
    return inner


__all__: list[str] = ['BiSSLModel', 'unwrap']
