"""Algorithm 1: alternate between the two levels."""

from typing import Any

from mmengine.runner import BaseLoop, Runner
from torch import nn

from ...config.dataloaders import pipelines_of
from ...models.bissl_model import unwrap
from ...registry import LOOPS
from ...utils.check import check_keys
from ...utils.random import fold_seed
from ..checks.out_of_memory import explains_memory
from ..checks.ranks import check_same_parameters, check_same_progress
from ..checks.widths import explains_widths
from ..steps.settings import MOVED_OF_LOOP
from .beforehand import check_before_training, check_parts_of_runner
from .bookkeeping import Bookkeeping
from .head_warmup import frozen_backbone
from .progress import Progress
from .settings import LoopSettings
from .streams import build_streams

#: Methods that hooks may have beside mmengine's, in the order of a run. Those
#: after a step get ``logs``, a dict of numbers.
HOOK_POINTS = (
    'before_head_warmup',
    'after_head_warmup_step',
    'after_head_warmup',
    'before_lower_phase',
    'after_lower_step',
    'before_upper_phase',
    'after_upper_step',
    # Once, after the current step, if a stop was requested.
    'on_stop',
    # Always, however training ends.
    'on_exit',
)


@LOOPS.register_module()
@check_keys
class BiSSLTrainLoop(BaseLoop):
    r"""Head warm-up, then T alternations of N_L lower and N_U upper steps.

    For mmengine one alternation is one iteration: checkpoints, logs and
    ``max_iters`` count alternations. The loop itself steps the schedules of
    each level, once per step of that level.

    Hooks may define the methods of ``HOOK_POINTS`` beside mmengine's.

    Args:
        runner (Runner): The runner.
        dataloader (dict): Downstream data, the config's ``train_dataloader``.
            ``batch_size`` counts the samples of one rank. In its place,
            ``total_batch_size`` counts those of all ranks together.
        pretext_dataloader (dict): Unlabeled data of the pretext task.
        num_alternations (int): T. Defaults to 500.
        num_lower_steps (int): N_L; 0 never steps the lower level. Defaults
            to 20.
        num_upper_steps (int): N_U. Defaults to 8.
        head_warmup (dict, optional): ``num_epochs`` is the number of passes
            over the downstream data in which only the head trains (default
            20); 0.1 is a tenth of one. ``backbone_mode`` is the mode of the
            frozen backbone's norms, ``'train'`` (default) or ``'eval'``. None
            skips the warm-up. Defaults to ``dict()``.
        backbone_adaptation (dict, optional): ``interval`` N_a and ``alpha``.
            After the lower phase of every N_a-th alternation, theta_D becomes
            ``(1 - alpha) * theta_D + alpha * theta_P``. The first version of
            the paper has ``dict(interval=100, alpha=0.1)``. Defaults to None:
            never.
        val_begin (int): The first alternation, counted from 1, after which
            there may be an evaluation. Defaults to 1.
        val_interval (int): Alternations between evaluations. Defaults to 10.
        rank_check_interval (int): Alternations after which several processes
            compare their parameters bit by bit. They end if these differ. They
            also compare at the beginning. Defaults to 1.

    Raises:
        ValueError: If a count is not positive, a dataset is too small or the
            processes cannot share a total evenly.
        TypeError: For settings that the bilevel stage cannot follow.

    Source:
        Algorithm 1, 4.2.2 and B.4, arXiv:2410.02387.
    """

    MOVED = MOVED_OF_LOOP

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        pretext_dataloader: dict,
        num_alternations: int = 500,
        num_lower_steps: int = 20,
        num_upper_steps: int = 8,
        # Read, never written.
        head_warmup: dict | None = dict(),  # noqa: B006
        backbone_adaptation: dict | None = None,
        val_begin: int = 1,
        val_interval: int = 10,
        rank_check_interval: int = 1,
    ) -> None:
        hypergradient = check_parts_of_runner(runner)
        self.settings = LoopSettings(
            num_alternations,
            num_lower_steps,
            num_upper_steps,
            head_warmup,
            hypergradient.num_batches,
            hypergradient.batches,
            backbone_adaptation,
            val_begin,
            val_interval,
            rank_check_interval,
        )
        self.streams = build_streams(
            runner, self.settings, dataloader, pretext_dataloader
        )
        super().__init__(runner, self.streams['upper'])
        self.model = unwrap(runner.model)
        self.books = Bookkeeping(runner, self.settings, self.streams)
        self.stop_training = False
        self._pipelines = [
            pipelines_of(loader) for loader in (pretext_dataloader, dataloader)
        ]
        runner.visualizer.dataset_meta = getattr(
            self.dataloader.dataset, 'metainfo', None
        )

    @explains_memory
    @explains_widths
    def run(self) -> nn.Module:
        """Train, and return the model, whose theta_P is the result.

        Raises:
            SystemExit: After a requested stop.
        """
        runner, books = self.runner, self.books
        check_before_training(runner, self.model, self.streams, self._pipelines)
        books.begin()
        check_same_progress(self.progress.describe())
        check_same_parameters(self.model, 'at the beginning')
        runner.call_hook('before_train')
        # mmpretrain's averaged models with a schedule read its length here, in
        # lower steps.
        runner.message_hub.update_info('max_iters', self.settings.total_steps('lower'))
        runner.call_hook('before_train_epoch')
        runner.model.train()
        try:
            if self.progress.phase == 'head_warmup':
                self._warm_up_head()
            books.validate_if_due()
            while self.iter < self.max_iters and not self.stop_training:
                self._alternate()
                books.validate_if_due()
        finally:
            runner.optim_wrapper.end_upper_phase()
            books.close()
            runner.call_hook('on_exit')
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def _warm_up_head(self) -> None:
        runner, books, progress = self.runner, self.books, self.progress
        settings = self.settings.head_warmup
        stream = self.streams['upper'].sibling('head_warmup')
        stream.start(runner.seed, progress.streams.get('head_warmup'))
        self.streams['head_warmup'] = stream
        runner.call_hook('before_head_warmup')
        with frozen_backbone(self.model, settings['backbone_mode']):
            while progress.step < self.settings.head_warmup_steps(len(stream)):
                logs = runner.optim_wrapper.head_warmup_step(
                    self.model,
                    books.next_batch('head_warmup'),
                    books.seed('head_warmup'),
                )
                books.finish_step('head_warmup', logs)
        stream.close()
        del self.streams['head_warmup'], progress.streams['head_warmup']
        progress.enter('lower')
        books.publish()
        runner.call_hook('after_head_warmup')

    def _alternate(self) -> None:
        """Lines 4 to 13 of Algorithm 1."""
        runner, books, progress = self.runner, self.books, self.progress
        index = self.iter
        runner.call_hook('before_train_iter', batch_idx=index, data_batch=None)
        runner.optim_wrapper.begin_alternation(index, self.max_iters)
        if progress.phase == 'lower':
            self._lower_phase()
        self._upper_phase()
        # Before a checkpoint stores the parameters.
        if self.settings.is_rank_check_due(index + 1):
            check_same_parameters(self.model, f'after alternation {index + 1}')
        outputs = progress.pop_means()
        progress.alternation = index + 1
        progress.enter('lower')
        progress.validation_due = (
            runner.val_loop is not None and self.settings.is_validation_due(index + 1)
        )
        books.publish()
        runner.call_hook(
            'after_train_iter', batch_idx=index, data_batch=None, outputs=outputs
        )
        books.iteration = index + 1

    def _lower_phase(self) -> None:
        runner, books, progress = self.runner, self.books, self.progress
        self.model.train()
        runner.call_hook('before_lower_phase')
        if self.settings.num_lower_steps == 0:
            progress.enter('upper')
        while progress.phase == 'lower':
            logs = runner.optim_wrapper.lower_step(
                self.model, books.next_batch('lower'), books.seed('lower')
            )
            is_last = progress.step + 1 == self.settings.num_lower_steps
            if is_last and self.settings.is_adaptation_due(self.iter + 1):
                self.model.adapt_upper_backbone(
                    self.settings.backbone_adaptation['alpha']
                )
            books.finish_step('lower', logs, then='upper' if is_last else None)

    def _upper_phase(self) -> None:
        runner, books, progress = self.runner, self.books, self.progress
        if progress.step == self.settings.num_upper_steps:
            return
        self.model.train()
        runner.optim_wrapper.begin_upper_phase(
            self.model,
            self._hessian_batches(),
            books.hessian_seed(),
            done_steps=progress.step,
            checked_step=fold_seed(runner.seed, 'check', self.iter)
            % self.settings.num_upper_steps,
        )
        runner.call_hook('before_upper_phase')
        while progress.step < self.settings.num_upper_steps:
            logs = runner.optim_wrapper.upper_step(
                self.model, books.next_batch('upper'), books.seed('upper')
            )
            books.finish_step('upper', logs)
        runner.optim_wrapper.end_upper_phase()

    def _hessian_batches(self) -> list[Any]:
        """The pretext batches for the Hessian of this upper phase.

        Their numbers follow from the alternation. A run that is resumed within
        the phase therefore gets the same batches.
        """
        settings, stream = self.settings, self.streams['lower']
        begin = self.iter * settings.num_lower_batches + settings.first_hessian_batch
        numbers = range(begin, begin + settings.num_hessian_batches)
        return [
            self.books.next_batch('lower')
            if stream.position == number
            else stream.batch_at(number)
            for number in numbers
        ]

    @property
    def progress(self) -> Progress:
        """Where the run stands."""
        return self.books.progress

    def request_stop(self, signal_number: int) -> None:
        """Stop after the current step, with a checkpoint.

        Args:
            signal_number (int): The process exits with 128 plus this.
        """
        self.books.request_stop(signal_number)

    def stop_if_requested(self) -> None:
        """Write a checkpoint and leave, if any process was asked to."""
        self.books.stop_if_requested()

    @property
    def max_epochs(self) -> int:
        """1, for mmengine."""
        return 1

    @property
    def max_iters(self) -> int:
        """T."""
        return self.settings.num_alternations

    @property
    def epoch(self) -> int:
        """0, for mmengine."""
        return 0

    @property
    def iter(self) -> int:
        """Alternations completed."""
        return self.books.iteration
