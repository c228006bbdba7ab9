"""The gradient steps of Algorithm 1."""

from typing import Dict, List, Optional, Sequence, Union

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor

from ...hypergradient.linalg.vectors import cosine, norm
from ...models.bissl_model import BiSSLModel
from ...models.proximal import add_proximal_grad_
from ...registry import OPTIM_WRAPPERS
from ...utils.check import check_keys, check_non_negative
from ...utils.errors import ValueRefusal
from ...utils.random import seeded
from ..checks.batch_report import names_its_batch
from ..distributed import average_
from .gradients import FirstOrder
from .hypergradient import ImplicitSystem
from .lone_images import FirstGradient
from .parts import (all_grads, check_finite, check_plain, device_of,
                         running_statistics, solution_logs, take_clipping)


@OPTIM_WRAPPERS.register_module()
@check_keys
class BiSSLOptimWrapper(OptimWrapperDict):
    r"""Two optimizers and the gradients that BiSSL gives them.

    Built by :class:`BiSSLOptimWrapperConstructor` from a config. As an
    ``OptimWrapperDict`` it has the entries ``'lower'`` and ``'upper'``, which
    is also how ``param_scheduler`` names them; the head warm-up has an
    optimizer of its own with a constant learning rate.

    Each level's gradient is averaged over ranks, then clipped as that level's
    ``clip_grad`` says, over backbone and head together, then applied.

    Args:
        lower (OptimWrapper): For :math:`\theta_P` and :math:`\phi_P`.
        upper (OptimWrapper): For :math:`\theta_D` and :math:`\phi_D`.
        head_warmup (OptimWrapper): For :math:`\phi_D` during the warm-up.
        reg_weight (float): Regularisation weight :math:`\lambda`. Defaults
            to 0.001.
        damping (float): Damping :math:`\delta` of the operator
            :math:`I + H/(\lambda + \delta)`. Defaults to 10.
        solver (dict): Solver of the linear system. Defaults to the published
            one, ``dict(type='LayerwiseCGSolver', max_iters=5)``.
        direct_weight (float): Weight :math:`\gamma` of the second upper term
            :math:`\mathcal{L}^D(\theta_D, \phi_D)`. Defaults to 1; the first
            version of the paper has 0.01.
        indirect_weight (float): Weight of the first upper term
            :math:`\mathcal{L}^D(\theta_P, \phi_D)`, to the gradients of head
            and backbone. At 0 it is not evaluated and nothing is solved;
            with ``num_lower_steps=0`` what is left is supervised training.
            Defaults to 1.
        check_residual (str): When to spend a product on the true residual of
            the system: at a ``'random'`` step of each upper phase, by the
            run's seed, at the ``'first'``, which ``RecyclingSolver`` never
            estimates, ``'always'`` or ``'never'``. Defaults to ``'random'``.
        num_micro_batches (dict, optional): In how many parts a rank's batch
            passes the network, by ``'lower'``, ``'upper'`` and ``'hessian'``,
            for batches that do not fit the memory. Gradients are those of
            the whole batch if the loss is a mean over samples and no layer
            looks at other samples (MAE, a classifier without batch norm);
            batch norm and contrastive losses see the part alone. With
            ``'hessian'`` above 1 every product builds its graphs anew.
            Defaults to None: one part each.
        first_order_dtype (str, optional): ``'bfloat16'`` evaluates the
            losses of all gradients under autocast; parameters and
            Hessian-vector products stay in float32. Defaults to None.
        jacobian_params (str or list[str], optional): Lower backbone
            parameters through which the implicit Jacobian is taken; for the
            others :math:`v_{IJ} = v`. ``'norm'`` are those of normalisation
            layers, a list holds regular expressions searched for in the
            pretext model's names, for example ``['layer4']``. Defaults to
            None: all.
        curvature (str): Matrix :math:`H` of the operator: the
            ``'hessian'`` of the pretext loss, as published, or the positive
            semi-definite ``'gauss_newton'`` matrix of the losses that
            :func:`bissl_mm.models.pretext.convex_losses.convex_form` knows.
            Defaults to ``'hessian'``.
        hessian_batch_size (int, optional): Samples of each pretext batch, on
            each rank, that the Hessian is computed on: its first ones. Time
            and memory of the operator fall with it, its sampling noise grows.
            Defaults to None: the whole batch, as published.
        product_dtype (str, optional): ``'bfloat16'`` computes the
            convolutions within a product in it; parameters, gradients and
            the solver's vectors stay in float32. Products are then off by
            some 1e-3. Defaults to None: float32.

    Raises:
        ValueError: If a setting is out of its range.
        TypeError: If a level's wrapper scales its loss, accumulates on its
            own or shards its optimizer.

    Source:
        Algorithm 1, 4.2.2 and B.3, arXiv:2410.02387.
    """

    def __init__(self,
                 lower: OptimWrapper,
                 upper: OptimWrapper,
                 head_warmup: OptimWrapper,
                 reg_weight: float = 0.001,
                 damping: float = 10.,
                 solver: Optional[dict] = None,
                 direct_weight: float = 1.,
                 indirect_weight: float = 1.,
                 check_residual: str = 'random',
                 num_micro_batches: Optional[Dict[str, int]] = None,
                 first_order_dtype: Optional[str] = None,
                 jacobian_params: Union[str, List[str], None] = None,
                 curvature: str = 'hessian',
                 hessian_batch_size: Optional[int] = None,
                 product_dtype: Optional[str] = None) -> None:
        self.system = ImplicitSystem(
            reg_weight, damping, solver, check_residual, jacobian_params,
            curvature, hessian_batch_size, product_dtype)
        super().__init__(lower=lower, upper=upper)
        for name, wrapper in (('lower', lower), ('upper', upper),
                              ('head_warmup', head_warmup)):
            check_plain(name, wrapper)
        self.head_warmup = head_warmup
        # Levels may share a wrapper, which has its clipping taken once.
        self._clipping = {key: take_clipping(wrapper) for key, wrapper in {
            id(w): w for w in (lower, upper, head_warmup)}.items()}
        check_non_negative('BiSSLOptimWrapper', 'direct_weight',
                           direct_weight)
        check_non_negative('BiSSLOptimWrapper', 'indirect_weight',
                           indirect_weight)
        if direct_weight + indirect_weight == 0:
            raise ValueRefusal(
                'BiSSLOptimWrapper: direct_weight and indirect_weight are 0, '
                'so that the upper level has no loss. Set one above 0.')
        self.direct_weight = direct_weight
        self.indirect_weight = indirect_weight
        self.first_order = FirstOrder(num_micro_batches, first_order_dtype)
        self._check_gradient = FirstGradient()

    @property
    def reg_weight(self) -> float:
        r""":math:`\lambda`, of the proximal term and of the operator."""
        return self.system.reg_weight

    @names_its_batch('lower')
    def lower_step(self, model: BiSSLModel, batch: dict,
                   seed: int) -> Dict[str, float]:
        r"""One step of the lower level (lines 5 to 7 of Algorithm 1).

        Args:
            model (BiSSLModel): Changed: :math:`\theta_P, \phi_P` and the
                pretext model's buffers.
            batch (dict): A pretext batch of this rank, as collated.
            seed (int): Seed of the random draws on this rank.

        Returns:
            dict[str, float]: ``pretext_loss`` :math:`\mathcal{L}^P` and
            ``proximal_loss`` :math:`\lambda r` at the parameters before the
            step, ``grad_norm`` before clipping, ``distance``
            :math:`\|\theta_P - \theta_D\|`, ``pull``, the length of
            :math:`\lambda(\theta_P - \theta_D)` over that of the pretext
            gradient at the backbone, and ``clipped``, 1 where ``max_norm``
            cut the gradient, else 0. Means over ranks.

        Raises:
            FloatingPointError: If the loss or the gradient is not finite;
                the parameters are then unchanged.
        """
        pretext = model.pretext
        with seeded(seed, device_of(pretext)):
            loss = self.first_order.backward(
                pretext, self.first_order.prepare(pretext, 'lower', batch))
        average_([loss, *all_grads(pretext), *running_statistics(pretext)])
        self._check_gradient(pretext, self.first_order, batch)
        slope = norm([p.grad for p in model.lower_backbone()
                      if p.grad is not None])
        distance = add_proximal_grad_(model.lower_backbone(),
                                      model.upper_backbone(), self.reg_weight)
        proximal = 0.5 * self.reg_weight * distance.square()
        return self._apply(
            self['lower'], 'lower level',
            dict(pretext_loss=loss, proximal_loss=proximal,
                 distance=distance,
                 pull=self.reg_weight * distance / slope))

    def begin_upper_phase(self, model: BiSSLModel, batches: Sequence[dict],
                          seed: int, done_steps: int = 0,
                          checked_step: int = 0) -> None:
        r"""Build the operator of one upper phase.

        Args:
            model (BiSSLModel): In training mode, not changed;
                :math:`\theta_P` and :math:`\phi_P` must stay as they are
                until :meth:`end_upper_phase`.
            batches (Sequence[dict]): Pretext batches of this rank for the
                Hessian, one in the published algorithm.
            seed (int): Seed of the random draws of the pretext loss on this
                rank, the same for all products.
            done_steps (int): Steps of this phase that an interrupted run
                took already. Defaults to 0.
            checked_step (int): The ``'random'`` one. Defaults to 0.
        """
        self.system.begin(model, batches, seed, self.first_order, done_steps,
                          checked_step)

    def end_upper_phase(self) -> None:
        """Free the graphs of the operator."""
        self.system.end()

    @names_its_batch('upper')
    def upper_step(self, model: BiSSLModel, batch: dict,
                   seed: int) -> Dict[str, float]:
        r"""One step of the upper level (lines 9 to 13 of Algorithm 1).

        Both evaluations of the downstream loss see the same preprocessed
        batch and the same random draws (dropout, RoI sampling).

        Args:
            model (BiSSLModel): Changed: :math:`\theta_D, \phi_D` and the
                downstream model's buffers.
            batch (dict): A downstream batch of this rank, as collated.
            seed (int): Seed of the random draws on this rank.

        Returns:
            dict[str, float]: ``loss_at_lower``
            :math:`\mathcal{L}^D(\theta_P, \phi_D)` and ``loss_at_upper``
            :math:`\mathcal{L}^D(\theta_D, \phi_D)` before the step,
            ``grad_norm`` before clipping, and of the solve ``iters``,
            ``recursion_residual``, ``min_curvature``, ``v_norm``, ``cosine``
            between :math:`v` and :math:`v_{IJ}`, ``estimated`` (1 or 0,
            ``Status.ESTIMATED``) and, where checked, the true ``residual``.

        Raises:
            RuntimeError: Without :meth:`begin_upper_phase`.
            FloatingPointError: If a loss, the solution or the gradient is
                not finite; the parameters are then unchanged. The message
                says what the batch was.
        """
        if self.system.operator is None:
            raise RuntimeError('upper_step needs begin_upper_phase first.')
        if not self.indirect_weight:
            return self._direct_step(model, batch, seed)
        downstream = model.downstream
        loss_at_lower, loss_at_upper, v = self.first_order.upper_backward(
            model, batch, seed, self.direct_weight, self.indirect_weight)
        average_([loss_at_lower, loss_at_upper, *v, *all_grads(downstream),
                  *running_statistics(downstream)])
        check_finite('upper level', loss_at_lower=loss_at_lower.item(),
                     loss_at_upper=loss_at_upper.item())
        solution = self.system.solve(v)
        torch._foreach_add_([p.grad for p in model.upper_backbone()],
                            list(solution.value))
        logs = self._apply(
            self['upper'], 'upper level',
            dict(loss_at_lower=loss_at_lower, loss_at_upper=loss_at_upper,
                 v_norm=norm(v), cosine=cosine(v, solution.value)))
        logs.update(solution_logs(solution))
        return logs

    def _direct_step(self, model: BiSSLModel, batch: dict,
                     seed: int) -> Dict[str, float]:
        """The upper step without its first term."""
        downstream = model.downstream
        with seeded(seed, device_of(downstream)):
            parts = self.first_order.prepare(downstream, 'upper', batch)
        loss = self.first_order.backward(downstream, parts, seed,
                                         self.direct_weight)
        average_([loss, *all_grads(downstream),
                  *running_statistics(downstream)])
        return self._apply(self['upper'], 'upper level',
                           dict(loss_at_upper=loss))

    @names_its_batch('upper')
    def head_warmup_step(self, model: BiSSLModel, batch: dict,
                         seed: int) -> Dict[str, float]:
        r"""One step of the downstream head :math:`\phi_D` alone.

        Args:
            model (BiSSLModel): Changed: :math:`\phi_D` and buffers. Its
                backbone must be frozen, see
                :func:`bissl_mm.engine.loop.head_warmup.frozen_backbone`.
            batch (dict): A downstream batch of this rank, as collated.
            seed (int): Seed of the random draws on this rank.

        Returns:
            dict[str, float]: ``loss`` and ``grad_norm``, means over ranks.

        Raises:
            FloatingPointError: As in :meth:`lower_step`.
        """
        downstream = model.downstream
        with seeded(seed, device_of(downstream)):
            loss = self.first_order.backward(
                downstream,
                self.first_order.prepare(downstream, 'upper', batch))
        average_([loss, *all_grads(downstream),
                  *running_statistics(downstream)])
        return self._apply(self.head_warmup, 'head warm-up', dict(loss=loss))

    def settings(self) -> Dict[str, object]:
        """What a resumed run should not change without notice."""
        return dict(**self.system.settings(),
                    direct_weight=self.direct_weight,
                    indirect_weight=self.indirect_weight,
                    first_order_dtype=self.first_order.dtype)

    def state_dict(self) -> dict:
        """State of all three optimizers and, within an upper phase, of the
        solver."""
        state = super().state_dict()
        state['head_warmup'] = self.head_warmup.state_dict()
        kept = self.system.state_dict()
        if kept:
            state['solver'] = kept
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Load what :meth:`state_dict` gave."""
        state_dict = dict(state_dict)
        self.system.load_state_dict(state_dict.pop('solver', {}))
        self.head_warmup.load_state_dict(state_dict.pop('head_warmup'))
        super().load_state_dict(state_dict)

    def _apply(self, wrapper: OptimWrapper, where: str,
               logs: Dict[str, Tensor]) -> Dict[str, float]:
        """Clip, check, step, zero; the logs come in one transfer."""
        params = [p for group in wrapper.optimizer.param_groups
                  for p in group['params'] if p.grad is not None]
        logs = dict(logs, grad_norm=self._clipping[id(wrapper)](params))
        values = torch.stack([v.double() for v in logs.values()]).tolist()
        logs = dict(zip(logs, values))
        check_finite(where, **{k: v for k, v in logs.items() if k != 'pull'})
        limit = getattr(self._clipping[id(wrapper)], 'keywords', {}).get(
            'max_norm')
        if limit is not None:
            logs['clipped'] = float(logs['grad_norm'] > limit)
        wrapper.step()
        wrapper.zero_grad()
        return logs
