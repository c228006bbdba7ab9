"""tools/convert_checkpoint.py on small releases."""

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from small_models import backbone, classifier_cfg
from small_run import CONFIG
from tool_runs import options, tool

from bissl_mm.models import check_pretrained_init

__all__ = ['tool']


@pytest.fixture
def moco(tmp_path):
    """A release of MoCo with a small ResNet-18."""
    init_default_scope('mmpretrain')
    state = MODELS.build(backbone()).state_dict()
    path = tmp_path / 'moco.pth.tar'
    torch.save(
        dict(
            state_dict={
                **{'module.encoder_q.' + k: v for k, v in state.items()},
                **{'module.encoder_k.' + k: v + 1 for k, v in state.items()},
                'module.encoder_q.fc.0.weight': torch.ones(8, 32),
            }
        ),
        path,
    )
    return path, state


@pytest.mark.parametrize('config', [True, False])
def test_stock_models_read_what_it_writes(config, moco, tool, tmp_path, capsys):
    path, state = moco
    output = tmp_path / 'new' / 'out.pth'
    tool(
        'convert_checkpoint',
        path,
        output,
        *(['--config', CONFIG, *options()] if config else []),
    )
    printed = capsys.readouterr().out
    assert (
        "Layout: ResNet in the naming of torchvision, under 'encoder_q.'"
        ", not 'encoder_k.'" in printed
    )
    assert (
        '241 tensors read, 120 converted, 121 dropped: encoder_k.conv1.'
        'weight, ' in printed
    )
    assert 'Pixels: not in the file' in printed
    assert (
        '50 of 50 backbone tensors of SimCLR matched; missing: nothing' in printed
    ) == config
    cfg = classifier_cfg()
    cfg['backbone']['init_cfg'] = dict(
        type='Pretrained', checkpoint=str(output), prefix='backbone.'
    )
    model = MODELS.build(cfg)
    model.init_weights()
    assert check_pretrained_init(model) == [('backbone', 100, 100)]
    for name, value in state.items():
        assert torch.equal(model.backbone.state_dict()[name], value), name


def test_the_pixels_of_the_source_go_with_the_weights(
    moco, tool, tmp_path, capsys, log_lines
):
    _, state = moco
    pixels = dict(mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
    text = Config(dict(model=dict(classifier_cfg(), data_preprocessor=pixels)))
    path, output = tmp_path / 'epoch_1.pth', tmp_path / 'out.pth'
    given = {f'backbone.{k}': v for k, v in state.items()}
    torch.save(dict(state_dict=given, meta=dict(cfg=text.pretty_text)), path)
    tool('convert_checkpoint', path, output, '--config', CONFIG, *options())
    known = '(x - [127.5, 127.5, 127.5]) / [127.5, 127.5, 127.5] of RGB'
    told = f'was trained with pixels {known}, but this model has (x - [123.675'
    printed = capsys.readouterr().out
    assert f'Pixels: {known}.' in printed and f"'{path}' {told}" in printed
    cfg = classifier_cfg()
    cfg['data_preprocessor'] = dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True
    )
    cfg['backbone']['init_cfg'] = dict(
        type='Pretrained', checkpoint=str(output), prefix='backbone.'
    )
    check_pretrained_init(MODELS.build(cfg))
    assert f"'{output}' {told}" in log_lines[-1]


def test_the_only_file_of_a_release_is_not_replaced(moco, tool, capsys):
    path = moco[0]
    before = path.read_bytes()
    with pytest.raises(SystemExit, match='1'):
        tool('convert_checkpoint', path, path)
    assert f"OUT '{path}' is the file that is read" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_misfit_is_named_and_nothing_written(moco, tool, tmp_path, capsys):
    path, output = moco[0], tmp_path / 'out.pth'
    with pytest.raises(SystemExit, match='1'):
        tool(
            'convert_checkpoint',
            path,
            output,
            '--config',
            CONFIG,
            *options(
                model__pretext__backbone__stem_channels=8,
                model__pretext__backbone__base_channels=8,
                model__downstream__backbone__stem_channels=8,
                model__downstream__backbone__base_channels=8,
                model__pretext__neck__in_channels=16,
                model__downstream__head__in_channels=16,
            ),
        )
    error = capsys.readouterr().err
    assert 'fits 0 of 50 backbone tensors of SimCLR' in error
    assert (
        "'backbone.conv1.weight' has shape (4, 3, 7, 7) in the file and "
        '(8, 3, 7, 7) in the model' in error
    )
    assert 'Missing: nothing; in another shape: ' in error
    assert 'Traceback' not in error and not output.exists()


@pytest.mark.parametrize('size', [48, 64])
def test_classifier_with_a_norm_of_its_own(size, tool, tmp_path, capsys):
    config = ROOT / 'configs/fine_tune/vit-t8_48px.py'
    init_default_scope('mmpretrain')
    state = MODELS.build(
        dict(
            type='MAEViT',
            arch=dict(
                embed_dims=192, num_layers=6, num_heads=3, feedforward_channels=768
            ),
            img_size=48,
            patch_size=8,
        )
    ).state_dict()
    path, output = tmp_path / 'mae.pth', tmp_path / 'out.pth'
    torch.save(state, path)
    arguments = [
        'convert_checkpoint',
        path,
        output,
        '--config',
        config,
        '--cfg-options',
        f'model.backbone.img_size={size}',
    ]
    if size == 48:
        tool(*arguments)
        printed = capsys.readouterr().out
        assert 'ViT in the naming of mmpretrain, without a prefix' in printed
        assert '76 of 76 backbone tensors of ImageClassifier' in printed
    else:
        with pytest.raises(SystemExit, match='1'):
            tool(*arguments)
        assert 'Position embeddings are not interpolated' in capsys.readouterr().err
    assert output.exists() == (size == 48)


def test_a_place_that_cannot_be_written_is_refused_first(tool, moco, capsys):
    with pytest.raises(SystemExit, match='1'):
        tool('convert_checkpoint', moco[0], moco[0] / 'out.pth')
    said = capsys.readouterr()
    assert f"'{moco[0]}' is a file" in said.err and 'Layout' not in said.out
