"""Digits in colour for a pretext task beside a classifier, trained a little.

What the benchmarks of the upper phase work on.
"""

import argparse
import copy

import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmpretrain.structures import DataSample
from sklearn.datasets import load_digits

from bissl_mm.engine import BiSSLOptimWrapper
from bissl_mm.engine.loop.head_warmup import frozen_backbone
from bissl_mm.models import BiSSLModel

REG_WEIGHT, DAMPING = 0.001, 10.0


def build(name: str, pixels: int) -> BiSSLModel:
    """A pretext model beside a classifier of ten classes."""
    loss = dict(type='CrossEntropyLoss')
    if name == 'vit-s':
        arch = dict(
            embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536
        )
        patches = (pixels // 8) ** 2
        pretext = dict(
            type='MAE',
            backbone=dict(
                type='MAEViT', arch=arch, img_size=pixels, patch_size=8, mask_ratio=0.75
            ),
            neck=dict(
                type='MAEPretrainDecoder',
                num_patches=patches,
                patch_size=8,
                embed_dim=384,
                decoder_embed_dim=192,
                decoder_depth=4,
                decoder_num_heads=6,
            ),
            head=dict(
                type='MAEPretrainHead',
                norm_pix=True,
                patch_size=8,
                loss=dict(type='PixelReconstructionLoss', criterion='L2'),
            ),
        )
        downstream = dict(
            type='ImageClassifier',
            backbone=dict(
                type='VisionTransformer',
                arch=arch,
                img_size=pixels,
                patch_size=8,
                out_type='avg_featmap',
                final_norm=False,
            ),
            neck=None,
            head=dict(type='LinearClsHead', num_classes=10, in_channels=384, loss=loss),
        )
        return BiSSLModel(
            pretext,
            downstream,
            dict(
                frozen='fix',
                unmapped_lower=['backbone.ln1'],
                unmapped_upper=['backbone.ln2'],
            ),
        )
    depth = int(name[len('resnet') :])
    width = 512 if depth < 50 else 2048
    backbone = dict(type='ResNet', depth=depth, norm_cfg=dict(type='BN'))
    pretext = dict(
        type='bissl_mm.SimCLR',
        backbone=backbone,
        neck=dict(
            type='NonLinearNeck',
            in_channels=width,
            hid_channels=256,
            out_channels=256,
            num_layers=3,
            with_bias=True,
            with_last_bn=False,
            norm_cfg=dict(type='BN1d'),
        ),
        head=dict(type='ContrastiveHead', loss=loss, temperature=0.5),
    )
    downstream = dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=width, loss=loss),
    )
    return BiSSLModel(pretext, downstream)


class Pictures:
    """Handwritten digits of scikit-learn, in colour, cropped at random."""

    def __init__(
        self,
        pixels: int,
        device: str,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> None:
        digits = load_digits()
        self.images = torch.tensor(digits.images).float()[:, None] / 8 - 1
        self.labels = torch.tensor(digits.target)
        self.pixels = pixels
        self.device, self.dtype = device, dtype
        self.generator = torch.Generator().manual_seed(seed)

    def views(self, index: torch.Tensor, number: int) -> list:
        """``number`` views, each ``(len(index), 3, pixels, pixels)``."""
        return [self._view(self.images[index]) for _ in range(number)]

    def draw(self, size: int) -> torch.Tensor:
        return torch.randint(len(self.images), (size,), generator=self.generator)

    def _view(self, images: torch.Tensor) -> torch.Tensor:
        size = len(images)
        zoom = torch.rand(size, generator=self.generator) * 0.5 + 0.5
        shift = torch.rand(size, 2, generator=self.generator) * 2 - 1
        theta = torch.zeros(size, 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = zoom
        theta[:, :, 2] = shift * (1 - zoom)[:, None]
        grid = F.affine_grid(
            theta, [size, 1, self.pixels, self.pixels], align_corners=False
        )
        grey = F.grid_sample(images, grid, align_corners=False)
        colour = torch.rand(size, 3, 1, 1, generator=self.generator) + 0.5
        return (grey * colour).to(self.device, self.dtype)


class Ready(torch.nn.Module):
    """In place of the data preprocessors: batches come ready."""

    def forward(self, data, training=False):
        return data


def wrapper_of(
    model: BiSSLModel, weight: float = REG_WEIGHT, **hypergradient
) -> BiSSLOptimWrapper:
    def level(part):
        return OptimWrapper(
            torch.optim.SGD(part.parameters(), lr=1e-3, momentum=0.9),
            clip_grad=dict(max_norm=10.0),
        )

    return BiSSLOptimWrapper(
        lower=level(model.pretext),
        upper=level(model.downstream),
        head_warmup=level(model.downstream),
        regularizer=dict(weight=weight),
        hypergradient=dict(damping=DAMPING, **hypergradient),
    )


class DigitsTask:
    """A model after some pretext steps, and the batches of an upper phase.

    Args:
        name (str): As :func:`build` takes it.
        args (argparse.Namespace): See ``upper_phase.py``. ``seed``, 0 by default,
            is that of weights and batches.
    """

    def __init__(self, name: str, args: argparse.Namespace) -> None:
        seed = getattr(args, 'seed', 0)
        torch.manual_seed(seed)
        self.args = args
        self.model = build(name, args.pixels)
        self.model.init_weights()
        dtype = torch.float64 if args.double else torch.float32
        self.model.to(args.device, dtype).train()
        self.model.pretext.data_preprocessor = Ready()
        self.model.downstream.data_preprocessor = Ready()
        self.is_mae = name == 'vit-s'
        pictures = Pictures(args.pixels, args.device, dtype, seed)
        self._pretrain(pictures)
        self.hessian_batch = self._pretext_batch(pictures)
        self.batches = [self._downstream_batch(pictures) for _ in range(args.steps)]
        self.state = copy.deepcopy(self.model.state_dict())

    def _pretext_batch(self, pictures: Pictures) -> dict:
        views = pictures.views(pictures.draw(self.args.batch), 1 if self.is_mae else 2)
        return dict(inputs=views[0] if self.is_mae else views, data_samples=None)

    def _downstream_batch(self, pictures: Pictures) -> dict:
        index = pictures.draw(self.args.downstream_batch)
        samples = [
            DataSample().set_gt_label(int(i)).to(self.args.device)
            for i in pictures.labels[index]
        ]
        return dict(inputs=pictures.views(index, 1)[0], data_samples=samples)

    def _pretrain(self, pictures: Pictures) -> None:
        wrapper = wrapper_of(self.model, weight=0.0)
        for group in wrapper['lower'].optimizer.param_groups:
            group['lr'] = 1e-4 if self.is_mae else self.args.lr
        for step in range(self.args.train_steps):
            wrapper.lower_step(self.model, self._pretext_batch(pictures), seed=step)
        self.model.copy_backbone_to_upper()
        # The head must have something to say about the backbone.
        wrapper = wrapper_of(self.model)
        for group in wrapper.head_warmup.optimizer.param_groups:
            group['lr'] = 0.1
        with frozen_backbone(self.model, 'train'):
            for step in range(self.args.head_steps):
                wrapper.head_warmup_step(
                    self.model, self._downstream_batch(pictures), seed=step
                )
