"""What each arm changes in the config of the stage; see PROTOCOL.md."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from mmengine.config import Config


@dataclass(frozen=True)
class StageSettings:
    """What is chosen for all arms alike."""

    reg_weight: float = 0.03
    upper_lr: float = 0.03
    num_alternations: int = 30
    num_lower_steps: int = 10
    num_upper_steps: int = 4

    def put(self, cfg: Config) -> None:
        """Write them into a bilevel config."""
        cfg.optim_wrapper.regularizer.weight = self.reg_weight
        cfg.optim_wrapper.upper.optimizer.lr = self.upper_lr
        cfg.train_cfg.update(
            num_alternations=self.num_alternations,
            num_lower_steps=self.num_lower_steps,
            num_upper_steps=self.num_upper_steps,
            val_interval=self.num_alternations,
        )
        # A tenth of the lower steps warms up.
        warm = max(1, self.num_alternations * self.num_lower_steps // 10)
        warmup, decay = cfg.param_scheduler.lower
        warmup.end = decay.begin = warm

    def __str__(self) -> str:
        return ','.join(f'{k}={v}' for k, v in asdict(self).items())

    @classmethod
    def parse(cls, text: str) -> 'StageSettings':
        """From what ``str`` gives."""
        pairs = dict(pair.split('=') for pair in text.split(','))
        return cls(
            **{name: type(value)(pairs[name]) for name, value in asdict(cls()).items()}
        )


def _further(cfg: Config) -> None:
    # theta_P does not see the upper level, which costs one step.
    cfg.optim_wrapper.indirect_weight = 0.0
    cfg.optim_wrapper.regularizer.weight = 0.0
    cfg.optim_wrapper.hypergradient.damping = 1.0
    cfg.train_cfg.update(num_upper_steps=1, head_warmup=None)


def _further_time(cfg: Config) -> None:
    _further(cfg)
    _lengthen(cfg, 4 / 3)


def _lengthen(cfg: Config, factor: float) -> None:
    number = round(cfg.train_cfg.num_alternations * factor)
    cfg.train_cfg.update(num_alternations=number, val_interval=number)


def _twice(cfg: Config) -> None:
    cfg.optim_wrapper.indirect_weight = 0.0
    cfg.train_cfg.num_lower_steps = 0
    for hook in cfg.custom_hooks:
        if hook.type == 'ExportBackboneHook':
            hook.level = 'upper'


def _sum(cfg: Config) -> None:
    cfg.model.share_backbone = True
    cfg.optim_wrapper.indirect_weight = 0.0


def _indirect(cfg: Config) -> None:
    cfg.optim_wrapper.direct_weight = 0.0


def _gauss_newton(total: float) -> Callable[[Config], None]:
    """A system that is solved, with lambda + damping = ``total``, over two
    batches of 128 images."""

    def patch(cfg: Config) -> None:
        _solver(
            total - cfg.optim_wrapper.regularizer.weight,
            'gauss_newton',
            type='RecyclingSolver',
            tolerance=0.05,
        )(cfg)
        cfg.optim_wrapper.hypergradient.num_batches = 2

    return patch


def _solver(
    damping: float = 0.0, curvature: str = 'hessian', **solver
) -> Callable[[Config], None]:
    def patch(cfg: Config) -> None:
        own = cfg.optim_wrapper.hypergradient
        # Not merged into the other solver's settings.
        del own['solver']
        own.update(solver=solver, damping=damping, curvature=curvature)
        if solver['type'] not in ('IdentitySolver', 'DiscardSolver'):
            own.check_residual = 'random'

    return patch


def _double(patch: Callable[[Config], None]) -> Callable[[Config], None]:
    def doubled(cfg: Config) -> None:
        patch(cfg)
        cfg.optim_wrapper.upper.optimizer.lr *= 2

    return doubled


#: The arms of the table of arms that have a stage.
_TABLE: dict[str, Callable[[Config], None]] = {
    'further': _further,
    'further-time': _further_time,
    'twice': _twice,
    'twice-2x': _double(_twice),
    'sum': _sum,
    'discard': _solver(type='DiscardSolver'),
    'discard-2x': _double(_solver(type='DiscardSolver')),
    'indirect-2x': _double(_indirect),
    'v': lambda cfg: None,
    'published': _solver(type='LayerwiseCGSolver', max_iters=5, damping=10.0),
    'recommended': _solver(
        type='RecyclingSolver', tolerance=0.1, damping=1.0, curvature='gauss_newton'
    ),
}
ARMS = ('FT', 'FT-long', *_TABLE)
#: All arms with a stage. Those named for time, thrift or length differ in
#: settings.
STAGES: dict[str, Callable[[Config], None]] = {
    **_TABLE,
    **{f'gn-{total}': _gauss_newton(total) for total in (0.1, 0.3, 1)},
    'v-time': _TABLE['v'],
    'discard-time': _TABLE['discard'],
    'thrifty': _TABLE['v'],
    'thrifty-R': _TABLE['v'],
    **{f'{arm}-long': _TABLE[arm] for arm in ('further', 'twice', 'v')},
}
