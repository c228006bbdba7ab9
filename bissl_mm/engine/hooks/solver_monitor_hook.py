"""How good the hypergradient is, in words."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...registry import HOOKS
from ...utils.check import check_keys


@HOOKS.register_module()
@check_keys
class SolverMonitorHook(Hook):
    """Warn when the solver's answer is not a solution of its system.

    The quantities themselves (``upper/residual``, ``upper/estimated``,
    ``upper/min_curvature``, ``upper/cosine``, ``lower/distance``, ...) are
    logged with every alternation. A warning is given once for each kind of
    trouble.

    Args:
        max_residual (float): True relative residual ``||A x - v|| / ||v||``,
            at the step of an upper phase that ``optim_wrapper.
            check_residual`` names, above which the warning comes. Defaults to
            1: above it, the zero vector would be a better answer.
    """

    priority = 'LOW'

    def __init__(self, max_residual: float = 1.0) -> None:
        self.max_residual = max_residual
        self._warned = set()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Look at the means of one alternation."""
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
                f'The linear system was not solved ({where}): the true '
                f'relative residual of v_IJ is {residual:.3g}, where 0 is '
                'solved and 1 is what the zero vector gives, so the update '
                'direction is unreliable. Raise damping, or '
                + (
                    'set extrapolate=False of the solver, which then estimates nothing.'
                    if outputs.get('upper/estimated')
                    else "choose hypergradient.solver=dict(type='RecyclingSolver'), "
                    "or where curvature is negative curvature='gauss_newton' with "
                    "solver=dict(type='CGSolver')."
                ),
            )
        curvature = outputs.get('upper/min_curvature')
        if curvature is not None and curvature <= 0:
            self._warn(
                runner,
                'curvature',
                f'The operator is not positive definite ({where}): curvature '
                f'{curvature:.3g} was met, where conjugate gradients have no '
                'guarantee. Raise damping, or choose solver=dict(type='
                "'RecyclingSolver') or curvature='gauss_newton'.",
            )
        if outputs.get('upper/cosine', 1.0) < 0:
            self._warn(
                runner,
                'cosine',
                f'v_IJ points against v ({where}): cosine '
                f'{outputs["upper/cosine"]:.3g}. The upper level would move '
                'away from the downstream task. Raise damping.',
            )

    def _warn(self, runner: Runner, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            runner.logger.warning(
                text + ' Said once; see the log for later alternations.'
            )
