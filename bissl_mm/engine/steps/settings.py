"""All settings of the hypergradient, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...utils.check import (
    check_in,
    check_mapping,
    check_non_negative,
    check_not_moved,
    check_positive_int,
)
from ...utils.errors import ValueRefusal

WHERE = 'optim_wrapper.hypergradient'
#: Keys of ``optim_wrapper`` and of ``train_cfg`` in version 0.1 -> their place
#: now.
MOVED_OF_WRAPPER = dict(
    reg_weight='optim_wrapper.regularizer.weight',
    damping=f'{WHERE}.damping',
    solver=f'{WHERE}.solver',
    curvature=f'{WHERE}.curvature',
    jacobian_params=f'{WHERE}.params',
    hessian_batch_size=f'{WHERE}.batch_size',
    product_dtype=f'{WHERE}.dtype',
    check_residual=f'{WHERE}.check_residual',
)
MOVED_OF_LOOP = dict(
    num_hessian_batches=f'{WHERE}.num_batches', hessian_batches=f'{WHERE}.batches'
)


@dataclass(frozen=True)
class HypergradientSettings:
    r"""How :math:`v_{IJ}` is computed.

    Attributes:
        damping (float): Damping :math:`\delta` of the operator
            :math:`I + H/(\lambda + \delta)`. Defaults to 10.
        solver (dict): Solver of the linear system. Defaults to the published
            one, ``dict(type='LayerwiseCGSolver', max_iters=5)``.
        curvature (str): The matrix :math:`H` of the operator. ``'hessian'`` is
            the Hessian of the pretext loss, as published. ``'gauss_newton'`` is
            the positive semi-definite Gauss-Newton matrix; it exists for the
            losses that
            :func:`bissl_mm.models.losses.convex_losses.convex_form` knows.
            ``'differences'`` is the Hessian by differences of gradients: one
            gradient per product, no kept graph, for networks that are smooth
            throughout (:class:`bissl_mm.hypergradient.Differences`).
            ``'fisher'`` is the empirical Fisher matrix of the gradients of the
            Hessian batches' parts (:class:`bissl_mm.hypergradient.Fisher`).
            Defaults to ``'hessian'``.
        difference_step (float): The displacement of ``'differences'``, relative
            to the norm of the parameters. Defaults to 1e-5.
        params (str or list[str], optional): Lower backbone parameters
            through which the implicit Jacobian is taken. For the others
            :math:`v_{IJ} = v`. ``'norm'`` selects those of normalisation
            layers. A list contains regular expressions, for example
            ``['layer4']``, which are searched for in the pretext model's names.
            Defaults to None: all.
        pretext_head (bool): Whether the pretext head :math:`\phi_P` belongs to
            the unknowns of the system (Corollary 5.6 of the thesis). Its part
            of the solution is not used. Defaults to False: the head is fixed,
            as published.
        head_damping (float): Added to the diagonal of the head's block. The
            regularizer adds nothing to this block, so the system may be
            singular without it. Defaults to 1.
        head_weight (float): Weight :math:`\mu` of the term :math:`\frac{\mu}{2}
            \|\phi_P\|^2` of the upper level (Appendix G of the thesis). The
            lower level then also minimises the pretext loss
            :math:`\mathcal{L}^P(\theta_D, \phi_P)` in the head, and an upper step
            takes three products where it took one. Needs ``pretext_head=True``.
            Defaults to 0: no such terms.
        num_batches (int): Pretext batches K whose Hessians are averaged in an
            upper phase. Defaults to 1; the first version of the paper has 5.
        batches (str): ``'next'`` draws these batches after the lower steps.
            ``'first'`` takes the first K of the lower phase, as the first
            version of the paper does. Defaults to ``'next'``.
        batch_size (int, optional): The Hessian is computed on this many
            samples of each pretext batch, the first ones, on each rank. With
            fewer samples a product takes less time and memory, and the Hessian
            is noisier. Defaults to None: the whole batch, as published.
        keep_graph (bool): Whether the gradient of each Hessian batch is kept
            with its graph for all products of a phase. False builds it anew in
            every product: this takes less memory and more time, and the values
            are equal up to rounding. Without effect with ``'differences'`` and
            ``'fisher'``, which keep no graph. Defaults to True.
        dtype (str, optional): ``'bfloat16'`` computes the convolutions of a
            product in this type. Parameters, gradients and the solver's vectors
            stay in float32. ``'tf32'`` lets a GPU of NVIDIA's Ampere generation or
            later compute products in TF32. In both cases they are off by about
            1e-3. Defaults to None: float32, whatever torch's own settings of TF32
            are.
        second_order (str): How second derivatives of convolutions and batch
            norms are computed. ``'lean'`` uses written-out formulas, which are
            faster on CPU; ``'torch'`` leaves them to torch. The values are
            equal up to rounding. Defaults to ``'lean'``.
        small_image_kernels (bool): Whether lean layers with outputs of up to
            nine pixels get kernels of their own, on CPU. The values are equal
            up to rounding. Defaults to True.
        check_residual (str): At which steps of an upper phase one product is
            spent on the true residual of the system. ``'random'`` is one step
            per phase, drawn by the run's seed. ``'first'`` is the first step,
            whose residual ``RecyclingSolver`` never estimates. ``'always'`` and
            ``'never'`` are the others. Defaults to ``'random'``.
        unrolled_steps (int): Above 0, no system is solved; this many of the last
            lower steps are differentiated instead, on their own batches. A
            reference for small networks, see
            :class:`bissl_mm.engine.steps.unrolled.UnrolledSystem`. Defaults to 0.

    Raises:
        ValueError: If a setting is out of its range.
    """

    damping: float = 10.0
    solver: Any = None
    curvature: str = 'hessian'
    difference_step: float = 1e-5
    params: str | list[str] | None = None
    pretext_head: bool = False
    head_damping: float = 1.0
    head_weight: float = 0.0
    num_batches: int = 1
    batches: str = 'next'
    batch_size: int | None = None
    keep_graph: bool = True
    dtype: str | None = None
    second_order: str = 'lean'
    small_image_kernels: bool = True
    check_residual: str = 'random'
    unrolled_steps: int = 0

    def __post_init__(self) -> None:
        check_non_negative(WHERE, 'damping', self.damping)
        self._check_head()
        kinds = ('hessian', 'gauss_newton', 'differences', 'fisher')
        check_in(WHERE, 'curvature', self.curvature, kinds)
        check_non_negative(WHERE, 'difference_step', self.difference_step)
        if self.curvature == 'differences' and not self.difference_step:
            raise ValueRefusal(
                f'{WHERE}: difference_step must be above 0. Set difference_step=1e-5.'
            )
        check_positive_int(WHERE, 'num_batches', self.num_batches)
        known = ('next', 'first', *(['last'] if self.unrolled_steps else []))
        check_in(WHERE, 'batches', self.batches, known)
        check_in(WHERE, 'keep_graph', self.keep_graph, (True, False))
        check_in(WHERE, 'dtype', self.dtype, (None, 'bfloat16', 'tf32'))
        check_in(WHERE, 'second_order', self.second_order, ('lean', 'torch'))
        check_in(WHERE, 'small_image_kernels', self.small_image_kernels, (True, False))
        if self.dtype == 'bfloat16' and self.second_order == 'torch':
            raise ValueRefusal(
                f'{WHERE}: dtype={self.dtype!r} works only with '
                "second_order='lean', but second_order is 'torch'. Set dtype=None."
            )
        if self.dtype is not None and self.curvature == 'differences':
            raise ValueRefusal(
                f'{WHERE}: a difference of two gradients is lost in the rounding of '
                f"dtype={self.dtype!r}. Set dtype=None, or curvature='hessian'."
            )
        if self.dtype is not None and self.curvature == 'fisher':
            raise ValueRefusal(
                f"{WHERE}: curvature='fisher' derives no layer in a product, so that "
                f'dtype={self.dtype!r} has no effect. Set dtype=None.'
            )
        check_in(
            WHERE,
            'check_residual',
            self.check_residual,
            ('random', 'first', 'always', 'never'),
        )
        if self.unrolled_steps != 0:
            self._set_unrolled()
        if self.batch_size is not None:
            check_positive_int(WHERE, 'batch_size', self.batch_size)
        if self.solver is None:
            object.__setattr__(
                self, 'solver', dict(type='LayerwiseCGSolver', max_iters=5)
            )

    def _check_head(self) -> None:
        """Check what acts through the pretext head."""
        check_non_negative(WHERE, 'head_damping', self.head_damping)
        check_in(WHERE, 'pretext_head', self.pretext_head, (True, False))
        check_non_negative(WHERE, 'head_weight', self.head_weight)
        if self.head_weight and not self.pretext_head:
            raise ValueRefusal(
                f'{WHERE}: head_weight={self.head_weight} acts through the head in '
                'the implicit Jacobian, but pretext_head is False. Set '
                'pretext_head=True, or head_weight=0.'
            )
        if self.head_weight and self.curvature in ('gauss_newton', 'fisher'):
            raise ValueRefusal(
                f'{WHERE}: head_weight={self.head_weight} needs mixed second '
                f'derivatives, which curvature={self.curvature!r} does not have. Set '
                "curvature='hessian', or head_weight=0."
            )

    def _set_unrolled(self) -> None:
        """Check what unrolling leaves without effect, and take the batches of
        the steps."""
        check_positive_int(WHERE, 'unrolled_steps', self.unrolled_steps)
        for key, plain in (
            ('curvature', 'hessian'),
            ('params', None),
            ('pretext_head', False),
            ('batch_size', None),
        ):
            if getattr(self, key) != plain:
                raise ValueRefusal(
                    f'{WHERE}: unrolled_steps={self.unrolled_steps} differentiates '
                    f'whole steps of backbone and head, so that {key}='
                    f'{getattr(self, key)!r} cannot be. Set {key}={plain!r}.'
                )
        object.__setattr__(self, 'num_batches', self.unrolled_steps)
        object.__setattr__(self, 'batches', 'last')
        # There is no system that could have a residual.
        object.__setattr__(self, 'check_residual', 'never')

    @classmethod
    def read(cls, given: Any) -> 'HypergradientSettings':
        """Read ``optim_wrapper.hypergradient`` of a config.

        Args:
            given (dict or HypergradientSettings, optional): None gives the
                defaults.

        Raises:
            TypeError: For an unknown key. The message names the nearest one.
        """
        if isinstance(given, cls):
            return given
        return cls(**check_mapping(WHERE, given, [field.name for field in fields(cls)]))

    def settings(self) -> dict[str, Any]:
        """All settings by name; plain values except the solver."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def check_weights(direct: float, indirect: float, head_weight: float) -> None:
    """Check the weights of the upper level's terms.

    Args:
        direct (float): ``direct_weight``.
        indirect (float): ``indirect_weight``.
        head_weight (float): ``hypergradient.head_weight``.

    Raises:
        ValueError: For a negative weight, or if nothing is left to minimise.
    """
    check_non_negative('BiSSLOptimWrapper', 'direct_weight', direct)
    check_non_negative('BiSSLOptimWrapper', 'indirect_weight', indirect)
    if direct + indirect == 0:
        raise ValueRefusal(
            'BiSSLOptimWrapper: direct_weight and indirect_weight are 0, '
            'so that the upper level has no loss. Set one above 0.'
        )
    if head_weight and not indirect:
        raise ValueRefusal(
            f'{WHERE}: head_weight={head_weight} acts through the implicit Jacobian, '
            'but with indirect_weight=0 no system is solved. Set indirect_weight=1, '
            'or head_weight=0.'
        )


def refuse_moved(cfg: Mapping[str, Any]) -> None:
    """Refuse settings of version 0.1, naming the new place of each.

    Args:
        cfg (dict): A whole config.

    Raises:
        TypeError: If there are such keys.
    """
    moved = {
        f'{part}.{key}': place
        for part, keys in (
            ('optim_wrapper', MOVED_OF_WRAPPER),
            ('train_cfg', MOVED_OF_LOOP),
        )
        for key, place in keys.items()
        if key in (cfg.get(part) or ())
    }
    where = getattr(cfg, 'filename', None) or 'config'
    check_not_moved(where, moved, moved)
