"""The batches and settings that fit a card."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from .phases import Peaks
from .stage import LOADERS, Point, Stage

_KEEP = 'optim_wrapper.hypergradient.keep_graph'
_HESSIAN = 'optim_wrapper.hypergradient.batch_size'
_PARTS = 'optim_wrapper.num_micro_batches'
#: Level -> key of its batch on one process.
SIZE = {level: f'{where}.batch_size' for where, level in LOADERS.items()}
#: A contrastive loss and a batch norm need as many images, in each part of a batch.
_LEAST = 2


class Line:
    """A straight line through the bytes at two sizes of a batch."""

    def __init__(self, first: tuple[int, int], second: tuple[int, int]) -> None:
        (x, y), (other, z) = first, second
        self.slope = (z - y) / (other - x) if other != x else 0.0
        self.start = y - self.slope * x

    def __call__(self, size: float) -> float:
        return self.start + self.slope * size

    def largest(self, limit: float, most: int, step: int) -> int:
        """The largest multiple of ``step`` up to ``most`` whose bytes are within a
        limit; 0 if there is none."""
        if self(min(_LEAST * step, most)) > limit:
            return 0
        if self.slope > 0:
            most = min(int((limit - self.start) / self.slope), most)
        return most // step * step


class Lines:
    """Bytes of each phase by the sizes of the batches, in the parts that are set.

    Args:
        at (Point): Sizes of the first measurement.
        peaks (Peaks): Its result.
        other (Point): Sizes of the second one.
        others (Peaks): Its result.
    """

    def __init__(self, at: Point, peaks: Peaks, other: Point, others: Peaks) -> None:
        def line(level: str, bytes_of: Callable[[Peaks], int]) -> Line:
            return Line(
                (getattr(at, level), bytes_of(peaks)),
                (getattr(other, level), bytes_of(others)),
            )

        self.lower = line('lower', lambda p: p.lower)
        self.begin = line('hessian', lambda p: p.begin)
        self.graph = line('hessian', lambda p: p.graph)
        self.product = line('hessian', lambda p: p.product)
        self.rebuilt = line('hessian', lambda p: p.rebuilt)
        # Of an upper step without the graph of the Hessian.
        self.gradients = line(
            'upper', lambda p: max(p.gradients - p.graph, p.head_warmup or 0)
        )

    def peaks(self, at: Point, like: Peaks) -> Peaks:
        """The peaks at other sizes; what depends on none of them is that of
        ``like``."""
        found = {
            name: round(getattr(self, name)(at.hessian))
            for name in ('begin', 'graph', 'product', 'rebuilt')
        }
        return like._replace(
            **found,
            lower=round(self.lower(at.lower)),
            gradients=found['graph'] + round(self.gradients(at.upper)),
        )

    def hessian(
        self, limit: float, upper: int, most: int, step: int, keeps: bool
    ) -> int:
        """The largest Hessian batch up to ``most`` that fits, a multiple of ``step``,
        with the graph that the measurements kept or without one; 0 if none does."""
        if not keeps:
            fits = self.gradients(upper) <= limit
            return self.rebuilt.largest(limit, most, step) if fits else 0
        return min(
            self.begin.largest(limit, most, step),
            self.product.largest(limit, most, step),
            self.graph.largest(limit - self.gradients(upper), most, step),
        )


class Fit(NamedTuple):
    """What fits a card.

    Attributes:
        pretext (dict[bool, int]): The largest pretext batch of one process, with
            and without a kept graph, if the Hessian takes all of it or as much as
            is set; 0 if none fits. If the config keeps no graph, True is as it is.
        hessian (dict[bool, int]): The largest Hessian batch of one process beside
            the config's batches, likewise.
        parts (dict[str, int]): By level, the parts of a batch that are needed.
            Empty if the loss does not allow parts.
        options (dict): Settings with which the config fits; empty if it does
            as it is.
        peaks (Peaks, optional): With these settings; None if none were found.
    """

    pretext: dict[bool, int]
    hessian: dict[bool, int]
    parts: dict[str, int]
    options: dict[str, Any]
    peaks: Peaks | None


class Fitter:
    """Looks for settings that fit.

    Args:
        stage (Stage): The stage.
        peaks (Peaks): As it is set.
        lines (Lines, optional): Known ones. Defaults to None: another dry run
            gives them.
    """

    def __init__(self, stage: Stage, peaks: Peaks, lines: Lines | None = None) -> None:
        self.stage, self.peaks = stage, peaks
        self.settings = stage.hypergradient
        self.at, self.parts = stage.point(), stage.num_parts
        #: What a pretext batch is a multiple of.
        self.step = self.parts['lower']
        if self.settings.batch_size is None:
            # The Hessian takes all of it.
            self.step = math.lcm(self.step, self.parts['hessian'])
        self.lines = lines or self._lines()

    def _lines(self) -> Lines:
        other = self._other()
        options = {SIZE['lower']: other.lower, SIZE['upper']: other.upper}
        if self.settings.batch_size is not None:
            options[_HESSIAN] = other.hessian
        return Lines(self.at, self.peaks, other, self.stage.measure(options))

    def _other(self) -> Point:
        """Other sizes, for the slopes: half of each where possible."""
        parts = self.parts
        step = math.lcm(parts['lower'], parts['hessian'])
        lower = _half(self.at.lower, step)
        hessian = lower
        if self.settings.batch_size is not None:
            hessian = min(_half(self.at.hessian, parts['hessian']), lower)
        return Point(lower, hessian, _half(self.at.upper, parts['upper']))

    def fit(self, limit: float) -> Fit:
        """The settings for tensors of at most ``limit`` bytes."""
        at, lines, step = self.at, self.lines, self.parts['hessian']
        kept = (True, False)
        found = Fit(
            pretext={keeps: self._largest_pretext(limit, keeps) for keeps in kept},
            hessian={
                keeps: lines.hessian(limit, at.upper, at.lower, step, keeps)
                for keeps in kept
            },
            parts=self._parts(limit) if self.stage.takes_parts else {},
            options={},
            peaks=self.peaks,
        )
        if self.peaks.largest <= limit:
            return found
        # The lines are straight, and the bytes nearly so.
        for tightened in (limit, 0.97 * limit, 0.9 * limit):
            options = self.options(tightened)
            if options is None:
                break
            peaks = self.stage.measure(options)
            if peaks.largest <= limit:
                return found._replace(options=options, peaks=peaks)
        return found._replace(peaks=None)

    def _largest_pretext(self, limit: float, keeps: bool) -> int:
        most, upper, wanted = 2**20, self.at.upper, self.settings.batch_size
        size = self.lines.lower.largest(limit, most, self.step)
        if wanted is None:
            return min(size, self.lines.hessian(limit, upper, most, self.step, keeps))
        # The Hessian's batch stays as it is.
        step = self.parts['hessian']
        fits = self.lines.hessian(limit, upper, wanted, step, keeps) >= wanted
        return size if fits else 0

    def _parts(self, limit: float) -> dict[str, int]:
        # Unrolled steps are differentiated as a whole.
        levels = ('lower',) if self.settings.unrolled_steps else ('lower', 'hessian')
        return {
            level: self._number(level, getattr(self.at, level), limit)
            for level in levels
        }

    def _number(self, level: str, size: int, limit: float) -> int:
        """The smallest number of equal parts of a batch that fit; 0 if none does.

        A part decides. The line is that of batches in the parts that are set.
        """
        line = dict(lower=self.lines.lower, hessian=self.lines.rebuilt)[level]
        as_set = self.parts[level]
        return next(
            (
                parts
                for parts in range(1, size + 1)
                if size % parts == 0 and line(as_set * size / parts) <= limit
            ),
            0,
        )

    def options(self, limit: float) -> dict[str, Any] | None:
        """Settings that fit by the lines, without another dry run: those with the
        same values first. None if there are none."""
        at, lines, options = self.at, self.lines, {}
        validation = self._validation(limit)
        if validation == 0:
            return None
        if validation is not None:
            options[SIZE['validation']] = validation
        upper = lines.gradients.largest(limit, at.upper, self.parts['upper'])
        lower = lines.lower.largest(limit, at.lower, self.step)
        if self.stage.takes_parts and lower < at.lower:
            parts = self._number('lower', at.lower, limit)
            if parts:
                options[f'{_PARTS}.lower'] = parts
                lower = at.lower
        if upper < 1 or lower < 1:
            return None
        if upper < at.upper:
            options[SIZE['upper']] = upper
        if lower < at.lower:
            options[SIZE['lower']] = lower
        return self._for_hessian(options, limit, lower, upper)

    def _for_hessian(
        self, options: dict[str, Any], limit: float, lower: int, upper: int
    ) -> dict[str, Any] | None:
        is_unrolled, step = self.settings.unrolled_steps > 0, self.parts['hessian']
        if is_unrolled:
            step = options.get(f'{_PARTS}.lower', self.step)
        wanted = min(self.at.hessian, lower) // step * step
        if not wanted:
            return None
        if self.settings.batch_size not in (None, wanted):
            options[_HESSIAN] = wanted
        has_graph = self.stage.has_graph
        keep = {_KEEP: False} if has_graph else {}
        if self.lines.hessian(limit, upper, wanted, step, True) >= wanted:
            return options
        without = self.lines.hessian(limit, upper, wanted, step, not has_graph)
        if without >= wanted:
            return {**options, **keep}
        if self.stage.takes_parts and not is_unrolled:
            parts = self._number('hessian', wanted, limit)
            if parts:
                return {**options, f'{_PARTS}.hessian': parts}
        if not without:
            return None
        # Unrolled steps have the batches of the lower level.
        key = SIZE['lower'] if is_unrolled else _HESSIAN
        return {**options, **keep, key: without}

    def _validation(self, limit: float) -> int | None:
        """The batch of validation that fits; None if it fits as it is."""
        peak, at_rest = self.peaks.validation, self.peaks.at_rest
        if peak is None or peak <= limit:
            return None
        size = self.stage.size('validation')
        return max(int(size * (limit - at_rest) / (peak - at_rest)), 0)


def _half(size: int, step: int) -> int:
    """About half of a size, or its double if that is too little; a multiple of
    ``step``."""
    half = size // 2 // step * step
    return half if half >= _LEAST * step else 2 * size
