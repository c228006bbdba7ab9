"""The counts of Algorithm 1, checked."""

from dataclasses import dataclass

from ...utils.check import (
    check_in,
    check_mapping,
    check_non_negative,
    check_positive_int,
)
from ...utils.errors import ValueRefusal
from .progress import Progress

WHERE = 'BiSSLTrainLoop'


@dataclass
class LoopSettings:
    """Settings of :class:`BiSSLTrainLoop`; see there for their meaning.

    Raises:
        ValueError: If a count is not positive, or settings contradict each
            other.
        TypeError: For an unknown key in a dict.
    """

    num_alternations: int
    num_lower_steps: int
    num_upper_steps: int
    head_warmup: dict | None
    num_hessian_batches: int
    hessian_batches: str
    backbone_adaptation: dict | None
    val_begin: int
    val_interval: int
    rank_check_interval: int = 1

    def __post_init__(self) -> None:
        if self.num_lower_steps != 0:
            check_positive_int(WHERE, 'num_lower_steps', self.num_lower_steps)
        for name in (
            'num_alternations',
            'num_upper_steps',
            'val_begin',
            'val_interval',
            'rank_check_interval',
        ):
            check_positive_int(WHERE, name, getattr(self, name))
        if (
            self.hessian_batches == 'first'
            and self.num_hessian_batches > self.num_lower_steps
        ):
            raise ValueRefusal(
                'optim_wrapper.hypergradient.num_batches='
                f'{self.num_hessian_batches} exceeds num_lower_steps='
                f"{self.num_lower_steps}, but batches='first' takes the batches "
                'of these steps. Lower num_batches.'
            )
        if (
            self.hessian_batches == 'last'
            and self.num_hessian_batches > self.num_lower_steps
        ):
            raise ValueRefusal(
                'optim_wrapper.hypergradient.unrolled_steps='
                f'{self.num_hessian_batches} exceeds num_lower_steps='
                f'{self.num_lower_steps}, the steps of an alternation. Lower it.'
            )
        self.head_warmup = _read_head_warmup(self.head_warmup)
        self.backbone_adaptation = _read_adaptation(self.backbone_adaptation)

    @property
    def num_lower_batches(self) -> int:
        """Pretext batches drawn per alternation.

        B.4 begins a new pass if fewer than N_L batches remain. The released
        code draws the Hessian batch from the same pass. A phase without a
        repeated sample then needs N_L + 1 batches, and this number is counted
        here. The two rules differ only if exactly N_L batches remain. They
        agree on ImageNet: 59 alternations fit into its 1251 batches of 1024
        images by either rule.
        """
        extra = self.num_hessian_batches if self.hessian_batches == 'next' else 0
        return self.num_lower_steps + extra

    @property
    def first_hessian_batch(self) -> int:
        """Number of the first Hessian batch among those of its alternation."""
        steps = self.num_lower_steps
        places = dict(first=0, next=steps, last=steps - self.num_hessian_batches)
        return places[self.hessian_batches]

    def total_steps(self, level: str) -> int:
        """Steps of a level in the whole run."""
        return (
            self.num_alternations
            * dict(lower=self.num_lower_steps, upper=self.num_upper_steps)[level]
        )

    def head_warmup_steps(self, num_batches: int) -> int:
        """Steps of the head warm-up.

        Args:
            num_batches (int): Batches in a pass over the downstream data.

        Returns:
            int: Of a part of a pass the nearest number of batches, at least one.
        """
        if self.head_warmup is None:
            return 0
        return max(1, round(self.head_warmup['num_epochs'] * num_batches))

    def is_validation_due(self, alternation: int) -> bool:
        """Whether an evaluation follows the alternation, counted from 1."""
        return alternation >= self.val_begin and (
            alternation % self.val_interval == 0 or alternation == self.num_alternations
        )

    def is_rank_check_due(self, alternation: int) -> bool:
        """Whether the ranks compare their parameters at the end of the
        alternation, counted from 1."""
        return (
            alternation % self.rank_check_interval == 0
            or alternation == self.num_alternations
        )

    def is_adaptation_due(self, alternation: int) -> bool:
        """Whether theta_D moves toward theta_P in the alternation, counted
        from 1."""
        adaptation = self.backbone_adaptation
        return bool(adaptation) and alternation % adaptation['interval'] == 0

    def fingerprint(self) -> dict[str, object]:
        """The settings that must not change when a run is resumed."""
        return dict(
            num_alternations=self.num_alternations,
            num_lower_steps=self.num_lower_steps,
            num_upper_steps=self.num_upper_steps,
            num_hessian_batches=self.num_hessian_batches,
            hessian_batches=self.hessian_batches,
            backbone_adaptation=self.backbone_adaptation,
        )

    def check_resumable(self, progress: Progress) -> None:
        """Compare these settings with those of a checkpoint.

        Args:
            progress (Progress): That of the checkpoint.

        Raises:
            ValueError: If it was written with other settings, or within a head
                warm-up that these settings do not have.
        """
        if progress.phase == 'head_warmup' and self.head_warmup is None:
            raise ValueRefusal(
                f'{WHERE}: head_warmup is None now, but the checkpoint was written '
                f'within the head warm-up, after {progress.step} steps. Restore it '
                '(a smaller head_warmup.num_epochs ends it earlier), or start anew '
                'without --resume.'
            )
        saved = progress.settings
        for key, value in self.fingerprint().items():
            if saved.get(key) != value:
                raise ValueRefusal(
                    f'{WHERE}: {key} is {value!r} now but was '
                    f'{saved.get(key)!r} when the checkpoint was written. '
                    'Restore it, or start anew with load_from instead of '
                    '--resume.'
                )


def _read_head_warmup(cfg: dict | None) -> dict | None:
    if cfg is None:
        return None
    where = f'{WHERE}: head_warmup'
    cfg = check_mapping(where, cfg, ('num_epochs', 'backbone_mode'))
    cfg.setdefault('num_epochs', 20)
    cfg.setdefault('backbone_mode', 'train')
    check_non_negative(where, 'num_epochs', cfg['num_epochs'])
    if cfg['num_epochs'] == 0:
        raise ValueRefusal(
            f'{where}: num_epochs is 0. Set head_warmup=None for no warm-up, or a '
            'number above 0, for example 0.1 for a tenth of a pass.'
        )
    check_in(where, 'backbone_mode', cfg['backbone_mode'], ('train', 'eval'))
    return cfg


def _read_adaptation(cfg: dict | None) -> dict | None:
    if cfg is None:
        return None
    where = f'{WHERE}: backbone_adaptation'
    cfg = check_mapping(where, cfg, ('interval', 'alpha'))
    cfg.setdefault('interval', 100)
    cfg.setdefault('alpha', 0.1)
    check_positive_int(where, 'interval', cfg['interval'])
    if not 0 < cfg['alpha'] <= 1:
        raise ValueRefusal(
            f'{where}: alpha must lie in (0, 1], but is {cfg["alpha"]!r}.'
        )
    return cfg
