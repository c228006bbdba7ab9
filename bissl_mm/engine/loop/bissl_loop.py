"""Algorithm 1: alternate between the two levels."""

from typing import Any, List, Optional

from mmengine.model import MMDistributedDataParallel, is_model_wrapper

from ...config import is_type
from ...config.dataloaders import pipelines_of
from ...datasets import LevelStream
from ...models.agreement import differences, statistics_note
from ...models.checks import check_differentiable
from ...registry import LOOPS
from ...utils.check import check_keys
from ...utils.errors import TypeRefusal, ValueRefusal
from ...utils.random import fold_seed
from ...utils.total_batch import describe_batch
from ..distributed import PlainDistributedModel, get_rank, get_world_size
from .head_warmup import frozen_backbone
from ..checks.loaders import check_levels
from ..steps.lone_images import check_parts
from .settings import LoopSettings
from ..steps.optim_wrapper import BiSSLOptimWrapper
from ..steps.settings import MOVED_OF_LOOP, HypergradientSettings
from .bookkeeping import PhaseLoop
from ..checks.ranks import check_same_parameters, check_same_progress


@LOOPS.register_module()
@check_keys
class BiSSLTrainLoop(PhaseLoop):
    r"""Head warm-up, then T alternations of N_L lower and N_U upper steps.

    One alternation is one iteration for mmengine: checkpoints, logs and
    ``max_iters`` count alternations. The loop steps the schedules of each
    level itself, once a step of that level.

    Beside mmengine's methods, hooks may define ``before_head_warmup``,
    ``after_head_warmup_step``, ``after_head_warmup``, ``before_lower_phase``,
    ``after_lower_step``, ``before_upper_phase`` and ``after_upper_step``; the
    step methods get ``logs``, a dict of numbers. ``on_stop`` is called once
    when a stop was requested, after the current step; ``on_exit`` however
    training ends.

    Args:
        runner (Runner): The runner.
        dataloader (dict): Downstream data, the config's ``train_dataloader``.
            ``batch_size`` is samples a rank; ``total_batch_size`` in its
            place samples of all ranks together.
        pretext_dataloader (dict): Unlabeled data of the pretext task.
        num_alternations (int): T. Defaults to 500.
        num_lower_steps (int): N_L; 0 leaves the lower level where it is.
            Defaults to 20.
        num_upper_steps (int): N_U. Defaults to 8.
        head_warmup (dict, optional): ``num_epochs`` passes over the
            downstream data (default 20) in which only the head trains;
            ``backbone_mode`` of the frozen backbone's norms, ``'train'``
            (default) or ``'eval'``. None skips the warm-up. Defaults to
            ``dict()``.
        backbone_adaptation (dict, optional): ``interval`` N_a and ``alpha``:
            after the lower phase of every N_a-th alternation, theta_D becomes
            ``(1 - alpha) * theta_D + alpha * theta_P``. First version of the
            paper: ``dict(interval=100, alpha=0.1)``. Defaults to None.
        val_begin (int): First alternation (from 1) that may be followed by
            an evaluation. Defaults to 1.
        val_interval (int): Alternations between evaluations. Defaults to 10.
        rank_check_interval (int): Alternations after which several processes
            compare their parameters bit by bit, and end where they differ.
            They do so at the beginning, too. Defaults to 1.

    Raises:
        ValueError: If a count is not positive, a dataset is too small or the
            processes cannot share a total evenly.
        TypeError: For settings that the bilevel stage cannot honour.

    Source:
        Algorithm 1, 4.2.2 and B.4, arXiv:2410.02387.
    """

    MOVED = MOVED_OF_LOOP

    def __init__(self,
                 runner,
                 dataloader: dict,
                 pretext_dataloader: dict,
                 num_alternations: int = 500,
                 num_lower_steps: int = 20,
                 num_upper_steps: int = 8,
                 head_warmup: Optional[dict] = dict(),
                 backbone_adaptation: Optional[dict] = None,
                 val_begin: int = 1,
                 val_interval: int = 10,
                 rank_check_interval: int = 1) -> None:
        _check_wrapper(runner)
        _check_optim_wrapper(runner.optim_wrapper)
        hypergradient = _hypergradient(runner.optim_wrapper)
        settings = LoopSettings(
            num_alternations, num_lower_steps, num_upper_steps, head_warmup,
            hypergradient.num_batches, hypergradient.batches,
            backbone_adaptation, val_begin, val_interval, rank_check_interval)
        for name, loader in (('train_dataloader', dataloader),
                             ('train_cfg.pretext_dataloader',
                              pretext_dataloader)):
            line = describe_batch(name, loader, get_world_size())
            if line is not None:
                runner.logger.info(line)
        place = dict(rank=get_rank(), world_size=get_world_size())
        streams = dict(
            lower=LevelStream(pretext_dataloader, 'lower',
                              settings.num_lower_batches, **place),
            upper=LevelStream(dataloader, 'upper', num_upper_steps, **place))
        super().__init__(runner, settings, streams)
        self._pipelines = [pipelines_of(loader)
                           for loader in (pretext_dataloader, dataloader)]

    def run(self):
        """Train.

        Returns:
            nn.Module: The model, of which theta_P is the result.

        Raises:
            SystemExit: After a requested stop.
        """
        runner = self.runner
        check_differentiable(self.model.pretext, self.model.downstream,
                             get_world_size())
        runner.optim_wrapper.first_order.check_params(self.model)
        wrapper = runner.optim_wrapper
        check_levels(self.model, self.streams,
                     wrapper.first_order.num_parts,
                     wrapper.system.config.batch_size)
        for line in differences(self.model, *self._pipelines):
            runner.logger.warning(line)
        note = statistics_note(self.model)
        if note:
            runner.logger.info(note)
        check_parts(self.model.pretext, wrapper.first_order,
                    wrapper.system.config.batch_size,
                    self.streams['lower'].batch_size, get_world_size())
        self._begin()
        check_same_progress(self.progress.describe())
        check_same_parameters(self.model, 'at the beginning')
        runner.call_hook('before_train')
        # mmpretrain's averages with a schedule read here over how many lower
        # steps it goes.
        runner.message_hub.update_info('max_iters',
                                       self.settings.total_steps('lower'))
        runner.call_hook('before_train_epoch')
        runner.model.train()
        try:
            if self.progress.phase == 'head_warmup':
                self._run_head_warmup()
            self._run_due_validation()
            while self._iter < self.max_iters and not self.stop_training:
                self._run_alternation()
                self._run_due_validation()
        finally:
            runner.optim_wrapper.end_upper_phase()
            self._close_streams()
            runner.call_hook('on_exit')
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def _run_head_warmup(self) -> None:
        progress, runner = self.progress, self.runner
        if not self.model.upper_head():
            raise ValueRefusal(
                'BiSSLTrainLoop: the downstream model has no trained '
                'parameter outside its backbone, so there is no head to warm '
                'up. Set head_warmup=None.')
        settings = self.settings.head_warmup
        stream = self.streams['upper'].sibling('head_warmup')
        stream.start(runner.seed, progress.streams.get('head_warmup'))
        self.streams['head_warmup'] = stream
        runner.call_hook('before_head_warmup')
        with frozen_backbone(self.model, settings['backbone_mode']):
            while progress.step < settings['num_epochs'] * len(stream):
                batch = self._next_batch('head_warmup')
                logs = runner.optim_wrapper.head_warmup_step(
                    self.model, batch, self._seed('head_warmup'))
                self._finish_step('head_warmup', logs)
        stream.close()
        del self.streams['head_warmup'], progress.streams['head_warmup']
        progress.enter('lower')
        self._publish_progress()
        runner.call_hook('after_head_warmup')

    def _run_alternation(self) -> None:
        progress, runner, index = self.progress, self.runner, self._iter
        runner.call_hook(
            'before_train_iter', batch_idx=index, data_batch=None)
        runner.optim_wrapper.begin_alternation(index, self.max_iters)
        if progress.phase == 'lower':
            self._run_lower_phase()
        self._run_upper_phase()
        # Before a checkpoint takes them along.
        if self.settings.is_rank_check_due(index + 1):
            check_same_parameters(self.model, f'after alternation {index + 1}')
        outputs = progress.pop_means()
        progress.alternation = index + 1
        progress.enter('lower')
        progress.validation_due = runner.val_loop is not None \
            and self.settings.is_validation_due(index + 1)
        self._publish_progress()
        runner.call_hook(
            'after_train_iter',
            batch_idx=index,
            data_batch=None,
            outputs=outputs)
        self._iter = index + 1

    def _run_lower_phase(self) -> None:
        progress, runner = self.progress, self.runner
        self.model.train()
        runner.call_hook('before_lower_phase')
        if self.settings.num_lower_steps == 0:
            progress.enter('upper')
        while progress.phase == 'lower':
            batch = self._next_batch('lower')
            logs = runner.optim_wrapper.lower_step(self.model, batch,
                                                   self._seed('lower'))
            is_last = progress.step + 1 == self.settings.num_lower_steps
            if is_last and self.settings.is_adaptation_due(self._iter + 1):
                self.model.adapt_upper_backbone(
                    self.settings.backbone_adaptation['alpha'])
            self._finish_step('lower', logs, then='upper' if is_last else None)

    def _run_upper_phase(self) -> None:
        progress, runner = self.progress, self.runner
        if progress.step == self.settings.num_upper_steps:
            return
        self.model.train()
        runner.optim_wrapper.begin_upper_phase(
            self.model,
            self._draw_hessian_batches(),
            self._seed('hessian', step=0),
            done_steps=progress.step,
            checked_step=fold_seed(runner.seed, 'check', self._iter)
            % self.settings.num_upper_steps)
        runner.call_hook('before_upper_phase')
        while progress.step < self.settings.num_upper_steps:
            batch = self._next_batch('upper')
            logs = runner.optim_wrapper.upper_step(self.model, batch,
                                                   self._seed('upper'))
            self._finish_step('upper', logs)
        runner.optim_wrapper.end_upper_phase()

    def _draw_hessian_batches(self) -> List[Any]:
        """The pretext batches of this upper phase's Hessian.

        Their numbers follow from the alternation, so a run resumed within
        the phase gets the same ones.
        """
        settings, stream = self.settings, self.streams['lower']
        begin = self._iter * settings.num_lower_batches
        if settings.hessian_batches == 'next':
            begin += settings.num_lower_steps
        numbers = range(begin, begin + settings.num_hessian_batches)
        return [
            self._next_batch('lower')
            if stream.position == number else stream.batch_at(number)
            for number in numbers
        ]


def _check_wrapper(runner) -> None:
    """Refuse what distributes parameters or gradients by itself."""
    if hasattr(runner, 'strategy'):
        raise TypeRefusal(
            f'BiSSLTrainLoop: {type(runner).__name__} with '
            f'{type(runner.strategy).__name__} shards or wraps the model, and '
            'the implicit Jacobian needs whole parameters on every process. '
            'Remove runner_type and strategy from the config.')
    if isinstance(runner.model, PlainDistributedModel) \
            or not is_model_wrapper(runner.model):
        return
    if isinstance(runner.model, MMDistributedDataParallel):
        why = 'does not see the gradients of the bilevel stage'
    else:
        why = ('is not known to leave the parameters whole on every process, '
               'which the implicit Jacobian needs; sharded training is not '
               'supported')
    raise TypeRefusal(
        f'BiSSLTrainLoop: {type(runner.model).__name__} {why}. Set '
        "model_wrapper_cfg=dict(type='bissl_mm.PlainDistributedModel').")


def _hypergradient(optim_wrapper: Any) -> HypergradientSettings:
    """Its settings, of a wrapper that is built or not."""
    if isinstance(optim_wrapper, BiSSLOptimWrapper):
        return optim_wrapper.system.config
    return HypergradientSettings.read(optim_wrapper.get('hypergradient'))


def _check_optim_wrapper(optim_wrapper: Any) -> None:
    """Built or not, it must be the bilevel one."""
    if isinstance(optim_wrapper, BiSSLOptimWrapper):
        return
    if not isinstance(optim_wrapper, dict) or not is_type(
            dict(type=optim_wrapper.get('constructor')),
            'BiSSLOptimWrapperConstructor'):
        raise TypeRefusal(
            'BiSSLTrainLoop: optim_wrapper serves one model only. Set '
            "optim_wrapper=dict(type='BiSSLOptimWrapper', constructor="
            "'BiSSLOptimWrapperConstructor', lower=..., upper=...).")
