"""Runs shipped configs on generated data; only options reduce them.

The data sets, their pipelines and all classes are those of the config. The
options reduce widths, depths, batches and counts. To run a config by hand::

    python tests/published_layouts.py imagenet pets FOLDER
    python tests/config_runs.py CONFIG

The second command prints the options as arguments of ``tools/train.py``.
``BISSL_TASK`` names another task than the config's own.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import published_layouts
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from task_configs import CONFIGS, shipped, tasks_of

import bissl_mm.models  # noqa: F401
from bissl_mm.config.tasks import CHECKPOINT, TASK
from bissl_mm.engine.launch import build_runner, load_config, prepare_processes
from bissl_mm.models.weights.public_weights import to_mmpretrain

#: Keys of a model that count channels.
WIDTHS = (
    'in_channels',
    'out_channels',
    'hid_channels',
    'feat_channels',
    'channels',
    'fc_out_channels',
    'embed_dim',
    'decoder_embed_dim',
    'embed_dims',
    'feedforward_channels',
)
#: The config that writes the checkpoint from which the demos' configs start.
DEMO_PRETEXT = ROOT / 'configs/demo/simclr_digits.py'
#: Data are where the configs look by default.
VARIABLES = dict(
    BISSL_DATA_DIR=None,
    BISSL_DEMO_DATA=None,
    BISSL_PRETEXT_DIR=None,
    BISSL_DOWNSTREAM_DIR=None,
    BISSL_NUM_CLASSES='3',
)
LOADERS = (
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'train_cfg.pretext_dataloader',
)


def nodes(cfg, place: str = '') -> Iterator[tuple[str, dict]]:
    """Every dict of a config with its dotted place."""
    if isinstance(cfg, dict):
        yield place, cfg
        items = cfg.items()
    else:
        items = enumerate(cfg) if isinstance(cfg, (list, tuple)) else ()
    for key, value in items:
        yield from nodes(value, f'{place}.{key}' if place else str(key))


def is_c4(cfg: Config) -> bool:
    """Whether a stage of the backbone is mmdet's shared head.

    That head always has the width of a full ResNet.
    """
    return any('shared_head' in node for _, node in nodes(cfg.model))


def is_dense(cfg: Config) -> bool:
    """Whether the downstream task is detection or segmentation."""
    return any(
        key in node
        for _, node in nodes(cfg.model)
        for key in ('roi_head', 'bbox_head', 'decode_head')
    )


def small_model(cfg: Config, shallow: bool) -> dict:
    """Options for a narrow model, or for a shallow one of full width."""
    found = {}
    depths = [
        node['depth'] for _, node in nodes(cfg.model) if node.get('type') == 'ResNet'
    ]
    factor = 8
    if shallow:
        # ResNet-18 ends in a quarter of the channels of ResNet-50.
        factor = 4 if 50 in depths else 1
    for place, node in nodes(cfg.model, 'model'):
        for key in WIDTHS:
            value = node.get(key)
            if isinstance(value, int):
                found[f'{place}.{key}'] = value // factor
            elif isinstance(value, (list, tuple)):
                found[f'{place}.{key}'] = [v // factor for v in value]
        if shallow and node.get('depth') == 50:
            found[f'{place}.depth'] = 18
        elif not shallow and node.get('type') == 'ResNet':
            for key in ('stem_channels', 'base_channels'):
                found[f'{place}.{key}'] = node.get(key, 64) // factor
        elif node.get('type') == 'bissl_mm.SmallResNet':
            found[f'{place}.base_channels'] = 16 // factor
        if node.get('arch') == 'deit-s':
            found[f'{place}.arch'] = dict(
                _delete_=True,
                embed_dims=384 // factor,
                num_layers=2,
                num_heads=2,
                feedforward_channels=64,
            )
        for key, value in dict(
            num_layers=2, num_heads=2, decoder_depth=1, decoder_num_heads=2
        ).items():
            if key in node and node.get('type') != 'NonLinearNeck':
                found[f'{place}.{key}'] = value
        if node.get('type') == 'RandomSampler':
            found[f'{place}.num'] = 8
        if 'max_per_img' in node:
            found[f'{place}.max_per_img'] = 8
        if 'score_thr' in node:
            # An untrained detector has low scores for all boxes.
            found[f'{place}.score_thr'] = 0.0
    return found


def options(cfg: Config, shallow: bool) -> dict:
    """Options with which a shipped config runs in a second.

    Args:
        cfg (Config): The config as it is shipped.
        shallow (bool): See :func:`small_model`.

    Returns:
        dict: Values by dotted key, for ``--cfg-options``.
    """
    found = small_model(cfg, shallow)
    bilevel = cfg.train_cfg.type == 'BiSSLTrainLoop'
    for name in LOADERS:
        loader = cfg
        for key in name.split('.'):
            loader = loader.get(key, {})
        if not loader:
            continue
        found[f'{name}.num_workers'] = 0
        if 'persistent_workers' in loader:
            found[f'{name}.persistent_workers'] = False
        if name == LOADERS[3] or 'val_dataloader' not in cfg:
            small = 4
        elif name == LOADERS[0] and not is_dense(cfg):
            small = 16 if bilevel else 8
        else:
            small = 2
        key = 'total_batch_size' if 'total_batch_size' in loader else 'batch_size'
        found[f'{name}.{key}'] = min(loader[key], small)
        # The streams of the bilevel loop do not know this key.
        if name in LOADERS[1:3] or name == LOADERS[0] and not bilevel:
            found[f'{name}.num_batch_per_epoch'] = 2 if 'train' in name else 1
    found['train_cfg.val_interval'] = 1
    if bilevel:
        found.update(
            {
                'train_cfg.num_alternations': 1,
                'train_cfg.num_lower_steps': 2,
                'train_cfg.num_upper_steps': 1,
                'train_cfg.head_warmup.num_epochs': 1,
                'param_scheduler.lower.0.end': 1,
                'param_scheduler.lower.1.begin': 1,
            }
        )
        if 'max_iters' in cfg.optim_wrapper.hypergradient.solver:
            found['optim_wrapper.hypergradient.solver.max_iters'] = 1
        if 'num_batches' in cfg.optim_wrapper.hypergradient:
            found['optim_wrapper.hypergradient.num_batches'] = 2
    else:
        found['train_cfg.max_epochs'] = 1
    found['default_hooks.checkpoint.interval'] = 1
    return found


def checkpoints(cfg: Config) -> list[str]:
    """The files that a config starts from."""
    found = [
        node[key]
        for _, node in nodes(cfg.to_dict())
        for key in ('checkpoint', 'pretrained', 'load_from')
        if isinstance(node.get(key), str)
    ]
    return sorted(set(found))


def stage_of(path: Path) -> tuple[str, bool]:
    """Folder of a config, and whether it is of the bilevel stage."""
    return path.parent.name, path.stem.startswith('bissl')


def runs_to_make() -> list[tuple[Path, str | None]]:
    """Each config with its own task, and each other task once for each stage."""
    own = [(path, tasks_of(path)[0]) for path in CONFIGS]
    seen = {(stage_of(path), task) for path, task in own}
    others = []
    # SimCLR's networks take all tasks, and cost less than BYOL's.
    for path in sorted(CONFIGS, key=lambda path: 'simclr' not in path.stem):
        for task in tasks_of(path)[1:]:
            if (stage_of(path), task) not in seen:
                seen.add((stage_of(path), task))
                others.append((path, task))
    return own + others


class ConfigRuns:
    """Runs configs, each once, and creates what they read.

    Args:
        root (Path): Folder of all data and results.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.finished = {}

    def run(
        self,
        path: Path,
        shallow: bool | None = None,
        work_dir: str | None = None,
        task: str | None = None,
        checkpoint: Path | None = None,
    ) -> dict:
        """Train and evaluate a reduced config. A second call runs nothing.

        Args:
            path (Path): The config.
            shallow (bool, optional): See :func:`small_model`. Defaults to
                what its own model needs.
            work_dir (str, optional): Defaults to that of the tools.
            task (str, optional): Defaults to the config's own.
            checkpoint (Path, optional): That fine-tuning starts from.

        Returns:
            dict: ``work_dir``, the last ``scalars`` by name and the
            ``test`` metrics.
        """
        if shallow is None:
            shallow = is_c4(shipped(path, task))
        key = (path, shallow, work_dir, task, checkpoint)
        if key not in self.finished:
            folder = self.root / ('shallow' if shallow else 'narrow')
            folder.mkdir(exist_ok=True)
            own = {TASK: task, CHECKPOINT: checkpoint}
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                for variable, value in {**VARIABLES, **own}.items():
                    patch.delenv(variable, raising=False)
                    if value:
                        patch.setenv(variable, str(value))
                self._prepare(path, shallow)
                self.finished[key] = self._train(path, shallow, work_dir)
        return self.finished[key]

    def _prepare(self, path: Path, shallow: bool) -> None:
        """Create the data and checkpoints that a config reads."""
        cfg = Config.fromfile(path)
        for _, node in nodes(cfg.to_dict()):
            if isinstance(node.get('data_root'), str):
                name = published_layouts.name_of(node['data_root'])
                if not Path(published_layouts.LAYOUTS[name].place).exists():
                    published_layouts.write(name, Path())
        for file in checkpoints(cfg):
            if not Path(file).exists():
                self._write_checkpoint(Path(file), path, shallow)

    def _write_checkpoint(self, file: Path, reader: Path, shallow: bool) -> None:
        if file.parent == Path('work_dirs'):
            write_public_weights(file, reader, shallow)
            return
        stem = file.parent.name
        found = (
            [DEMO_PRETEXT]
            if stem == 'pretext'
            else [p for p in CONFIGS if p.stem == stem]
        )
        assert found, (
            f'{reader.name} starts from {str(file)!r}, which no shipped config writes.'
        )
        work_dir = self.run(found[0], shallow, str(file.parent))['work_dir']
        if not file.exists():
            epochs = Config.fromfile(found[0]).train_cfg.max_epochs
            assert file.name == f'epoch_{epochs}.pth', (
                f'{reader.name} starts from {str(file)!r}, but '
                f'{found[0].name} trains {epochs} epochs.'
            )
            shutil.copy(Path(work_dir) / 'epoch_1.pth', file)

    def _train(self, path: Path, shallow: bool, work_dir: str | None) -> dict:
        cfg = load_config(
            argparse.Namespace(
                config=str(path),
                launcher='none',
                local_rank=0,
                work_dir=work_dir,
                cfg_options=options(Config.fromfile(path), shallow),
            )
        )
        cfg.log_level = 'WARNING'
        # Each run has its own name, because mmengine shares things by name.
        cfg.experiment_name = f'{path.stem}-{shallow}-{cfg.get("task")}'
        prepare_processes(cfg)
        runner = build_runner(cfg)
        runner.train()
        scalars = {
            name: history.current()
            for name, history in runner.message_hub.log_scalars.items()
        }
        test = runner.test() if 'test_dataloader' in cfg else None
        return dict(
            work_dir=Path(runner.work_dir).resolve(), scalars=scalars, test=test
        )


def write_public_weights(file: Path, reader: Path, shallow: bool) -> None:
    """A released backbone, converted as docs/public_weights.md says."""
    cfg = load_config(
        argparse.Namespace(
            config=str(reader),
            launcher='none',
            local_rank=0,
            work_dir=None,
            cfg_options=options(Config.fromfile(reader), shallow),
        )
    )
    init_default_scope(cfg.default_scope)
    backbone = dict(cfg.model.backbone, _scope_='mmpretrain')
    backbone.pop('init_cfg')
    state, _ = to_mmpretrain(MODELS.build(backbone).state_dict())
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=state), file)


def main() -> None:
    cfg = Config.fromfile(sys.argv[1])
    for key, value in options(cfg, is_c4(cfg)).items():
        print(f'{key}={str(value).replace(" ", "")}')


if __name__ == '__main__':
    main()
