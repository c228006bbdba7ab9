"""The place that a bilevel run has reached."""

import math
from dataclasses import asdict, dataclass, field

#: Key under which the progress lies in the message hub of a checkpoint.
HUB_KEY = 'bissl_progress'


@dataclass
class Progress:
    """All that a resumed run needs to know of the loop, in plain data.

    Attributes:
        phase (str): ``'head_warmup'``, ``'lower'`` or ``'upper'``.
        alternation (int): Alternations completed.
        step (int): Steps done in the phase.
        validation_due (bool): Whether an evaluation comes before the next step.
        meters (dict): Sum and count of each quantity logged since the last
            mean was taken.
        streams (dict): State of each level's data stream.
        settings (dict): Settings that a resumed run is compared with.
    """

    phase: str = 'head_warmup'
    alternation: int = 0
    step: int = 0
    validation_due: bool = False
    meters: dict[str, list[float]] = field(default_factory=dict)
    streams: dict[str, dict] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)

    def enter(self, phase: str) -> None:
        """Begin a phase."""
        self.phase, self.step = phase, 0

    def record(self, prefix: str, logs: dict[str, float]) -> None:
        """Add the quantities of one step. Of ``min_*`` the smallest is kept."""
        for key, value in logs.items():
            name = f'{prefix}/{key}'
            if key.startswith('min_'):
                # A mean would hide one bad step.
                smallest = self.meters.get(name, [math.inf])[0]
                self.meters[name] = [min(smallest, value), 1]
                continue
            meter = self.meters.setdefault(name, [0.0, 0])
            meter[0] += value
            meter[1] += 1

    def pop_means(self) -> dict[str, float]:
        """Mean of each quantity since the last call."""
        means = {key: total / count for key, (total, count) in self.meters.items()}
        self.meters = {}
        return means

    def describe(self) -> str:
        """The place in words."""
        if self.phase == 'head_warmup':
            return f'head warm-up, after {self.step} steps'
        return (
            f'alternation {self.alternation + 1}, {self.phase} level, '
            f'after {self.step} steps'
        )

    def name(self) -> str:
        """The place as part of a file name."""
        if self.phase == 'head_warmup':
            return f'0_head_warmup_{self.step}'
        if self.phase == 'lower' and self.step == 0:
            return f'{self.alternation}'
        return f'{self.alternation}_{self.phase}_{self.step}'

    def to_dict(self) -> dict:
        """Plain data, for a checkpoint."""
        return asdict(self)
