"""An interrupted run ends bit for bit like an uninterrupted one."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from small_run import StopAt, make_runner, small_config, weights
from torch import nn

from bissl_mm.engine.loop.resume_guard import ResumedShapesHook

pytestmark = pytest.mark.usefixtures('plain_config_text')


@pytest.fixture(scope='module')
def references():
    """Final weights of uninterrupted runs by number of workers."""
    return {}


def run_to_end(cfg, hooks=()):
    runner = make_runner(cfg, hooks)
    runner.train()
    return runner


STOPS = [
    pytest.param('after_head_warmup_step', 2, id='head-warmup'),
    pytest.param('after_lower_step', 8, id='lower-step'),
    pytest.param('after_lower_step', 9, id='end-of-lower-phase'),
    pytest.param('after_upper_step', 5, id='upper-step'),
    pytest.param('after_upper_step', 6, id='end-of-upper-phase'),
    pytest.param('after_train_iter', 3, id='alternation'),
    pytest.param('after_val_iter', 1, id='within-evaluation'),
    pytest.param('after_val_epoch', 1, id='evaluation'),
]


#: The others run with the whole tests.
QUICK = ('head-warmup', 'lower-step', 'upper-step', 'evaluation')
#: With workers, once in each phase; where within it does not concern them.
WITH_WORKERS = STOPS[1:4] + STOPS[-1:]


@pytest.mark.parametrize(
    'event, count, workers',
    [
        pytest.param(
            *stop.values,
            workers,
            id=f'{stop.id}-{workers}',
            marks=[pytest.mark.whole] if workers or stop.id not in QUICK else [],
        )
        for workers, stops in ((0, STOPS), (2, WITH_WORKERS))
        for stop in stops
    ],
)
def test_resumed_run_is_bit_identical(
    event, count, workers, references, image_folders, tmp_path, monkeypatch
):
    options = {
        'train_cfg__pretext_dataloader__num_workers': workers,
        'train_dataloader__num_workers': workers,
    }
    if workers not in references:
        cfg = small_config(monkeypatch, image_folders, tmp_path / 'whole', **options)
        references[workers] = weights(run_to_end(cfg))
    cfg = small_config(monkeypatch, image_folders, tmp_path / 'parts', **options)
    stopped = make_runner(cfg, [StopAt(event, count)])
    with pytest.raises(SystemExit) as exit_info:
        stopped.train()
    assert exit_info.value.code == 128 + 15
    partial = weights(stopped)
    cfg.resume = True
    final = weights(run_to_end(cfg))
    assert any(not torch.equal(partial[k], v) for k, v in final.items())
    for name, value in references[workers].items():
        assert torch.equal(final[name], value), name


def test_a_basis_reused_within_a_phase_is_taken_up(
    image_folders, tmp_path, monkeypatch
):
    def config(name):
        return small_config(
            monkeypatch,
            image_folders,
            tmp_path / name,
            train_cfg__num_alternations=2,
            optim_wrapper__hypergradient__solver=dict(
                type='RecyclingSolver', max_iters=2
            ),
        )

    whole = weights(run_to_end(config('whole')))
    cfg = config('parts')
    with pytest.raises(SystemExit):
        run_to_end(cfg, [StopAt('after_upper_step', 1)])
    cfg.resume = True
    for name, value in weights(run_to_end(cfg)).items():
        assert torch.equal(value, whole[name]), name


def test_number_of_workers_does_not_matter(references):
    if len(references) < 2:
        pytest.skip('needs the runs of the tests above')
    for name, value in references[0].items():
        assert torch.equal(references[2][name], value), name


def test_means_of_an_interrupted_alternation_are_whole(
    image_folders, tmp_path, monkeypatch
):
    class Keep(Hook):
        def __init__(self):
            self.outputs = {}

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            self.outputs[batch_idx] = outputs

    def config(name):
        return small_config(
            monkeypatch,
            image_folders,
            tmp_path / name,
            train_cfg__num_alternations=2,
            val_cfg=None,
            val_dataloader=None,
            val_evaluator=None,
        )

    whole = Keep()
    run_to_end(config('whole'), [whole])
    cfg = config('parts')
    with pytest.raises(SystemExit):
        run_to_end(cfg, [StopAt('after_upper_step', 1)])
    cfg.resume = True
    resumed = Keep()
    run_to_end(cfg, [resumed])
    assert resumed.outputs[0] == whole.outputs[0]


def test_settings_that_would_change_the_samples_are_refused(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(monkeypatch, image_folders, tmp_path)
    with pytest.raises(SystemExit):
        run_to_end(cfg, [StopAt('after_lower_step', 2)])
    cfg.resume = True
    cfg.train_cfg.num_upper_steps = 1
    with pytest.raises(ValueError, match='num_upper_steps is 1 now but was 2'):
        run_to_end(cfg)
    cfg.train_cfg.num_upper_steps = 2
    cfg.train_cfg.pretext_dataloader.batch_size = 5
    with pytest.raises(ValueError, match='batch_size is 5 now but was 4'):
        run_to_end(cfg)


def test_a_warm_up_that_was_begun_is_not_left_out(image_folders, tmp_path, monkeypatch):
    cfg = small_config(
        monkeypatch, image_folders, tmp_path, train_cfg__num_alternations=3
    )
    with pytest.raises(SystemExit):
        run_to_end(cfg, [StopAt('after_head_warmup_step', 2)])
    cfg.resume, cfg.train_cfg.head_warmup = True, None
    with pytest.raises(
        ValueError, match='head_warmup is None now.*after 2 steps.*num_epochs ends it'
    ):
        run_to_end(cfg)
    cfg.train_cfg.head_warmup = dict(num_epochs=0.1)
    assert run_to_end(cfg).iter == 3


def test_a_model_of_other_sizes_is_refused(image_folders, tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, image_folders, tmp_path)
    with pytest.raises(SystemExit):
        run_to_end(cfg, [StopAt('after_lower_step', 2)])
    cfg.resume = True
    cfg.model.downstream.head.num_classes = 2
    runner = make_runner(cfg)
    runner.register_hook(ResumedShapesHook())
    with pytest.raises(
        ValueError,
        match=r'fc.weight has the shape \(3, 8\), but in this run \(2, 8\)'
        '.*without --resume',
    ):
        runner.train()


def test_the_newest_checkpoint_of_an_ordinary_stage_is_named(tmp_path):
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    runner = SimpleNamespace(
        _resume=True, _load_from=None, work_dir=str(tmp_path), model=nn.Linear(3, 2)
    )
    saved = dict(state_dict=nn.Linear(3, 4).state_dict())
    with pytest.raises(ValueError, match="checkpoint '.*epoch_2.pth' weight has the"):
        ResumedShapesHook().after_load_checkpoint(runner, saved)


@pytest.mark.whole
def test_resuming_without_the_evaluation_that_was_due(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(monkeypatch, image_folders, tmp_path)
    with pytest.raises(SystemExit):
        run_to_end(cfg, [StopAt('after_val_iter', 1)])
    cfg.resume = True
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg[key] = None
    assert run_to_end(cfg).iter == 6


def test_changed_lambda_is_announced(image_folders, tmp_path, monkeypatch):
    cfg = small_config(monkeypatch, image_folders, tmp_path)
    with pytest.raises(SystemExit):
        run_to_end(cfg, [StopAt('after_lower_step', 2)])
    cfg.resume, cfg.optim_wrapper.hypergradient.damping = True, 5.0
    runner = make_runner(cfg)
    lines = []
    monkeypatch.setattr(runner.logger, 'warning', lines.append)
    runner.train()
    assert any(
        'hypergradient.damping is 5.0 now but was 10.0' in line for line in lines
    )


def test_settings_of_steps_that_change_or_stay_are_announced(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(monkeypatch, image_folders, tmp_path)
    with pytest.raises(SystemExit):
        make_runner(cfg, [StopAt('after_upper_step', 1)]).train()
    cfg.resume = True
    wrapper = cfg.optim_wrapper
    wrapper.upper.clip_grad = dict(max_norm=3.0)
    wrapper.num_micro_batches = dict(upper=2)
    wrapper.upper.optimizer.nesterov = True
    wrapper.head_warmup = dict(optimizer=dict(type='SGD', lr=0.7))
    cfg.param_scheduler.upper[-1].eta_min_ratio = 0.5
    runner, lines = make_runner(cfg, [StopAt('after_upper_step', 1)]), []
    monkeypatch.setattr(runner.logger, 'warning', lines.append)
    with pytest.raises(SystemExit):
        runner.train()
    told = {
        line.split(' ')[0]: line.split('continues with the ')[1].split(' ')[0]
        for line in lines
        if 'continues with the' in line
    }
    assert told == {
        'optim_wrapper.upper.clip_grad': 'new',
        'num_micro_batches.upper': 'new',
        'optim_wrapper.upper.optimizer.nesterov': 'old',
        'optim_wrapper.head_warmup.optimizer.lr': 'old',
        'optim_wrapper.head_warmup.optimizer.momentum': 'old',
        'optim_wrapper.head_warmup.optimizer.weight_decay': 'old',
        'param_scheduler.upper': 'old',
    }
    # As the log says.
    optimizer = runner.optim_wrapper['upper'].optimizer
    assert not optimizer.param_groups[0]['nesterov']
    assert runner.optim_wrapper.head_warmup.optimizer.param_groups[0]['lr'] != 0.7
    assert runner.param_schedulers['upper'][-1].eta_min_ratio != 0.5


def test_warm_up_leaves_no_trace_in_the_first_alternation(
    image_folders, tmp_path, monkeypatch
):
    seen = []

    class Keep(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen.append(set(outputs))

    cfg = small_config(monkeypatch, image_folders, tmp_path)
    with pytest.raises(SystemExit):
        run_to_end(cfg, [StopAt('after_head_warmup_step', 4)])
    cfg.resume = True
    run_to_end(cfg, [Keep()])
    assert not any(k.startswith('head_warmup') for k in seen[0])
    assert seen[0] == seen[1]


def test_resume_takes_the_newest_complete_checkpoint(
    image_folders, tmp_path, monkeypatch, capsys
):
    cfg = small_config(monkeypatch, image_folders, tmp_path / 'whole')
    expected = weights(run_to_end(cfg))
    newest = tmp_path / 'whole' / 'iter_6.pth'
    for damage in (
        lambda: newest.write_bytes(newest.read_bytes()[:-500]),
        lambda: newest.write_bytes(b''),
        newest.unlink,
    ):
        damage()
        cfg.resume = True
        runner = make_runner(cfg)
        runner.train()
        assert 'iter_6.pth' in capsys.readouterr().out
        for name, value in weights(runner).items():
            assert torch.equal(value, expected[name]), name


def test_only_broken_checkpoints_are_an_error(image_folders, tmp_path, monkeypatch):
    (tmp_path / 'iter_2.pth').write_bytes(b'no checkpoint')
    cfg = small_config(monkeypatch, image_folders, tmp_path, resume=True)
    with pytest.raises(ValueError, match='None of the checkpoints'):
        run_to_end(cfg)
