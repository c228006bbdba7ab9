"""The ways in which the tools load a checkpoint.

``hostile_checkpoints.py`` puts the folders of tests and tools on the path.
"""

import functools
import importlib
import shutil
from collections.abc import Callable
from pathlib import Path

from small_run import CONFIG, OPTIONS

ROOT = Path(__file__).resolve().parents[1]

FINE_TUNE = ROOT / 'configs/fine_tune/r18_64px.py'
PRETEXT = ROOT / 'configs/pretext/simclr_r18_b64-100e_imagefolder-64px.py'
SMALL = {
    'model.backbone.stem_channels': 4,
    'model.backbone.base_channels': 4,
    'train_dataloader.batch_size': 6,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'train_cfg.max_epochs': 1,
}
NO_WORKERS = {
    f'{part}_dataloader.{key}': value
    for part in ('val', 'test')
    for key, value in (('num_workers', 0), ('persistent_workers', False))
}
STAGES = {
    'bilevel': (CONFIG, OPTIONS),
    'fine-tuning': (FINE_TUNE, {**SMALL, **NO_WORKERS, 'model.head.in_channels': 32}),
    'pretraining': (PRETEXT, {**SMALL, 'model.neck.in_channels': 32}),
}
NO_INIT = {'model.backbone.init_cfg': None}


def options(stage: str, **changes) -> list[str]:
    merged = {
        **STAGES[stage][1],
        **{k.replace('__', '.'): v for k, v in changes.items()},
    }
    return ['--cfg-options', *(f'{k}={v}' for k, v in merged.items())]


def tool(name: str, *arguments: object) -> None:
    importlib.import_module(name).main([str(a) for a in arguments])


def train(stage: str, work: Path, *more: object, **changes: object) -> None:
    tool(
        'train', STAGES[stage][0], '--work-dir', work, *more, *options(stage, **changes)
    )


def resume_auto(stage: str, source: str, work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    name = 'iter_1.pth' if stage == 'bilevel' else 'epoch_1.pth'
    shutil.copy(source, work / name)
    (work / 'last_checkpoint').write_text(str(work / name))
    train(
        stage,
        work,
        '--resume',
        **({} if stage != 'fine-tuning' else dict(model__backbone__init_cfg=None)),
    )


def tool_paths() -> dict[str, tuple[bool, Callable[[str, Path], None]]]:
    """Whether a path takes addresses, and what runs it."""
    no_init = {k.replace('.', '__'): v for k, v in NO_INIT.items()}
    paths = {
        'model.pretrained': (
            True,
            lambda source, work: train('bilevel', work, model__pretrained=source),
        ),
        'init_cfg of fine-tuning': (
            True,
            lambda source, work: train(
                'fine-tuning', work, model__backbone__init_cfg__checkpoint=source
            ),
        ),
        'init_cfg without a prefix': (
            True,
            lambda source, work: train(
                'fine-tuning',
                work,
                model__backbone__init_cfg__prefix=None,
                model__backbone__init_cfg__checkpoint=source,
            ),
        ),
        'convert_checkpoint': (
            True,
            lambda source, work: tool('convert_checkpoint', source, work / 'out.pth'),
        ),
        'convert_checkpoint --config': (
            False,
            lambda source, work: tool(
                'convert_checkpoint',
                source,
                work / 'out.pth',
                '--config',
                CONFIG,
                *options('bilevel'),
            ),
        ),
        'convert_backbone': (
            True,
            lambda source, work: tool(
                'convert_backbone',
                CONFIG,
                source,
                work / 'out.pth',
                *options('bilevel'),
            ),
        ),
        'compare_arms': (
            False,
            lambda source, work: tool(
                'compare_arms',
                FINE_TUNE,
                '--arm',
                f'A={source}',
                '--work-dir',
                work,
                '--settings',
                1,
                '--seeds',
                1,
                '--workers',
                1,
                *options('fine-tuning'),
            ),
        ),
    }
    for stage in STAGES:
        more = no_init if stage == 'fine-tuning' else {}
        paths[f'--resume PATH, {stage}'] = (
            True,
            lambda source, work, stage=stage, more=more: train(
                stage, work, '--resume', source, **more
            ),
        )
        paths[f'--resume auto, {stage}'] = (
            False,
            functools.partial(resume_auto, stage),
        )
        paths[f'load_from, {stage}'] = (
            True,
            lambda source, work, stage=stage, more=more: train(
                stage, work, load_from=source, **more
            ),
        )
        if stage != 'pretraining':
            paths[f'test.py, {stage}'] = (
                True,
                lambda source, work, stage=stage, more=more: tool(
                    'test',
                    STAGES[stage][0],
                    source,
                    '--work-dir',
                    work,
                    *options(stage, **more),
                ),
            )
    return paths
