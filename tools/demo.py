"""See BiSSL work: all four stages on small real images, then a report.

SimCLR pretrains a small ResNet on unlabeled images, the bilevel stage aligns
it with a task that has few labels (reading digits, finding or segmenting them
in scenes, or telling colour images apart), and fine-tuning after it is
compared with fine-tuning alone and after training on the task twice, over
three stages and several seeds. The digits come with scikit-learn and the
photographs for --task images with scikit-image; nothing is downloaded. Set
BISSL_PRETEXT_DIR and BISSL_DOWNSTREAM_DIR for images of yours.
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
        help='classification: of handwritten '
        'digits; images: of colour images, yours or crops of photographs',
    )
    parser.add_argument(
        '--work-dir', help='default: work_dirs/demo, demo-images, demo-det or demo-seg'
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='a few steps of everything, to see that it runs; the results mean nothing',
    )
    parser.add_argument(
        '--workers',
        type=int,
        help='stages and fine-tuning runs side by side, each in a process of '
        'one thread; '
        'default: the number of GPUs, or without one of cores',
    )
    parser.add_argument(
        '--fresh',
        action='store_true',
        help='begin anew: what an earlier demo left in the folder moves to '
        'WORK-DIR/earlier-N. Otherwise the demo goes on where that one was',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    print('Importing torch and OpenMMLab ...', flush=True)
    quiet_console()
    warnings.filterwarnings('ignore')
    # Late, so that neither --help nor a worker process waits for them.
    import torch
    from mmengine.config import Config
    from mmengine.logging import MMLogger

    from bissl_mm.analysis.demo import TASKS, Demo
    from bissl_mm.analysis.demo.stages import move_aside
    from bissl_mm.analysis.runs.workers import default_number
    from bissl_mm.engine.launch import prepare_processes

    # mmengine collects garbage whenever it builds a dataset; the libraries
    # imported by now need not be searched each time.
    gc.freeze()
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    prepare_processes(Config(dict(launcher='none')))
    # The networks are small: a second thread gains little, and beside another
    # busy process it costs many times the work.
    torch.set_num_threads(1)
    task = TASKS[args.task]
    work_dir = args.work_dir or task.folder
    if args.fresh:
        aside = move_aside(work_dir, Demo.folders())
        if aside:
            print(f'The earlier stages are in {aside} now.')
    demo = Demo(task, CONFIGS, work_dir, args.quick)
    print(
        f'Pictures ({demo.data.title}): '
        + ', '.join(f'{n} {part}' for part, n in demo.counts.items()),
        flush=True,
    )
    try:
        run(demo, default_number() if args.workers is None else args.workers)
    except (KeyboardInterrupt, SystemExit):
        print('\nInterrupted. The same command goes on from here.', file=sys.stderr)
        raise SystemExit(130) from None


def run(demo: 'Demo', number: int) -> None:  # noqa: F821
    """All stages and the report."""
    import torch

    import bissl_mm
    from bissl_mm.analysis.demo.page import write_page
    from bissl_mm.analysis.json_file import write_json

    task, work_dir = demo.task, demo.work_dir
    begin = time.time()
    # They import the libraries beside the first stage.
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
    """A line an arm, and one for each difference."""
    from bissl_mm.analysis.demo.results import CAVEAT, arm_line, comparison_line

    for arm in outcome['arms']:
        print(arm_line(arm, demo.task.metric_name))
    if demo.quick:
        print('A few steps of everything: these numbers mean nothing.')
        return
    for found in outcome['comparisons']:
        print(comparison_line(found))
    print(CAVEAT)


if __name__ == '__main__':
    run_tool(main)
