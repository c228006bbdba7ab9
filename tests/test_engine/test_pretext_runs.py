"""Bilevel runs with other pretext tasks than SimCLR."""

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from small_run import CLASSES, OPTIONS, make_runner, weights
from task_configs import shipped
from test_resume import StopAt

from bissl_mm.experiments.runs.small import options

pytestmark = [pytest.mark.usefixtures('plain_config_text'), pytest.mark.slow]

CONFIG = 'configs/bissl/bissl-{}_b64-10x4-30t_cifar10-48px.py'.format
VIT = dict(embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=24)
MODEL_OPTIONS = {
    'byol_r18': {
        **{k: v for k, v in OPTIONS.items() if k.startswith('model.')},
        'model.pretext.head.predictor.in_channels': 8,
        'model.pretext.head.predictor.hid_channels': 16,
        'model.pretext.head.predictor.out_channels': 8,
        'model.pretext.target_decay': 0.9,
    },
    'mae_vit-t8': {
        'model.pretrained': None,
        'model.pretext.backbone.arch': VIT,
        'model.pretext.neck.embed_dim': 12,
        'model.pretext.neck.decoder_embed_dim': 12,
        'model.downstream.backbone.arch': VIT,
        'model.downstream.head.in_channels': 12,
    },
}


def config(name, images, work_dir, workers=2) -> Config:
    """The shipped config on small folders of pictures."""
    cfg = shipped(ROOT / CONFIG(name), 'dtd5')
    options = {
        k: v
        for k, v in OPTIONS.items()
        if not k.startswith('model.') and 'param_scheduler' not in k
    }
    cfg.merge_from_dict(
        {
            **options,
            **MODEL_OPTIONS[name],
            'param_scheduler.lower': [],
            'model.downstream.head.num_classes': len(CLASSES),
            'train_cfg.num_alternations': 2,
            'default_hooks.checkpoint.interval': 4,
        }
    )
    cfg.train_cfg.pretext_dataloader.num_workers = workers
    cfg.train_cfg.pretext_dataloader.dataset.update(
        data_root=str(images / 'pretext'), data_prefix=''
    )
    for part in ('train', 'val', 'test'):
        cfg[f'{part}_dataloader'].dataset.data_root = str(images / 'downstream')
    cfg.work_dir = str(work_dir)
    return cfg


@pytest.mark.parametrize(
    'name', [pytest.param('vicreg', marks=pytest.mark.whole), 'dino']
)
def test_resumed_run_of_a_small_resnet_is_bit_identical(
    name, image_folders, tmp_path, monkeypatch
):
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(image_folders / 'pretext'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(image_folders / 'downstream'))
    monkeypatch.setenv('BISSL_NUM_CLASSES', str(len(CLASSES)))

    def run(folder, hooks=(), resume=False):
        path = f'configs/bissl/bissl-{name}_r10_b128-10x4-30t_imagefolder-32px.py'
        cfg = shipped(ROOT / path)
        cfg.merge_from_dict(
            {
                **options(cfg, shallow=False),
                'model.pretrained': None,
                'train_cfg.num_alternations': 2,
            }
        )
        # The config's own takes no second derivative.
        cfg.optim_wrapper.hypergradient = dict(
            damping=10.0, solver=dict(type='RecyclingSolver', max_iters=2)
        )
        cfg.work_dir, cfg.resume = str(tmp_path / folder), resume
        runner = make_runner(cfg, hooks)
        runner.train()
        return runner

    whole = run('whole')
    # In the lower phase of the second alternation.
    with pytest.raises(SystemExit):
        run('parts', [StopAt('after_lower_step', 3)])
    final = weights(run('parts', resume=True))
    for key, value in weights(whole).items():
        assert torch.equal(final[key], value), key


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=[pytest.mark.whole] if 'byol' in name else [])
        for name in MODEL_OPTIONS
    ],
)
def test_resumed_run_is_bit_identical(name, image_folders, tmp_path):
    whole = make_runner(config(name, image_folders, tmp_path / 'whole'))
    whole.train()
    cfg = config(name, image_folders, tmp_path / 'parts')
    for event, count in (
        ('after_lower_step', 2),
        ('after_upper_step', 1),
        ('after_val_epoch', 1),
    ):
        runner = make_runner(cfg, [StopAt(event, count)])
        with pytest.raises(SystemExit):
            runner.train()
        cfg.resume = True
    runner = make_runner(cfg)
    runner.train()
    final = weights(runner)
    for key, value in weights(whole).items():
        assert torch.equal(final[key], value), key


def test_target_starts_from_the_weights_and_moves_once_a_lower_step(
    image_folders, tmp_path
):
    runner = make_runner(config('byol_r18', image_folders, tmp_path, 0))
    model = runner.model
    model.init_weights()
    with torch.no_grad():
        # As if loaded from a long pretraining.
        model.pretext.target_net.steps.fill_(1000)
        for param in model.pretext.target_net.parameters():
            param.add_(1.0)
    seen = []

    class Keep(StopAt):
        def __init__(self):
            pass

        def after_lower_step(self, runner, logs):
            source = model.pretext.backbone.conv1.weight
            target = model.pretext.target_net.module[0].conv1.weight
            seen.append((source.detach().clone(), target.clone()))
            # The last value of mmpretrain's schedules of target networks.
            assert runner.message_hub.get_info('max_iters') == 6

    runner.register_hook(Keep())
    # The lower level starts from this; the warm-up does not change it.
    start = model.pretext.backbone.conv1.weight.detach().clone()
    runner.train()
    steps = 2 * runner.train_loop.settings.num_lower_steps
    assert len(seen) == model.pretext.target_net.steps == steps
    expected = start
    for i, (_, target) in enumerate(seen):
        if i:
            expected = 0.9 * expected + 0.1 * seen[i - 1][0]
        torch.testing.assert_close(target, expected, rtol=1e-5, atol=1e-7)
