"""A stage of a shipped config on batches that a dataloader made of noise."""

import argparse
import gc
import os

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

import bissl_mm.engine  # noqa: F401  (registers)
from bissl_mm.datasets.level_stream import LevelStream
from bissl_mm.engine import BiSSLOptimWrapper
from bissl_mm.models import BiSSLModel

CONFIGS = os.path.join(os.path.dirname(__file__), '../../configs/bissl')
_SIMCLR = 'bissl-simclr_r50_8xb128-20x8-500t_in1k-96px.py'
_MAE = 'bissl-mae_vit-s8_8xb128-20x8-500t_in1k-96px.py'
#: One rank's share of the paper's batches.
PRETEXT, DOWNSTREAM, PIXELS = 128, 32, 96
MIB = 2**20


def config_of(name: str, quick: bool) -> Config:
    """The paper's config of ResNet-50, ResNet-18 or ViT-S."""
    cfg = Config.fromfile(os.path.join(CONFIGS, _MAE if name == 'vit-s' else _SIMCLR))
    cfg.model.pretrained = None
    if name == 'resnet18':
        cfg.merge_from_dict(
            {
                'model.pretext.backbone.depth': 18,
                'model.pretext.neck.in_channels': 512,
                'model.downstream.backbone.depth': 18,
                'model.downstream.head.in_channels': 512,
            }
        )
    if quick and name != 'vit-s':
        width = 32 if name == 'resnet18' else 128
        for level in ('pretext', 'downstream'):
            cfg.model[level].backbone.update(stem_channels=4, base_channels=4)
        cfg.model.pretext.neck.update(
            in_channels=width, hid_channels=16, out_channels=8
        )
        cfg.model.downstream.head.in_channels = width
    if quick and name == 'vit-s':
        arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
        for level in ('pretext', 'downstream'):
            cfg.model[level].backbone.arch = arch
        cfg.model.pretext.neck.update(
            embed_dim=16, decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2
        )
        cfg.model.downstream.head.in_channels = 16
    return cfg


class Noise(torch.utils.data.Dataset):
    """Packed samples, uint8, all of them different."""

    def __init__(self, number: int, views: int, pixels: int, classes: int) -> None:
        self.number, self.views = number, views
        self.pixels, self.classes = pixels, classes

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> dict:
        draw = torch.Generator().manual_seed(index)
        images = [
            torch.randint(
                0, 256, (3, self.pixels, self.pixels), dtype=torch.uint8, generator=draw
            )
            for _ in range(max(self.views, 1))
        ]
        label = int(torch.randint(self.classes, (1,), generator=draw))
        return dict(
            inputs=images if self.views else images[0],
            data_samples=DataSample().set_gt_label(label),
        )


class Stage:
    """Model, optimizers and batches of both levels.

    Args:
        name (str): ``'resnet18'``, ``'resnet50'`` or ``'vit-s'``.
        args (Namespace): The command's.
        pretext (int): Images of a pretext batch.
        downstream (int): Images of a downstream batch.
        **hypergradient: Settings that replace the config's.
    """

    def __init__(
        self,
        name: str,
        args: argparse.Namespace,
        pretext: int = PRETEXT,
        downstream: int = DOWNSTREAM,
        **hypergradient,
    ) -> None:
        if args.quick:
            pretext, downstream = min(pretext, 4), min(downstream, 2)
        self.sizes = pretext, downstream
        self.device = args.device
        self.cfg = config_of(name, args.quick)
        init_default_scope('bissl_mm')
        torch.manual_seed(0)
        model = MODELS.build(self.cfg.model)
        model.init_weights()
        self.model: BiSSLModel = model.to(self.device).train()
        self.model.copy_backbone_to_upper()
        settings = Config(dict(self.cfg.optim_wrapper))._cfg_dict
        settings.hypergradient.update(hypergradient)
        for level in ('lower', 'upper'):
            # The network stays near where it begins.
            settings[level].optimizer.lr = 1e-4
        self.settings = settings
        self.wrapper = self.make_wrapper()
        lower, upper = self.cfg.train_cfg.pretext_dataloader, self.cfg.train_dataloader
        views = 0 if name == 'vit-s' else 2
        self.lower = self._batch('lower', lower, Noise(pretext, views, PIXELS, 37))
        self.upper = self._batch('upper', upper, Noise(downstream, 0, PIXELS, 37))

    def make_wrapper(self, **hypergradient) -> BiSSLOptimWrapper:
        """A wrapper of the config; settings of the hypergradient may be others."""
        settings = Config(dict(self.settings))._cfg_dict
        settings.hypergradient.update(hypergradient)
        return build_optim_wrapper(self.model, settings)

    def _batch(self, level: str, loader: Config, samples: Noise) -> dict:
        """As the stage's own stream makes it of the config's dataloader."""
        stream = LevelStream(
            dict(
                dataset=samples,
                batch_size=len(samples),
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=loader.get('collate_fn'),
            ),
            level,
        )
        stream.start(0)
        return stream.next()

    @property
    def is_gpu(self) -> bool:
        return self.device != 'cpu'

    def lower_step(self) -> None:
        self.wrapper.lower_step(self.model, self.lower, seed=1)

    def begin(self) -> None:
        self.wrapper.begin_upper_phase(self.model, [self.lower], seed=2)

    def upper_step(self) -> None:
        self.wrapper.upper_step(self.model, self.upper, seed=3)

    def product(self) -> None:
        self.wrapper.system.curvature_operator(self.model.lower_backbone())

    def end(self) -> None:
        self.wrapper.end_upper_phase()


def free(device: str) -> None:
    """Give back what nobody holds."""
    gc.collect()
    if device != 'cpu':
        torch.cuda.empty_cache()
