"""How many collectives the steps of the paper's configs take.

The real models and steps run on the CPU with two tiny images. The process group
is torch's fake one, which sends nothing, so any number of processes can be
counted in one::

    python benchmarks/collectives.py --json benchmarks/collectives.json

An upper step is one without the products of its solver, which have a row of
their own.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests')]

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from dist_pool import Collectives  # noqa: E402
from mmengine.logging import MessageHub  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from mmpretrain.structures import DataSample  # noqa: E402
from torch.testing._internal.distributed.fake_pg import FakeStore  # noqa: E402

from bissl_mm.analysis.json_file import write_json  # noqa: E402
from bissl_mm.config import read_config  # noqa: E402
from bissl_mm.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS  # noqa: E402

CONFIGS = dict(
    simclr='bissl-simclr_r50_8xb128-20x8-500t_in1k-96px',
    byol='bissl-byol_r50_8xb128-20x8-500t_in1k-96px',
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--configs', nargs='+', default=list(CONFIGS), choices=list(CONFIGS)
    )
    parser.add_argument('--processes', type=int, default=8)
    parser.add_argument(
        '--width', type=int, default=64, help='channels of the first layers'
    )
    parser.add_argument(
        '--one-batch',
        action='store_true',
        help="SimCLR's views have common batch statistics, as in mmpretrain",
    )
    parser.add_argument('--json')
    return parser.parse_args()


def build(name: str, args: argparse.Namespace):
    """The model of a config and its optimizers."""
    options = {'model.pretrained': None}
    for backbone in ('pretext.backbone', 'downstream.backbone'):
        for key in ('stem_channels', 'base_channels'):
            options[f'model.{backbone}.{key}'] = args.width
    for head in ('pretext.neck', 'downstream.head'):
        options[f'model.{head}.in_channels'] = 32 * args.width
    if args.one_batch and name == 'simclr':
        options['model.pretext.separate_views'] = False
    # Without products; these are counted one by one.
    options['optim_wrapper.hypergradient.solver'] = dict(
        _delete_=True, type='IdentitySolver'
    )
    options['optim_wrapper.hypergradient.check_residual'] = 'never'
    cfg = read_config(
        str(ROOT / 'configs' / 'bissl' / f'{CONFIGS[name]}.py'), options, 'pets'
    )
    MessageHub.get_current_instance().update_info('max_iters', 100)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    make = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(
            type=cfg.optim_wrapper.pop('constructor'),
            optim_wrapper_cfg=cfg.optim_wrapper,
        )
    )
    return model, make(model)


def count(name: str, args: argparse.Namespace) -> dict[str, dict[str, int]]:
    """Step -> how often each kind of collective ran."""
    model, wrapper = build(name, args)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    lower = dict(inputs=[images, images], data_samples=[DataSample()] * 2)
    samples = [DataSample().set_gt_label(i) for i in range(2)]
    upper = dict(inputs=list(images), data_samples=samples)
    curvature = None

    def product() -> None:
        curvature(tuple(torch.ones_like(p) for p in curvature.params))

    found = {'lower step': counted(lambda: wrapper.lower_gradient(model, lower, 0))}
    found['begin of an upper phase'] = counted(
        lambda: wrapper.begin_upper_phase(model, [lower], 0)
    )
    curvature = wrapper.system.curvature_operator
    # The first one also builds the graph of the gradient.
    first, later = counted(product), counted(product)
    found['begin of an upper phase'] += first - later
    found['product'] = later
    found['upper step'] = counted(lambda: wrapper.upper_gradient(model, upper, 0))
    return {step: dict(kinds) for step, kinds in found.items()}


def counted(step: Callable[[], object]) -> Counter:
    with Collectives() as seen:
        step()
    return seen.found


def main() -> None:
    args = parse_args()
    dist.init_process_group(
        'fake', store=FakeStore(), rank=0, world_size=args.processes
    )
    try:
        probe = torch.zeros(1)
        if not counted(lambda: dist.all_reduce(probe)):
            raise SystemExit(
                f'collectives.py: torch {torch.__version__} does not show the '
                'collectives of its fake process group. Use a newer torch for the '
                'count, 2.11 for example.'
            )
        with DefaultScope.overwrite_default_scope('bissl_mm'):
            records = {name: count(name, args) for name in args.configs}
    finally:
        dist.destroy_process_group()
    for name, steps in records.items():
        for step, kinds in steps.items():
            parts = ', '.join(f'{number} {kind}' for kind, number in kinds.items())
            print(f'{name}, {step}: {sum(kinds.values())} ({parts})')
    if args.json:
        write_json(
            args.json,
            dict(arguments=vars(args), records=records, torch=torch.__version__),
        )


if __name__ == '__main__':
    main()
