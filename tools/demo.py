"""Run all four stages of BiSSL on small real images and write a report.

SimCLR pretrains a small ResNet on unlabeled images. The bilevel stage aligns it
with a task that has few labels: reading digits, detecting or segmenting them in
scenes, or classifying colour images. Fine-tuning after the stage is compared
with fine-tuning alone and with training on the task twice, over three stages
and several seeds. The digits come with scikit-learn, and the photographs of
--task images come with scikit-image and scikit-learn; nothing is downloaded. Set
BISSL_PRETEXT_DIR and BISSL_DOWNSTREAM_DIR to use your own images.
"""

import argparse
import gc
import logging
import os
import os.path as osp
import platform
import sys
import time
import warnings

from bissl_mm.command_line import run_tool
from bissl_mm.utils.console import quiet_console

CONFIGS = osp.join(osp.dirname(osp.abspath(__file__)), '..', 'configs')


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--task',
        choices=['classification', 'images', 'detection', 'segmentation'],
        default='classification',
        help='classification: handwritten digits; images: colour images, '
        'your own or crops of photographs; detection, segmentation: scenes '
        'of digits',
    )
    parser.add_argument(
        '--work-dir', help='default: work_dirs/demo, demo-images, demo-det or demo-seg'
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='run a few steps of everything, as a test; the results mean nothing',
    )
    parser.add_argument(
        '--workers',
        type=int,
        help='number of parallel stages and fine-tuning runs, each in a process '
        'of one thread; default: the number of GPUs, or of cores if there is '
        'no GPU',
    )
    parser.add_argument(
        '--fresh',
        action='store_true',
        help='start again and move the results of an earlier demo to '
        'WORK-DIR/earlier-N; by default the demo continues the earlier one',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    print('Importing torch and OpenMMLab ...', flush=True)
    quiet_console()
    warnings.filterwarnings('ignore')
    # Imported late, so that --help and worker processes do not wait for them.
    import torch
    from mmengine.config import Config
    from mmengine.logging import MMLogger

    from bissl_mm.analysis.demo import TASKS, Demo
    from bissl_mm.analysis.demo.stages import move_aside
    from bissl_mm.analysis.runs.workers import default_number
    from bissl_mm.engine.launch import prepare_processes

    # mmengine collects garbage whenever it builds a dataset. Objects of the
    # libraries that are imported already are never garbage, so skip them.
    gc.freeze()
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    prepare_processes(Config(dict(launcher='none')))
    # The networks are small, so a second thread gains little. Beside another
    # busy process it makes the run many times slower.
    torch.set_num_threads(1)
    task = TASKS[args.task]
    work_dir = args.work_dir or task.folder
    if args.fresh:
        aside = move_aside(work_dir, Demo.folders())
        if aside:
            print(f"The earlier stages were moved to '{aside}'.")
    demo = Demo(task, CONFIGS, work_dir, args.quick)
    print(
        f'Pictures ({demo.data.title}): '
        + ', '.join(f'{n} {part}' for part, n in demo.counts.items()),
        flush=True,
    )
    try:
        run(demo, default_number() if args.workers is None else args.workers)
    except (KeyboardInterrupt, SystemExit):
        print('\nInterrupted. The same command continues from here.', file=sys.stderr)
        raise SystemExit(130) from None


def run(demo: 'Demo', number: int) -> None:  # noqa: F821
    """Run all stages and write the report."""
    import torch

    import bissl_mm
    from bissl_mm.analysis.demo.page import write_page
    from bissl_mm.analysis.json_file import write_json

    task, work_dir = demo.task, demo.work_dir
    begin = time.time()
    # The workers import the libraries while the first stage runs.
    with demo.workers(number) as workers:
        demo.run_pretext()
        demo.run_stages(workers)
        outcome = demo.run_comparison(workers)
    demo.note_seconds()
    page = write_page(demo, outcome)
    results = dict(
        outcome,
        task=task.name,
        seconds=demo.seconds,
        wall_seconds=time.time() - begin,
        resumed=demo.resumed,
        workers=number,
        data=demo.counts,
        quick=demo.quick,
        cores=os.cpu_count(),
        torch=torch.__version__,
        python=platform.python_version(),
        bissl_mm=bissl_mm.__version__,
    )
    path = osp.join(work_dir, 'results.json')
    write_json(path, results)
    print_results(demo, outcome)
    print(f'{page}\n{path}')


def print_results(demo: 'Demo', outcome: dict) -> None:  # noqa: F821
    """Print a line per arm and a line per difference."""
    from bissl_mm.analysis.demo.results import CAVEAT, arm_line, comparison_line

    for arm in outcome['arms']:
        print(arm_line(arm, demo.task.metric_name))
    if demo.quick:
        print('This was a quick run with a few steps: the numbers mean nothing.')
        return
    for found in outcome['comparisons']:
        print(comparison_line(found))
    print(CAVEAT)


if __name__ == '__main__':
    run_tool(main)
