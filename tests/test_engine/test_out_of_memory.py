"""Memory that runs out is reported with its phase and with what needs less."""

import pytest
import torch
from mmengine.model import BaseModel
from small_run import make_runner, small_config
from toy import DictDataset

from bissl_mm.engine.launch import ToolRunner
from bissl_mm.engine.steps.optim_wrapper import BiSSLOptimWrapper
from bissl_mm.hypergradient import Hessian
from bissl_mm.models import BiSSLModel
from bissl_mm.utils.errors import RuntimeRefusal

CUDA = (
    torch.cuda.OutOfMemoryError,
    'CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total of 24 GiB.',
)
#: In the order of a run: class and method in which memory runs out, the error, and
#: what the message says of phase and settings.
PHASES = [
    (
        (BiSSLOptimWrapper, 'step_level'),
        CUDA,
        'in a step of the head warm-up, .*options train_dataloader.batch_size=3, ',
    ),
    (
        (BiSSLOptimWrapper, 'lower_gradient'),
        (MemoryError,),
        'in a lower step, .*MemoryError.*pretext_dataloader.batch_size=2',
    ),
    (
        (Hessian, '_gradient'),
        (RuntimeError, 'CUDA error: out of memory'),
        'in the begin of an upper phase.*keep_graph=False.*hypergradient.batch_size=2',
    ),
    (
        (BiSSLOptimWrapper, 'upper_gradient'),
        (RuntimeError, "[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        'in the gradients of an upper step.*train_dataloader.batch_size=3, ',
    ),
    (
        (Hessian, '_product'),
        (RuntimeError, 'CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate'),
        'in a product of the Hessian in an upper step.*keep_graph=False',
    ),
    (
        (BiSSLModel, 'val_step'),
        CUDA,
        'in validation, .*options val_dataloader.batch_size=',
    ),
]


RECYCLES = dict(solver=dict(type='RecyclingSolver'))


def _whole(*values):
    """Parameters of a further run that differs in the message alone."""
    return pytest.param(*values, marks=pytest.mark.whole)


def test_messages_of_a_run_name_phase_and_settings(
    image_folders, tmp_path, monkeypatch
):
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        train_cfg__num_alternations=2,
        train_cfg__val_interval=1,
    )
    run = make_runner(cfg)
    for (owner, method), (kind, *text), expected in PHASES:
        error = kind(*text)
        with monkeypatch.context() as patch:
            patch.setattr(owner, method, raising(error))
            with pytest.raises(RuntimeRefusal, match=expected) as caught:
                # It goes on where it stopped.
                run.train()
        assert caught.value.__cause__ is error
        said = str(caught.value)
        assert 'GPU 0 has' not in said
        assert said.endswith(
            f'python tools/train.py {cfg.filename} --dry-run memory --num-gpus 1'
        )
    bug = RuntimeError('a bug')
    monkeypatch.setattr(BiSSLOptimWrapper, 'lower_gradient', raising(bug))
    with pytest.raises(RuntimeError, match='^a bug$'):
        run.train()


@pytest.mark.parametrize(
    'changed',
    [
        {'optim_wrapper.hypergradient.curvature': 'differences'},
        {'optim_wrapper.num_micro_batches': dict(hessian=2)},
    ],
)
def test_no_graph_is_left_out_that_is_not_kept(
    changed, image_folders, tmp_path, monkeypatch
):
    run = make_runner(small_config(monkeypatch, image_folders, tmp_path))
    # The message reads the config alone.
    run.cfg.merge_from_dict(changed)
    (place, _, expected) = PHASES[4]
    monkeypatch.setattr(*place, raising(CUDA[0](CUDA[1])))
    with pytest.raises(RuntimeRefusal, match=expected.split('.*')[0]) as caught:
        run.train()
    assert 'options optim_wrapper.hypergradient.batch_size=2 ' in str(caught.value)


@pytest.mark.parametrize(
    'place, settings, is_named',
    [
        ((Hessian, '_product'), RECYCLES, True),
        _whole((BiSSLOptimWrapper, 'upper_gradient'), RECYCLES, True),
        ((BiSSLOptimWrapper, 'lower_gradient'), RECYCLES, False),
        _whole((Hessian, '_product'), dict(RECYCLES, unrolled_steps=2), False),
        _whole(
            (Hessian, '_product'),
            dict(solver=dict(type='RecyclingSolver', max_basis=4)),
            False,
        ),
        _whole((Hessian, '_product'), dict(solver=dict(type='MinresSolver')), False),
    ],
)
def test_fewer_kept_products_are_named_where_many_are_kept(
    place, settings, is_named, image_folders, tmp_path, monkeypatch
):
    run = make_runner(small_config(monkeypatch, image_folders, tmp_path))
    # The message reads the config alone.
    run.cfg.optim_wrapper.hypergradient.update(settings)
    monkeypatch.setattr(*place, raising(CUDA[0](CUDA[1])))
    with pytest.raises(RuntimeRefusal) as caught:
        run.train()
    assert ('solver.max_basis=4 ' in str(caught.value)) == is_named


@pytest.mark.parametrize(
    'level, size, parts, proposed',
    [('lower', 4, 1, 2), _whole('lower', 4, 2, 4), _whole('lower', 4, 4, None)]
    + [_whole('upper', 6, 1, 2), ('upper', 6, 2, 6), _whole('upper', 5, 1, 5)]
    + [('upper', 6, 6, 0)],
)
def test_more_parts_than_are_set_are_named(
    level, size, parts, proposed, image_folders, tmp_path, monkeypatch
):
    run = make_runner(small_config(monkeypatch, image_folders, tmp_path))
    # The message reads the config alone.
    run.cfg.optim_wrapper.num_micro_batches = {level: parts}
    loader = dict(lower=run.cfg.train_cfg.pretext_dataloader, upper=None)[level]
    (loader or run.cfg.train_dataloader).batch_size = size
    monkeypatch.setattr(
        BiSSLOptimWrapper, f'{level}_gradient', raising(CUDA[0](CUDA[1]))
    )
    with pytest.raises(RuntimeRefusal) as caught:
        run.train()
    _, named, number = str(caught.value).partition(f'num_micro_batches.{level}=')
    assert number.startswith(f'{proposed} (') if proposed else not named


@pytest.mark.parametrize(
    'parts, half',
    [_whole(dict(), 9), _whole(dict(lower=2), 8)]
    + [(dict(hessian=6), 6), (dict(lower=18), None)],
)
def test_half_a_batch_is_whole_parts(parts, half, image_folders, tmp_path, monkeypatch):
    run = make_runner(small_config(monkeypatch, image_folders, tmp_path))
    # The message reads the config alone.
    run.cfg.optim_wrapper.num_micro_batches = parts
    run.cfg.train_cfg.pretext_dataloader.batch_size = 18
    monkeypatch.setattr(BiSSLOptimWrapper, 'lower_gradient', raising(CUDA[0](CUDA[1])))
    with pytest.raises(RuntimeRefusal) as caught:
        run.train()
    _, named, number = str(caught.value).partition('pretext_dataloader.batch_size=')
    assert number.startswith(f'{half}, ') if half else not named


def test_what_needs_less_of_unrolled_steps(image_folders, tmp_path, monkeypatch):
    run = make_runner(small_config(monkeypatch, image_folders, tmp_path))
    # The message reads the config alone.
    run.cfg.optim_wrapper.hypergradient.unrolled_steps = 5
    run.cfg.optim_wrapper.num_micro_batches = dict(hessian=2)
    for place, first in (
        ((BiSSLOptimWrapper, 'lower_gradient'), 'train_cfg.pretext_dataloader.'),
        ((Hessian, '_gradient'), 'optim_wrapper.hypergradient.keep_graph=False'),
        ((BiSSLOptimWrapper, 'upper_gradient'), 'optim_wrapper.hypergradient.keep_'),
        ((Hessian, '_product'), 'optim_wrapper.hypergradient.keep_graph=False'),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*place, raising(CUDA[0](CUDA[1])))
            with pytest.raises(RuntimeRefusal) as caught:
                run.train()
        said = str(caught.value)
        assert f'Needs less: --cfg-options {first}' in said
        assert 'hypergradient.unrolled_steps=2 (' in said
        assert 'hypergradient.batch_size' not in said
        if place[0] is Hessian:
            assert 'pretext_dataloader.batch_size=2 (the batches of the' in said


class Fails(BaseModel):
    """Memory runs out in the steps of one kind."""

    def __init__(self, mode):
        super().__init__()
        self.mode = mode
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == self.mode:
            raise CUDA[0](CUDA[1])
        return dict(loss=self.weight.sum()) if mode == 'loss' else []


@pytest.mark.parametrize(
    'mode, text',
    [
        ('loss', 'in training, .*train_dataloader.batch_size=4, or more'),
        ('predict', 'in validation, .*val_dataloader.batch_size=3, or more'),
    ],
)
def test_other_stages_are_named(mode, text, tmp_path):
    data = dict(
        dataset=DictDataset([dict(inputs=torch.zeros(1))] * 8),
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    run = ToolRunner(
        Fails(mode),
        str(tmp_path),
        train_dataloader=dict(data, batch_size=8),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        val_dataloader=dict(data, batch_size=6),
        val_cfg=dict(),
        val_evaluator=[],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=None, logger=None),
        log_level='ERROR',
        experiment_name=f'memory_{mode}',
        cfg=dict(
            train_dataloader=dict(batch_size=8),
            val_dataloader=dict(batch_size=6),
            train_cfg=dict(),
        ),
    )
    with pytest.raises(RuntimeRefusal, match=text):
        run.train()


def raising(error):
    def fail(*args, **kwargs):
        raise error

    return fail
