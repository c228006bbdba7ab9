"""The small bilevel stage on real text, with each task of GLUE."""

import argparse
import math
import pydoc_data.topics
from pathlib import Path

import pytest
from conftest import ROOT
from glue_folder import write_glue

from bissl_mm.config.tasks import TASK
from bissl_mm.engine.launch import build_runner, load_config, prepare_processes
from bissl_mm.text.glue_files import TASKS

pytest.importorskip('tokenizers')
pytest.importorskip('sklearn')

pytestmark = pytest.mark.whole

CONFIG = ROOT / 'configs/text/bissl-gpt_b16-5x2-10t_small.py'


@pytest.fixture(scope='module')
def data(module_folder):
    """Python's own help texts, and generated sentences."""
    from bissl_mm.text.prepare import prepare_text

    root = module_folder
    write_glue(root / 'data/glue', train=40, dev=8)
    text = '\n'.join(pydoc_data.topics.topics.values())
    (root / 'topics.txt').write_text(text[:200000], encoding='utf-8')
    vocabulary, _ = prepare_text(
        str(root / 'topics.txt'), str(root / 'data/books'), None, 500
    )
    assert vocabulary == 500
    return root


def trained(data: Path, task: str, work_dir: str, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(data)
        patch.setenv(TASK, task)
        cfg = load_config(
            argparse.Namespace(
                config=str(CONFIG),
                launcher='none',
                local_rank=0,
                work_dir=work_dir,
                cfg_options={
                    'model.pretrained': None,
                    'train_cfg.val_interval': 10,
                    **options,
                },
            )
        )
        cfg.log_level = 'WARNING'
        cfg.experiment_name = f'text-{task}-{work_dir}'
        prepare_processes(cfg)
        runner = build_runner(cfg)
        runner.train()
        return runner, runner.test()


@pytest.mark.parametrize(
    'task, curvature', [(task, 'hessian') for task in TASKS] + [('rte', 'differences')]
)
def test_small_stage_runs_whole(task, curvature, data):
    runner, test = trained(
        data,
        task,
        f'{task}-{curvature}',
        **{'optim_wrapper.hypergradient.curvature': curvature},
    )
    assert list(test) == [f'glue/{TASKS[task].metric}']
    scalars = runner.message_hub.log_scalars
    losses = {k: v.current() for k, v in scalars.items() if 'loss' in k}
    assert losses and all(map(math.isfinite, losses.values())), losses
    assert (Path(runner.work_dir) / 'backbone.pth').is_file() or (
        data / runner.work_dir / 'backbone.pth'
    ).is_file()
