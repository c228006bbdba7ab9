"""One stage of a config on a device without memory."""

import copy
import os
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...models.bissl_model import BiSSLModel
from ...utils.errors import Refusal, RuntimeRefusal, ValueRefusal
from ...utils.total_batch import batch_size_of
from ..checks.out_of_memory import WITH_GRAPH
from ..loop.settings import LoopSettings
from ..steps.gradients import LEVELS
from ..steps.settings import HypergradientSettings
from .checkpoints import unread_checkpoints
from .fake_device import fake_device, move
from .live_tensors import LiveTensors
from .phases import Alternation, Peaks
from .samples import Sample, sample_of
from .worst_case import bytes_of_vectors, worst_case

#: Key of a dataloader -> the level that it feeds.
LOADERS = {
    'train_cfg.pretext_dataloader': 'lower',
    'train_dataloader': 'upper',
    'val_dataloader': 'validation',
}
#: Pretext tasks whose loss is a mean over the images. Without batch norm, the
#: gradient of a batch is the mean over parts of it.
_MEANS = ('MAE', 'SimMIM')


class Point(NamedTuple):
    """Batches of one process: pretext images, those of them for the Hessian, and
    downstream images."""

    lower: int
    hessian: int
    upper: int


class Stage:
    """A bilevel stage whose memory is asked for.

    Args:
        cfg (Config): The config.
        num_processes (int): Processes that share its batches, one per GPU.

    Attributes:
        samples (dict[str, Sample]): Of each level.
        notes (list[str]): What was assumed or left out.
        takes_parts (bool): Whether the pretext loss of a batch is the mean over
            its parts. Known after :meth:`measure`.
        vectors (int): Bytes of the solver's vectors, at most. Known after
            :meth:`measure`.
        vectors_of_few (int, optional): The same with ``max_basis=FEW_KEPT``; None if
            it is as few, or no setting of the solver.

    Raises:
        ValueError: If the processes cannot share its batches, or a pipeline does
            not run without data.
    """

    def __init__(self, cfg: Config, num_processes: int) -> None:
        self.cfg, self.num_processes = cfg, num_processes
        init_default_scope(cfg.get('default_scope', 'mmengine'))
        self.samples: dict[str, Sample] = {}
        self.notes: list[str] = []
        self.takes_parts = False
        self.vectors = 0
        self.vectors_of_few: int | None = None
        self.hypergradient = HypergradientSettings.read(
            cfg.optim_wrapper.get('hypergradient')
        )
        for where, level in LOADERS.items():
            loader = loader_of(cfg, where)
            if loader is not None:
                self.samples[level] = sample_of(where, loader)
            elif level != 'validation':
                raise ValueRefusal(
                    f'--dry-run memory: the config has no {where}, so the size of a '
                    'batch is unknown. Add it as a run needs it.'
                )

    def size(self, level: str, cfg: Config | None = None) -> int:
        """Samples of a level's batch on one process."""
        where = next(k for k, v in LOADERS.items() if v == level)
        loader = loader_of(cfg or self.cfg, where)
        return batch_size_of(where, loader, self.num_processes)

    def point(self) -> Point:
        """The sizes of its batches."""
        lower = self.size('lower')
        return Point(lower, self.hypergradient.batch_size or lower, self.size('upper'))

    @property
    def num_parts(self) -> dict[str, int]:
        """Parts of a batch as the config sets them, by level."""
        given = dict(self.cfg.optim_wrapper.get('num_micro_batches') or {})
        if self.hypergradient.unrolled_steps:
            # A step is differentiated as a whole.
            given['hessian'] = 1
        return {level: given.get(level, 1) for level in LEVELS}

    @property
    def has_graph(self) -> bool:
        """Whether a graph is kept for all products: the curvature derives a gradient
        again, of the whole Hessian batch at once, and ``keep_graph`` is set."""
        settings = self.hypergradient
        is_whole = self.num_parts['hessian'] == 1
        return settings.curvature in WITH_GRAPH and is_whole and settings.keep_graph

    def measure(self, options: dict[str, Any]) -> Peaks:
        """The peaks with other settings.

        Args:
            options (dict): Settings by dotted keys; empty for those of the config,
                whose checkpoints are then checked if they are here.

        Raises:
            ValueError: If a checkpoint does not fit the network.
            RuntimeError: If a part of the model needs the values of tensors.
        """
        cfg = copy.deepcopy(self.cfg)
        cfg.merge_from_dict(options)
        # Averages of weights follow a schedule of this length.
        MessageHub.get_current_instance().update_info('max_iters', 1000)
        model = MODELS.build(cfg.model)
        if not options:
            # Its weights are dropped again; no other setting changes the network.
            for text in unread_checkpoints(model):
                self.note(text)
        self.takes_parts = _is_mean(model.pretext)
        try:
            with fake_device(self.num_processes) as memory:
                return self._measure(cfg, model, memory)
        except Refusal:
            raise
        except Exception as error:
            raise RuntimeRefusal(
                '--dry-run memory: this config asks for the values of tensors, which '
                f'do not exist here, in {_place_of(error)} ({type(error).__name__}: '
                f'{str(error).partition(chr(10))[0]}). Leave that part out of the '
                'config, or read the peak from a run of one alternation.'
            ) from error

    def _measure(self, cfg: Config, model: BiSSLModel, memory: LiveTensors) -> Peaks:
        move(model)
        model.train()
        wrapper: Any = build_optim_wrapper(model, cfg.optim_wrapper)
        own = wrapper.system.solver
        wrapper.system.solver = worst_case(own)
        settings = loop_settings(cfg)
        batches = {}
        for level in self.samples:
            with memory.on_host():
                batches[level] = self.samples[level].batch(self.size(level, cfg))
        run = Alternation(
            memory,
            model,
            wrapper,
            lambda: dict(batches['lower']),
            _copies(batches['upper']),
        )
        warmup = settings.head_warmup
        in_warmup = run.head_warmup(warmup['backbone_mode']) if warmup else None
        steps = settings.num_lower_steps
        lower = run.lower_phase(steps) if steps else 0
        found = run.upper_phase(settings.num_upper_steps)
        self.vectors, self.vectors_of_few = bytes_of_vectors(own, wrapper.system.solver)
        return Peaks(
            at_rest=memory.restart(),
            head_warmup=in_warmup,
            lower=lower,
            validation=self._validation(memory, model, batches.get('validation')),
            **found,
        )

    def _validation(
        self, memory: LiveTensors, model: BiSSLModel, batch: Any
    ) -> int | None:
        if batch is None:
            return None
        model.eval()
        memory.restart()
        try:
            with torch.no_grad():
                model.val_step(batch)
        except Exception as error:
            self.note(
                'Validation is not in it: it needs the values of predictions '
                f'({type(error).__name__}).'
            )
            return None
        return memory.peak

    def note(self, text: str) -> None:
        """Note what was assumed or left out, once."""
        if text not in self.notes:
            self.notes.append(text)


def _place_of(error: Exception) -> str:
    """File and line of the innermost code that is not torch's."""
    places = [
        f'{frame.filename}:{frame.lineno}'
        for frame in traceback.extract_tb(error.__traceback__)
        if f'{os.sep}torch{os.sep}' not in frame.filename
        and f'memory{os.sep}live_tensors' not in frame.filename
        and f'memory{os.sep}fake_device' not in frame.filename
    ]
    return places[-1]


def loader_of(cfg: Config, where: str) -> Any:
    """A dataloader's config by its dotted key; None if there is none."""
    found: Any = cfg
    for key in where.split('.'):
        found = (found or {}).get(key)
    return found


def loop_settings(cfg: Config) -> LoopSettings:
    """The settings of the config's loop."""
    given = dict(cfg.train_cfg)
    hypergradient = HypergradientSettings.read(cfg.optim_wrapper.get('hypergradient'))
    return LoopSettings(
        num_alternations=1,
        num_lower_steps=given.get('num_lower_steps', 20),
        num_upper_steps=given.get('num_upper_steps', 8),
        head_warmup=given.get('head_warmup', {}),
        num_hessian_batches=hypergradient.num_batches,
        hessian_batches=hypergradient.batches,
        backbone_adaptation=None,
        val_begin=1,
        val_interval=1,
    )


def _is_mean(pretext: nn.Module) -> bool:
    kinds = {kind.__name__ for kind in type(pretext).__mro__}
    return bool(kinds & set(_MEANS)) and not any(
        isinstance(module, _BatchNorm) for module in pretext.modules()
    )


def _copies(batch: dict) -> Callable[[], dict]:
    """Batches whose annotations a model may change."""
    return lambda: dict(batch, data_samples=copy.deepcopy(batch['data_samples']))
