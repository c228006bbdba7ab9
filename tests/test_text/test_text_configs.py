"""The shipped configs of GPT and GLUE: their numbers, and their runs in small."""

import math

import pytest
import torch
from config_runs import ConfigRuns
from task_configs import TEXT, shipped

from bissl_mm.analysis.runs.arms import draw_settings
from bissl_mm.config import notes_of, read_config
from bissl_mm.config.tasks import find_slot
from bissl_mm.engine.search_space import search_space
from bissl_mm.text.glue_files import TASKS

pytestmark = pytest.mark.usefixtures('plain_config_text')

WHOLE = dict(
    pretext='text/gpt_b64-100e_books',
    stage='text/bissl-gpt_b64-20x4-200t_books-glue',
    fine_tune='text/fine-tune_gpt_b32-3e_glue',
)
SMALL = dict(
    pretext='gpt_b16-3e_small',
    stage='bissl-gpt_b16-5x2-10t_small',
    fine_tune='fine-tune_gpt_b16-3e_small',
)


@pytest.mark.parametrize('path', TEXT, ids=lambda path: path.stem)
def test_configs_read_without_a_note_and_take_the_seven_tasks(path):
    slot = find_slot(str(path))
    assert (slot is None) == path.stem.startswith('gpt_')
    assert slot is None or slot.tasks() == sorted(TASKS)
    for task in (None,) if slot is None else TASKS:
        cfg = read_config(str(path), task=task)
        assert notes_of(cfg) == []
        if task is not None:
            parts = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
            assert {part.dataset.task for part in parts} == {task}
            assert [part.dataset.get('split') for part in parts] == [
                None,
                'val',
                'test',
            ]
            assert {cfg.val_evaluator.task, cfg.test_evaluator.task} == {task}


def test_network_and_pretraining_are_the_thesis_ones():
    """Table B.1 and 7.1.2 of the thesis."""
    cfg = shipped(WHOLE['pretext'])
    backbone = dict(cfg.model.backbone)
    assert backbone == dict(
        type='bissl_mm.GPTBackbone',
        vocab_size=40478,
        context=512,
        embed_dims=768,
        num_layers=12,
        num_heads=12,
    )
    assert cfg.optim_wrapper.optimizer == dict(
        type='Adam', lr=2.5e-4, weight_decay=0.01
    )
    assert cfg.optim_wrapper.paramwise_cfg == dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0
    )
    assert cfg.train_dataloader.total_batch_size == 64
    assert cfg.train_cfg.max_epochs == 100
    assert cfg.param_scheduler[0].end == 2000


def test_stage_has_the_thesis_numbers():
    """7.1.3 of the thesis; the head warm-up depends on the task."""
    passes = {}
    for task in TASKS:
        cfg = shipped(WHOLE['stage'], task)
        passes[task] = cfg.train_cfg.head_warmup.num_epochs
        head = cfg.model.downstream.head
        assert head.num_classes == (1 if task == 'stsb' else 2)
        assert head.new_tokens == (2 if task in ('cola', 'sst2') else 3)
    assert passes == dict(
        cola=0.5, sst2=0.1, rte=0.5, qnli=0.1, mrpc=0.5, qqp=0.1, stsb=0.5
    )
    loop, wrapper = cfg.train_cfg, cfg.optim_wrapper
    assert (loop.num_alternations, loop.num_lower_steps, loop.num_upper_steps) == (
        200,
        20,
        4,
    )
    assert wrapper.regularizer.weight == 0.1
    assert wrapper.lower.optimizer == dict(type='Adam', lr=5e-6, weight_decay=0.01)
    assert cfg.model.downstream.lm_weight == 0.5
    assert loop.pretext_dataloader.total_batch_size == 64


def test_fine_tuning_has_the_thesis_grid_and_evaluations():
    """7.1.2 of the thesis; the warm-up is 0.2% of the steps of the published sets."""
    sizes = dict(
        cola=8551, sst2=67349, rte=2490, qnli=104743, mrpc=3668, qqp=363846, stsb=5749
    )
    metrics = dict(cola='matthews', stsb='pearson', mrpc='f1', qqp='f1')
    for task, size in sizes.items():
        cfg = shipped(WHOLE['fine_tune'], task)
        space = search_space(cfg)
        assert space['metric'] == f'glue/{metrics.get(task, "accuracy")}'
        steps = 3 * math.ceil(size * 4 // 5 / cfg.train_dataloader.total_batch_size)
        assert cfg.param_scheduler[0].end == max(1, round(0.002 * steps))
    assert (space['settings'], space['seeds']) == (32, 10)
    points = draw_settings(32, space['lr'], space['weight_decay'], 0, space['grid'])
    assert sorted({p.lr for p in points}) == pytest.approx(
        [1e-6, 1.93e-6, 3.73e-6, 7.2e-6, 1.39e-5, 2.68e-5, 5.18e-5, 1e-4], rel=2e-3
    )
    assert sorted({p.weight_decay for p in points}) == pytest.approx(
        [1e-5, 1e-4, 1e-3, 1e-2]
    )
    assert len({(p.lr, p.weight_decay) for p in points}) == 32
    assert cfg.train_cfg.evaluations_per_epoch == 10
    assert cfg.model.head.get('dropout', 0.1) == 0.1


@pytest.fixture(scope='module')
def runs(tmp_path_factory) -> ConfigRuns:
    pytest.importorskip('tokenizers')
    pytest.importorskip('sklearn')
    return ConfigRuns(tmp_path_factory.mktemp('configs'))


def run(runs: ConfigRuns, name: str, task=None, checkpoint=None) -> dict:
    (path,) = (p for p in TEXT if p.stem == name.rpartition('/')[2])
    done = runs.run(path, task=task, checkpoint=checkpoint)
    losses = {k: v for k, v in done['scalars'].items() if 'loss' in k}
    assert losses and all(map(math.isfinite, losses.values())), losses
    return done


def test_the_stages_follow_each_other(runs):
    """Pretraining, bilevel stage and fine-tuning, on one task."""
    name = f'glue/{TASKS["rte"].metric}'
    stage = run(runs, SMALL['stage'], 'rte')
    assert f'val/{name}' in stage['scalars'] and list(stage['test']) == [name]
    backbone = stage['work_dir'] / 'backbone.pth'
    pretrained = run(runs, SMALL['pretext'])['work_dir'] / 'epoch_1.pth'
    assert set(torch.load(backbone)['state_dict']) == set(
        torch.load(pretrained, weights_only=False)['state_dict']
    )
    done = run(runs, SMALL['fine_tune'], 'rte', backbone)
    assert list(done['test']) == [name]


@pytest.mark.whole
@pytest.mark.parametrize('kind', WHOLE)
def test_configs_of_the_thesis_run(kind, runs):
    run(runs, WHOLE[kind])


@pytest.mark.whole
@pytest.mark.parametrize('task', TASKS)
def test_each_task_is_fine_tuned_after_its_stage(task, runs):
    stage = run(runs, SMALL['stage'], task)
    done = run(runs, SMALL['fine_tune'], task, stage['work_dir'] / 'backbone.pth')
    for found in (stage, done):
        assert list(found['test']) == [f'glue/{TASKS[task].metric}']
