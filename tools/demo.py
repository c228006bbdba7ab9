"""See BiSSL work: all four stages on handwritten digits, then a report.

SimCLR pretrains a small ResNet on unlabeled digits, the bilevel stage aligns
it with a task that has few labels (reading digits, finding or segmenting them
in scenes), and fine-tuning with and without that stage is compared over
several seeds. The digits come with scikit-learn; nothing is downloaded.
"""

import argparse
import gc
import json
import logging
import os
import os.path as osp
import platform
import shutil
import time
import warnings
from typing import List, Optional

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

import bissl_mm
from bissl_mm.analysis.demo import TASKS, Demo
from bissl_mm.analysis.demo_page import write_page
from bissl_mm.command_line import run_tool
from bissl_mm.engine.launch import prepare_processes
from bissl_mm.utils.console import quiet_console

CONFIGS = osp.join(osp.dirname(osp.abspath(__file__)), '..', 'configs',
                   'demo')


def parse_args(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--task', choices=list(TASKS), default='classification')
    parser.add_argument(
        '--work-dir', help='default: work_dirs/demo, demo-det or demo-seg')
    parser.add_argument(
        '--quick', action='store_true',
        help='a few steps of everything, to see that it runs; the results '
        'mean nothing')
    return parser.parse_args(argv)


def main(argv: Optional[List[str]] = None) -> None:
    args = parse_args(argv)
    quiet_console()
    warnings.filterwarnings('ignore')
    # mmengine collects garbage whenever it builds a dataset; the libraries
    # imported by now need not be searched each time.
    gc.freeze()
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    prepare_processes(Config(dict(launcher='none')))
    task = TASKS[args.task]
    work_dir = args.work_dir or task.folder
    for folder in ('pretext', 'bissl', 'fine_tune'):
        shutil.rmtree(osp.join(work_dir, folder), ignore_errors=True)
    demo = Demo(task, CONFIGS, work_dir, args.quick)
    print('Pictures: ' + ', '.join(f'{n} {part}'
                                   for part, n in demo.counts.items()))
    seconds, begin = {}, time.time()

    def lap(name: str) -> None:
        seconds[name] = time.time() - begin - sum(seconds.values())

    demo.run_pretext()
    lap('pretraining')
    demo.run_bissl()
    lap('warm-up and BiSSL')
    outcome = demo.run_comparison()
    lap('fine-tuning')
    page = write_page(demo, outcome, seconds)
    lap('report')
    results = dict(outcome, task=task.name, seconds=seconds,
                   data=demo.counts, quick=args.quick, cores=os.cpu_count(),
                   torch=torch.__version__, python=platform.python_version(),
                   bissl_mm=bissl_mm.__version__)
    path = osp.join(work_dir, 'results.json')
    with open(path, 'w') as file:
        json.dump(results, file, indent=1)
    for arm in outcome['arms']:
        print(f'{arm["name"]:>9}: {arm["mean"]:.2f} +- {arm["std"]:.2f} % '
              f'{task.metric_name}')
    print(f'difference {outcome["difference"]:+.2f}, exact permutation '
          f'p = {outcome["p_value"]:.4g}\n{page}\n{path}')


if __name__ == '__main__':
    run_tool(main)
