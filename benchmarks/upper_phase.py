"""The upper phase against one that does what the published algorithm does.

The baseline (``published_phase.py``) rebuilds the graph for every product and
takes separate backward passes; every variant does the same phase of upper
steps from the same weights on the same batches, in turn with it. Reported
are the median of the paired ratios, the largest true relative residual over
the phase's steps, the difference of the first step's v_IJ from the
baseline's, the products a step and the peak of memory::

    python benchmarks/upper_phase.py --model resnet18 --json upper_phase.json
"""

import argparse
import copy
import gc
import json
import logging
import os
import platform
import statistics
import time
from collections import defaultdict

import torch
import torch.nn.functional as F
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample
from published_phase import PublishedPhase
from sklearn.datasets import load_digits

from bissl_mm.engine import BiSSLOptimWrapper
from bissl_mm.engine.head_warmup import frozen_backbone
from bissl_mm.hypergradient import HessianOperator, relative_residual
from bissl_mm.hypergradient.vectors import norm, subtract
from bissl_mm.models import BiSSLModel, pretext_closure
from bissl_mm.utils.allocator import keep_freed_memory

REG_WEIGHT, DAMPING, NUM_ITERS = 0.001, 10., 5
#: Name -> settings of BiSSLOptimWrapper. What RecyclingSolver stops at is in
#: part estimated, so it is asked for a fifth less than what is to be shown.
#: 'matched' is four fifths of the baseline's own residual.
VARIANTS = {
    'published': dict(solver=dict(type='LayerwiseCGSolver')),
    'cg': dict(solver=dict(type='CGSolver', max_iters=5)),
    'minres': dict(solver=dict(type='MinresSolver', tolerance=0.1)),
    'recycling': dict(solver=dict(type='RecyclingSolver', tolerance=0.08)),
    'recycling-matched': dict(
        solver=dict(type='RecyclingSolver', tolerance='matched')),
    'recycling-bf16': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.08),
        product_dtype='bfloat16'),
    'half-batch': dict(
        solver=dict(type='RecyclingSolver', tolerance=0.08),
        hessian_batch_size='half'),
    'norms': dict(solver=dict(type='RecyclingSolver', tolerance=0.08),
                  jacobian_params='norm'),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', nargs='+', default=['resnet18'],
                        choices=['resnet18', 'resnet50', 'resnet101',
                                 'vit-s'])
    parser.add_argument('--variant', nargs='+', choices=list(VARIANTS),
                        default=['published', 'recycling',
                                 'recycling-matched'])
    parser.add_argument('--pixels', type=int, default=64)
    parser.add_argument('--batch', type=int, default=32,
                        help='pretext images of the Hessian')
    parser.add_argument('--downstream-batch', type=int,
                        help='default: a quarter of the batch, as 256 of the '
                        'paper to 1024')
    parser.add_argument('--steps', type=int, default=8,
                        help='upper steps of the phase')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--train-steps', type=int, default=300,
                        help='pretext steps before; 0 leaves the network at '
                        'its initialisation')
    parser.add_argument('--lr', type=float, default=0.1,
                        help='of them for a ResNet; the larger, the flatter '
                        'the minimum they end in')
    parser.add_argument('--head-steps', type=int, default=60,
                        help='steps of the classifier alone after them')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--quick', action='store_true',
                        help='ResNet-18, few steps; the figures are rough')
    parser.add_argument('--json')
    args = parser.parse_args()
    if args.quick:
        args.model, args.batch, args.steps = ['resnet18'], 8, 3
        args.repeats, args.train_steps, args.pixels = 1, 60, 32
        args.head_steps = 30
        args.variant = ['published', 'minres', 'recycling']
    if args.downstream_batch is None:
        args.downstream_batch = max(args.batch // 4, 2)
    return args


def build(name: str, pixels: int) -> BiSSLModel:
    """A pretext model beside a classifier of ten classes."""
    loss = dict(type='CrossEntropyLoss')
    if name == 'vit-s':
        arch = dict(embed_dims=384, num_layers=12, num_heads=6,
                    feedforward_channels=1536)
        patches = (pixels // 8)**2
        pretext = dict(
            type='MAE',
            backbone=dict(type='MAEViT', arch=arch, img_size=pixels,
                          patch_size=8, mask_ratio=0.75),
            neck=dict(type='MAEPretrainDecoder', num_patches=patches,
                      patch_size=8, embed_dim=384, decoder_embed_dim=192,
                      decoder_depth=4, decoder_num_heads=6),
            head=dict(type='MAEPretrainHead', norm_pix=True, patch_size=8,
                      loss=dict(type='PixelReconstructionLoss',
                                criterion='L2')))
        downstream = dict(
            type='ImageClassifier',
            backbone=dict(type='VisionTransformer', arch=arch,
                          img_size=pixels, patch_size=8,
                          out_type='avg_featmap', final_norm=False),
            neck=None,
            head=dict(type='LinearClsHead', num_classes=10, in_channels=384,
                      loss=loss))
        return BiSSLModel(pretext, downstream, dict(
            frozen='fix', unmapped_lower=['backbone.ln1'],
            unmapped_upper=['backbone.ln2']))
    depth = int(name[len('resnet'):])
    width = 512 if depth < 50 else 2048
    backbone = dict(type='ResNet', depth=depth, norm_cfg=dict(type='BN'))
    pretext = dict(
        type='bissl_mm.SimCLR', backbone=backbone,
        neck=dict(type='NonLinearNeck', in_channels=width, hid_channels=256,
                  out_channels=256, num_layers=3, with_bias=True,
                  with_last_bn=False, norm_cfg=dict(type='BN1d')),
        head=dict(type='ContrastiveHead', loss=loss, temperature=0.5))
    downstream = dict(
        type='ImageClassifier', backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=width,
                  loss=loss))
    return BiSSLModel(pretext, downstream)


class Pictures:
    """Handwritten digits of scikit-learn, in colour, cropped at random."""

    def __init__(self, pixels: int, device: str) -> None:
        digits = load_digits()
        self.images = torch.tensor(digits.images).float()[:, None] / 8 - 1
        self.labels = torch.tensor(digits.target)
        self.pixels = pixels
        self.device = device
        self.generator = torch.Generator().manual_seed(0)

    def views(self, index: torch.Tensor, number: int) -> list:
        """``number`` views, each ``(len(index), 3, pixels, pixels)``."""
        return [self._view(self.images[index]) for _ in range(number)]

    def draw(self, size: int) -> torch.Tensor:
        return torch.randint(len(self.images), (size, ),
                             generator=self.generator)

    def _view(self, images: torch.Tensor) -> torch.Tensor:
        size = len(images)
        zoom = torch.rand(size, generator=self.generator) * 0.5 + 0.5
        shift = torch.rand(size, 2, generator=self.generator) * 2 - 1
        theta = torch.zeros(size, 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = zoom
        theta[:, :, 2] = shift * (1 - zoom)[:, None]
        grid = F.affine_grid(theta, [size, 1, self.pixels, self.pixels],
                             align_corners=False)
        grey = F.grid_sample(images, grid, align_corners=False)
        colour = torch.rand(size, 3, 1, 1, generator=self.generator) + 0.5
        return (grey * colour).to(self.device)


class Ready(torch.nn.Module):
    """In place of the data preprocessors: batches come ready."""

    def forward(self, data, training=False):
        return data


def wrapper_of(model: BiSSLModel, **kwargs) -> BiSSLOptimWrapper:
    def level(part):
        return OptimWrapper(
            torch.optim.SGD(part.parameters(), lr=1e-3, momentum=0.9),
            clip_grad=dict(max_norm=10.))

    return BiSSLOptimWrapper(
        lower=level(model.pretext), upper=level(model.downstream),
        head_warmup=level(model.downstream), damping=DAMPING,
        **{'reg_weight': REG_WEIGHT, **kwargs})


class Memory:
    """Peak of the resident (or the device's) memory."""

    def __init__(self, device: str) -> None:
        self.device = device

    def start(self) -> None:
        gc.collect()
        if self.device != 'cpu':
            torch.cuda.reset_peak_memory_stats()
            return
        with open('/proc/self/clear_refs', 'w') as file:
            file.write('5')

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated() if self.device != 'cpu' \
            else self._status('VmHWM')

    @staticmethod
    def _status(key: str) -> int:
        with open('/proc/self/status') as file:
            for line in file:
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
        raise OSError(f'/proc/self/status has no {key}')


class Contest:
    """One model; every variant runs the same phase."""

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.args = args
        self.model = build(name, args.pixels)
        self.model.init_weights()
        self.model.to(args.device).train()
        self.model.pretext.data_preprocessor = Ready()
        self.model.downstream.data_preprocessor = Ready()
        self.is_mae = name == 'vit-s'
        pictures = Pictures(args.pixels, args.device)
        self._pretrain(pictures)
        self.hessian_batch = self._pretext_batch(pictures)
        self.batches = [self._downstream_batch(pictures)
                        for _ in range(args.steps)]
        self.state = copy.deepcopy(self.model.state_dict())
        self.memory = Memory(args.device)
        self.wrappers = {}

    def _pretext_batch(self, pictures: Pictures) -> dict:
        views = pictures.views(pictures.draw(self.args.batch),
                               1 if self.is_mae else 2)
        return dict(inputs=views[0] if self.is_mae else views,
                    data_samples=None)

    def _downstream_batch(self, pictures: Pictures) -> dict:
        index = pictures.draw(self.args.downstream_batch)
        samples = [DataSample().set_gt_label(int(i)).to(self.args.device)
                   for i in pictures.labels[index]]
        return dict(inputs=pictures.views(index, 1)[0], data_samples=samples)

    def _pretrain(self, pictures: Pictures) -> None:
        wrapper = wrapper_of(self.model, reg_weight=0.)
        for group in wrapper['lower'].optimizer.param_groups:
            group['lr'] = 1e-4 if self.is_mae else self.args.lr
        for step in range(self.args.train_steps):
            wrapper.lower_step(self.model, self._pretext_batch(pictures),
                               seed=step)
        self.model.copy_backbone_to_upper()
        # The head must have something to say about the backbone.
        wrapper = wrapper_of(self.model)
        for group in wrapper.head_warmup.optimizer.param_groups:
            group['lr'] = 0.1
        with frozen_backbone(self.model, 'train'):
            for step in range(self.args.head_steps):
                wrapper.head_warmup_step(
                    self.model, self._downstream_batch(pictures), seed=step)

    def synchronize(self) -> None:
        if self.args.device != 'cpu':
            torch.cuda.synchronize()

    def baseline(self, keep: bool = False):
        """One phase of the baseline; seconds, memory, pairs (v, v_IJ)."""
        self.model.load_state_dict(self.state)
        optimizer = torch.optim.SGD(
            [p for p in self.model.downstream.parameters()
             if p.requires_grad], lr=1e-3, momentum=0.9)
        self.memory.start()
        begin = time.perf_counter()
        phase = PublishedPhase(self.model, self.hessian_batch, optimizer,
                               REG_WEIGHT, DAMPING, NUM_ITERS)
        for batch in self.batches:
            phase.step(batch)
            if not keep:
                del phase.solutions[:]
        self.synchronize()
        return time.perf_counter() - begin, self.memory.peak(), \
            phase.solutions

    def variant(self, settings: dict, keep: bool = False):
        """One phase; seconds, memory, and of its parts, logs, pairs."""
        self.model.load_state_dict(self.state)
        # The same one in every timed repeat, as a run has one for all its
        # phases; a new one where memory is measured, which then lies in no
        # other's.
        wrapper = self.wrappers.get(repr(settings))
        if keep or wrapper is None:
            wrapper = wrapper_of(self.model, check_residual='never',
                                 **settings)
        if not keep:
            self.wrappers[repr(settings)] = wrapper
        parts, pairs = defaultdict(float), []
        solve = type(wrapper.system).solve

        def timed_solve(v):
            self.synchronize()
            begin = time.perf_counter()
            solution = solve(wrapper.system, v)
            self.synchronize()
            parts['solve'] += time.perf_counter() - begin
            if keep:
                pairs.append((v, solution.value))
            return solution

        wrapper.system.solve = timed_solve
        self.memory.start()
        begin = time.perf_counter()
        wrapper.begin_upper_phase(self.model, [self.hessian_batch], seed=0)
        self.synchronize()
        parts['graph'] = time.perf_counter() - begin
        logs = [wrapper.upper_step(self.model, batch, seed=0)
                for batch in self.batches]
        self.synchronize()
        products = wrapper.system.operator.num_products
        total = time.perf_counter() - begin
        memory = self.memory.peak()
        wrapper.end_upper_phase()
        parts['first order'] = total - sum(parts.values())
        return total, memory, dict(
            shares={k: round(s / total, 3) for k, s in parts.items()},
            products=products / len(logs), logs=logs, pairs=pairs)

    def residuals(self, pairs: list) -> list:
        """True relative residuals of pairs (v, v_IJ), whatever made them."""
        self.model.load_state_dict(self.state)
        operator = HessianOperator(
            [pretext_closure(self.model.pretext, self.hessian_batch, 0)],
            self.model.lower_backbone(), REG_WEIGHT, DAMPING)
        return [relative_residual(operator, x, v)
                for v, x in pairs]


def measure(name: str, args: argparse.Namespace) -> list:
    contest = Contest(name, args)
    _, base_memory, pairs = contest.baseline(keep=True)
    baseline_residual = max(contest.residuals(pairs))
    reference = pairs[0][1]
    del pairs
    checked, settings_of = {}, {}
    for variant in args.variant:
        settings = copy.deepcopy(VARIANTS[variant])
        if settings['solver'].get('tolerance') == 'matched':
            settings['solver']['tolerance'] = min(0.8 * baseline_residual, 0.5)
        if settings.get('hessian_batch_size') == 'half':
            settings['hessian_batch_size'] = args.batch // 2
        settings_of[variant] = settings
        _, memory, found = contest.variant(settings, keep=True)
        found['memory'] = memory / base_memory
        pairs = found.pop('pairs')
        found.update(residual=max(contest.residuals(pairs)),
                     first=pairs[0][1])
        checked[variant] = found
        del pairs, found
    ratios = defaultdict(list)
    for _ in range(args.repeats):
        base_time, _, _ = contest.baseline()
        for variant, settings in settings_of.items():
            seconds, _, found = contest.variant(settings)
            ratios[variant].append(base_time / seconds)
            checked[variant]['shares'] = found['shares']
    print(f'{name}: baseline {base_time:.1f} s a phase of {args.steps} '
          f'steps, residual {baseline_residual:.3g}, {NUM_ITERS} products a '
          'step')
    records = []
    for variant, found in checked.items():
        record = dict(
            model=name, variant=variant,
            speedup=statistics.median(ratios[variant]),
            speedups=ratios[variant],
            true_residual=found['residual'],
            baseline_residual=baseline_residual,
            rel_diff=(norm(subtract(found['first'], reference)) /
                      norm(reference)).item(),
            cosine=min(log['cosine'] for log in found['logs']),
            min_curvature=min(log['min_curvature'] for log in found['logs']),
            products_per_step=found['products'],
            peak_memory_ratio=found['memory'],
            shares=found['shares'], settings=settings_of[variant])
        records.append(record)
        print(f'{variant:>18}: {record["speedup"]:5.2f} times as fast, '
              f'residual {record["true_residual"]:.3g}, '
              f'{record["products_per_step"]:.2f} products a step, v_IJ '
              f'{record["rel_diff"]:.2g} off, memory '
              f'{record["peak_memory_ratio"]:.2f}, '
              f'{record["shares"]}', flush=True)
    return records


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    keep_freed_memory()
    init_default_scope('mmpretrain')
    records = []
    for name in args.model:
        records += measure(name, args)
        if args.json:
            with open(args.json, 'w') as file:
                json.dump(dict(
                    records=records, arguments=vars(args),
                    threads=torch.get_num_threads(), cores=os.cpu_count(),
                    machine=platform.processor() or platform.machine(),
                    torch=torch.__version__), file, indent=1)


if __name__ == '__main__':
    main()
