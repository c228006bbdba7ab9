"""Every shipped config runs on data in their publishers' layouts."""

import copy
import math
import re
from pathlib import Path

import published_layouts
import pytest
import torch
from config_runs import ConfigRuns, runs_to_make
from conftest import ROOT
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from task_configs import CONFIGS, FIRST_VERSION, PUBLISHED, VARIANTS, shipped, tasks_of
from torch.overrides import TorchFunctionMode

import bissl_mm.engine  # noqa: F401
from bissl_mm.config import notes_of, read_config
from bissl_mm.config.keys import known_keys
from bissl_mm.config.options import merge_options, split_options
from bissl_mm.datasets.look import parts
from bissl_mm.models import BiSSLModel

pytestmark = [pytest.mark.usefixtures('plain_config_text'), pytest.mark.slow]


@pytest.fixture(scope='module')
def runs(module_folder) -> ConfigRuns:
    return ConfigRuns(module_folder)


@pytest.fixture(autouse=True)
def hundred_headers(monkeypatch):
    """Let the look read a choice of the thousand images of ImageNet."""
    monkeypatch.setattr(parts, 'MAX_HEADERS', 100)


RUNS = runs_to_make()
OTHERS = [
    (path, task)
    for path in CONFIGS
    for task in tasks_of(path)
    if (path, task) not in RUNS
]


def by_name(value) -> str:
    return f'{value.parent.name}/{value.stem}' if isinstance(value, Path) else value


def stage_before(path: Path, task: str) -> Path | None:
    """The bilevel config of a fine-tuning one on a task that is not its own."""
    if path.parent.name != 'fine_tune' or task == tasks_of(path)[0]:
        return None
    backbone = path.stem.partition('_')[0]
    return next(
        other
        for other, its in RUNS
        if (other.parent.name, its) == ('bissl', task) and f'_{backbone}_' in other.stem
    )


#: Those that take longest; others run the same data sets, models and loops.
SLOW = (
    *('voc0712-c4', 'voc0712-fcn16', 'voc12aug-fcn16', 'cityscapes-fcn16', 'bccd-c4'),
    'digit-scenes-detection',
)
SLOW_CONFIGS = (
    'bissl-simclr_r50_8xb128-10x4-200t_in1k-224px',
    'bissl-byol_r50_8xb128-20x8-500t_in1k-96px',
    'bissl-simclr_r18_8xb128-20x8-500t_stl10-96px',
    'bissl-byol_r18_b64-10x4-30t_cifar10-48px',
    'bissl-mae_vit-s8_8xb128-20x8-500t_in1k-96px',
)


#: Of pretraining and fine-tuning; bilevel stages have the same parts and more.
QUICK = (
    'simclr_r50_8xb128-500e_in1k-96px',
    'simclr_r10_b256-60e_imagefolder-32px',
    'r50_96px',
    'r10_32px',
)


#: What the names of mmdet's and mmseg's tasks begin with.
DENSE = (
    *('bccd', 'camvid', 'cityscapes', 'coco', 'digit-scenes', 'masks'),
    *('voc0712', 'voc12aug'),
)


def marked(path: Path, task: str, every: bool = False):
    """A run as the parameters of a test, or of one that takes every run."""
    marks = [pytest.mark.mmcv_ops] if str(task).startswith(DENSE) else []
    slow = task in SLOW or path.stem in SLOW_CONFIGS
    # Of the tasks for one's own images at 64 px, the classes and one of each dense kind.
    slow = slow or '64px' in path.stem and task in ('cifar10', 'camvid-deeplabv3')
    if path.parent.name in ('pretext', 'fine_tune'):
        slow = slow or path.stem not in QUICK
    if slow and not every:
        marks.append(pytest.mark.whole)
    return pytest.param(path, task, marks=marks)


@pytest.mark.parametrize('path, task', [marked(*run) for run in RUNS], ids=by_name)
def test_config_runs_on_data_as_published(path, task, runs):
    cfg = shipped(path, task)
    stage = stage_before(path, task)
    checkpoint = stage and runs.run(stage, task=task)['work_dir'] / 'backbone.pth'
    done = runs.run(path, task=task, checkpoint=checkpoint)
    losses = {name: value for name, value in done['scalars'].items() if 'loss' in name}
    assert losses
    assert all(math.isfinite(value) for value in losses.values()), losses
    if 'val_dataloader' in cfg:
        assert any(name.startswith('val/') for name in done['scalars'])
    if 'test_dataloader' in cfg:
        assert done['test']
    if cfg.train_cfg.type == 'BiSSLTrainLoop':
        assert (done['work_dir'] / 'backbone.pth').is_file()
    else:
        assert (done['work_dir'] / 'epoch_1.pth').is_file()
    # Runs on two tasks, or from two checkpoints, do not meet.
    assert done['work_dir'].name == path.stem + f'_{task}' * bool(task) + (
        f'_from-{stage.stem}_{task}' if stage else ''
    )


@pytest.mark.whole
@pytest.mark.parametrize('path', VARIANTS + FIRST_VERSION + PUBLISHED, ids=by_name)
def test_config_of_a_variant_runs(path, runs):
    done = runs.run(path)
    losses = {name: value for name, value in done['scalars'].items() if 'loss' in name}
    assert 'train/lower/pretext_loss' in losses
    assert all(math.isfinite(value) for value in losses.values()), losses
    assert (done['work_dir'] / 'backbone.pth').is_file() and done['test']


@pytest.mark.parametrize('path, task', OTHERS, ids=by_name)
def test_other_tasks_of_a_config_resolve(path, task):
    cfg = read_config(str(path), task=task)
    own = shipped(path)
    assert notes_of(cfg) == [] and cfg.task == task
    assert cfg.train_dataloader != own.train_dataloader
    model = cfg.model.get('downstream', cfg.model)
    backbone = own.model.get('downstream', own.model).backbone
    assert model.backbone.get('depth') == backbone.get('depth')
    if 'pretext' in cfg.model:
        assert cfg.model.pretext == own.model.pretext
        assert cfg.model.pretrained == own.model.pretrained
    else:
        checkpoint = own.model.backbone.init_cfg.checkpoint
        assert model.backbone.init_cfg.checkpoint == checkpoint


class LinspaceHasValues(TorchFunctionMode):
    """mmpretrain takes rates of stochastic depth from a linspace."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.linspace:
            kwargs['device'] = 'cpu'
        return func(*args, **kwargs)


@pytest.mark.parametrize(
    'path, task', [marked(*run, every=True) for run in RUNS], ids=by_name
)
def test_full_model_and_optimizer_build(path, task):
    cfg = shipped(path, task)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'), LinspaceHasValues():
        model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    assert wrapper.state_dict()
    if isinstance(model, BiSSLModel):
        unmapped = model.backbone_map.unmapped_lower
        names = [
            n
            for n, p in model.pretext.named_parameters()
            if n.startswith('backbone.')
            and p.requires_grad
            and not (unmapped and n.startswith(unmapped))
        ]
        assert [lower for lower, _ in model.pairs.params] == names


def test_data_set_without_generator_is_an_error():
    with pytest.raises(LookupError, match="writes the data in 'data/new'"):
        published_layouts.name_of('data/new')


def total(dataloader: dict) -> int:
    """The total batch of all processes; a batch_size beside it would win."""
    assert 'batch_size' not in dataloader
    return dataloader.total_batch_size


def test_paper_config_has_the_papers_figures():
    cfg = shipped('bissl/bissl-simclr_r50_8xb128-20x8-500t_in1k-96px', 'pets')
    loop, wrapper = cfg.train_cfg, cfg.optim_wrapper
    assert (loop.num_alternations, loop.num_lower_steps, loop.num_upper_steps) == (
        500,
        20,
        8,
    )
    assert loop.head_warmup.num_epochs == 20
    assert (wrapper.regularizer.weight, wrapper.hypergradient.damping) == (0.001, 10.0)
    assert wrapper.hypergradient.solver == dict(type='LayerwiseCGSolver', max_iters=5)
    for level in ('lower', 'upper'):
        assert wrapper[level].clip_grad == dict(max_norm=10.0)
    assert total(loop.pretext_dataloader) == 1024
    assert total(cfg.train_dataloader) == 256
    assert cfg.model.sync_norms is True
    assert wrapper.upper.optimizer == dict(
        type='SGD', lr=0.03, momentum=0.9, weight_decay=0.001
    )
    assert wrapper.lower.optimizer == dict(
        type='bissl_mm.LARS', lr=1.0, momentum=0.9, weight_decay=1e-6, eta=0.001
    )
    assert cfg.param_scheduler.lower[0].end == 10 * loop.num_lower_steps


def test_byol_configs_have_the_papers_figures():
    bissl = shipped('bissl/bissl-byol_r50_8xb128-20x8-500t_in1k-96px', 'pets')
    pretext = shipped('pretext/byol_r50_8xb128-500e_in1k-96px')
    for model in (bissl.model.pretext, pretext.model):
        assert model.target_decay == 0.9995
        predictor = dict(model.head.predictor, in_channels=2048, with_avg_pool=True)
        assert predictor == model.neck
    assert pretext.optim_wrapper.optimizer.lr == 4.8
    # Table 6.
    upper = bissl.optim_wrapper.upper.optimizer
    assert (upper.lr, upper.weight_decay) == (0.02, 0.002)


#: Learning rate and weight decay of fine-tuning by the end of the checkpoint:
#: Tables 5 and 7.
PETS = {
    'work_dirs/simclr_r50_8xb128-500e_in1k-96px/epoch_500.pth': (0.0378, 0.00114),
    'work_dirs/byol_r50_8xb128-500e_in1k-96px/epoch_500.pth': (0.0044, 0.00779),
    'work_dirs/bissl-simclr_r50_8xb128-20x8-500t_in1k-96px_pets/backbone.pth': (
        0.00153,
        0.00314,
    ),
    'work_dirs/bissl-byol_r50_8xb128-20x8-500t_in1k-96px_pets/backbone.pth': (
        0.00042,
        0.00002,
    ),
}


def header_commands(path: Path) -> list[tuple[dict, list[str]]]:
    """Variables and arguments of each command in a config's header."""
    text = path.read_text().partition('\n_base_')[0]
    lines = re.sub(r'\\\n#', '', text).splitlines()
    variables, commands = {}, []
    for line in lines:
        words = line.removeprefix('#').split()
        for word in words:
            name, equals, value = word.partition('=')
            if equals and name.isupper():
                variables[name] = value.replace('$STAGE', variables.get('STAGE', ''))
        if words[:1] in (['python'], ['tools/dist_train.sh']):
            commands.append((dict(variables), words))
    return commands


def test_commands_of_the_pets_config_have_the_papers_figures():
    """The arms are checkpoints; the header has what else differs."""
    path = ROOT / 'configs/fine_tune/r50_96px.py'
    found = {}
    for variables, words in header_commands(path):
        if '--task' in words:
            continue
        assert words[:3] == [
            'python',
            'tools/train.py',
            'configs/fine_tune/r50_96px.py',
        ]
        cfg = shipped(path, 'pets', variables.get('BISSL_CHECKPOINT'))
        merge_options(cfg, split_options(words[4:]))
        optimizer = cfg.optim_wrapper.optimizer
        checkpoint = cfg.model.backbone.init_cfg.checkpoint
        found[checkpoint] = (optimizer.lr, optimizer.weight_decay)
    assert found == PETS


def test_mae_configs_have_the_papers_figures():
    bissl = shipped('bissl/bissl-mae_vit-s8_8xb128-20x8-500t_in1k-96px', 'pets')
    pretext = shipped('pretext/mae_vit-s8_8xb128-500e_in1k-96px')
    fine_tune = shipped('fine_tune/vit-s8_96px', 'pets')
    assert pretext.optim_wrapper.optimizer == dict(
        type='AdamW', lr=5e-4, betas=(0.9, 0.95), weight_decay=0.05
    )
    assert bissl.optim_wrapper.lower.optimizer == dict(
        type='AdamW', lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05
    )
    assert pretext.param_scheduler.type == 'CosineAnnealingLR'
    assert pretext.train_cfg.max_epochs == 500
    for model in (bissl.model.downstream, fine_tune.model):
        assert model.backbone.drop_path_rate == 0.1
        assert (model.backbone.patch_size, model.backbone.img_size) == (8, 96)
    for wrapper in (bissl.optim_wrapper.upper, fine_tune.optim_wrapper):
        assert wrapper.paramwise_cfg.layer_decay_rate == 0.75
    assert fine_tune.train_cfg.max_epochs == 400
    assert total(bissl.train_dataloader) == 256
    assert total(bissl.train_cfg.pretext_dataloader) == 1024
    assert total(pretext.train_dataloader) == 1024
    assert total(fine_tune.train_dataloader) == 256


@pytest.mark.parametrize(
    'path, task',
    [run for run in RUNS if run[0].parent.name == 'fine_tune'],
    ids=by_name,
)
def test_the_variable_exchanges_the_checkpoint_alone(path, task):
    found = []
    for checkpoint in (None, 'other.pth'):
        cfg = shipped(path, task, checkpoint).to_dict()
        parts = [
            cfg['model']['backbone'],
            cfg['model'].get('roi_head', {}).get('shared_head'),
        ]
        found.append({part['init_cfg'].pop('checkpoint') for part in parts if part})
        for variable in ('checkpoint', 'init_cfg', 'downstream', 'network'):
            cfg.pop(variable)
        found.append(cfg)
    assert found[1] == found[3]
    assert len(found[0]) == 1 and found[2] == {'other.pth'}


@pytest.mark.parametrize(
    'path, task',
    [
        (path, task)
        for path in CONFIGS
        if path.parent.name == 'fine_tune'
        for task in tasks_of(path)
        # Norms of the networks of the paper and data of those at 32 px are bissl_mm's.
        if not task.startswith(('pets', 'stl10', 'imagefolder-224px'))
        and not path.stem.endswith('32px')
    ],
    ids=by_name,
)
def test_fine_tuning_needs_no_own_code(path, task):
    # Variables of the files are of no effect.
    cfg = shipped(path, task).to_dict()
    cfg = {key: value for key, value in cfg.items() if key in known_keys()}
    # It does the same with the data of Cityscapes and of VOC's segmentation.
    if cfg.pop('custom_imports', None):
        assert 'bissl_mm.' in cfg.pop('train_dataloader')['dataset']['type']
        cfg.pop('val_dataloader')
    assert 'bissl_mm' not in str(cfg)
