"""Warnings about the hypergradient."""

import math

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS
from ...utils.check import check_keys
from .data_distance_hook import NAME


@HOOKS.register_module()
@check_keys
class SolverMonitorHook(Hook):
    """Warn if the linear system of the hypergradient was not solved.

    The quantities themselves (``upper/residual``, ``upper/estimated``,
    ``upper/min_curvature``, ``upper/cosine``, ``lower/distance``, ...) are
    logged with every alternation. Each kind of warning is given once. At the end,
    a line says how far the last alternation met what the implicit Jacobian assumes
    (A.1, arXiv:2410.02387): a stationary lower level and a positive definite
    system, solved. It also repeats the distance of the data sets, if
    :class:`DataDistanceHook` is among the hooks.

    Args:
        max_residual (float): The warning comes if the true relative residual
            ``||A x - v|| / ||v||`` is above this. It is that of the steps that
            ``hypergradient.check_residual`` names. Defaults to 1: above it, the
            zero vector would be a better solution.
    """

    priority = 'LOW'

    def __init__(self, max_residual: float = 1.0) -> None:
        self.max_residual = max_residual
        self._warned: set[str] = set()
        self._last: dict[str, float] = {}

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Check the means of one alternation."""
        self._last = dict(outputs)
        system = runner.optim_wrapper.system
        solver = type(system.solver).__name__
        where = (
            f'alternation {batch_idx + 1}, {solver}, lambda '
            f'{system.regularizer.weight}, damping '
            f'{system.config.damping}'
        )
        residual = outputs.get('upper/residual')
        if residual is not None and not residual <= self.max_residual:
            self._warn(
                runner,
                'residual',
                f'The linear system was not solved: residual {residual:.3g} '
                f'({where}). The update direction is unreliable. A residual of 0 '
                'means solved; that of the zero vector is 1. Raise damping, or '
                + (
                    'set extrapolate=False of the solver: then no residual is '
                    'an estimate.'
                    if outputs.get('upper/estimated')
                    and getattr(system.solver, 'extrapolate', False)
                    else "choose hypergradient.solver=dict(type='RecyclingSolver'). "
                    "If the curvature is negative, choose curvature='gauss_newton' "
                    "with solver=dict(type='CGSolver')."
                ),
            )
        curvature = outputs.get('upper/min_curvature')
        if curvature is not None and curvature <= 0:
            self._warn(
                runner,
                'curvature',
                f'The operator is not positive definite: curvature '
                f'{curvature:.3g} was met ({where}). Conjugate gradients have no '
                'guarantee there. Raise damping, or choose solver=dict(type='
                "'RecyclingSolver') or curvature='gauss_newton'.",
            )
        if outputs.get('upper/cosine', 1.0) < 0:
            self._warn(
                runner,
                'cosine',
                f'v_IJ points against v: cosine {outputs["upper/cosine"]:.3g} '
                f'({where}). The upper level would move away from the '
                'downstream task. Raise damping.',
            )

    def after_train(self, runner: Runner) -> None:
        """Say what was assumed, and how far it held."""
        shown = [
            (f'{text} {self._last[key]:.3g} ({meaning})')
            for key, text, meaning in (
                (
                    'lower/stationarity',
                    "the lower level's gradient over the lengths of its two parts",
                    '0: stationary, with the noise of a batch',
                ),
                ('upper/min_curvature', 'smallest curvature met', 'above 0'),
                ('upper/residual', 'residual of the system', '0: solved'),
            )
            # Without products no curvature is met: it is infinite.
            if math.isfinite(self._last.get(key, math.nan))
        ]
        distance = runner.message_hub.runtime_info.get(NAME)
        if shown and distance is not None:
            shown.append(
                f'distance of the data sets {distance:.3g} (near 0, the stage has '
                'little to align)'
            )
        if shown:
            runner.logger.info(
                'What the implicit Jacobian assumes, in the last alternation: '
                + '; '.join(shown)
                + '.'
            )

    def _warn(self, runner: Runner, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            runner.logger.warning(
                text + ' This warning comes once; the log has later values.'
            )
