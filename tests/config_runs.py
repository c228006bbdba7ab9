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
from pathlib import Path

import published_layouts
import pytest
import torch
from conftest import ROOT
from glue_folder import VOCAB
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from task_configs import CONFIGS, TEXT, shipped, tasks_of

import bissl_mm.models  # noqa: F401
from bissl_mm.config.tasks import CHECKPOINT, TASK
from bissl_mm.engine.launch import build_runner, load_config, prepare_processes
from bissl_mm.experiments.runs.small import is_c4, nodes, options
from bissl_mm.models.weights.public_weights import to_mmpretrain

#: The config that writes the checkpoint from which the demos' configs start.
DEMO_PRETEXT = ROOT / 'configs/demo/simclr_digits.py'
#: Data are where the configs look by default.
VARIABLES = dict(
    BISSL_DATA_DIR=None,
    BISSL_DEMO_DATA=None,
    BISSL_PRETEXT_DIR=None,
    BISSL_DOWNSTREAM_DIR=None,
    BISSL_NUM_CLASSES='3',
    BISSL_VOCAB_SIZE=str(VOCAB),
)


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
    # Of the tasks that differ in their data alone, the one with several classes an
    # image.
    first = ROOT / 'configs/bissl/bissl-simclr_r18_8xb128-20x8-500t_stl10-96px.py'
    return [*own, *others, (first, 'voc07')]


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
            published_layouts.write_missing(node)
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
            else [p for p in (*CONFIGS, *TEXT) if p.stem == stem]
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
