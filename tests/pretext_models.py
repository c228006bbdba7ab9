"""Small instances of mmpretrain's self-supervised methods, with a batch."""

import torch
from dense_models import with_norm
from masked_models import MASKED, VIT
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from small_models import backbone, build, classifier_cfg, simclr_cfg, views

from bissl_mm.engine import BiSSLOptimWrapper
from bissl_mm.models import BiSSLModel


def neck(out: int = 8, width: int = 32, **kwargs) -> dict:
    return dict(
        type='NonLinearNeck',
        in_channels=width,
        hid_channels=16,
        out_channels=out,
        num_layers=2,
        with_avg_pool=width == 32,
        with_bias=True,
        with_last_bn=False,
        norm_cfg=dict(type='BN1d'),
        **kwargs,
    )


def method(kind: str, **kwargs) -> dict:
    return dict(type=kind, _scope_='mmpretrain', backbone=backbone(), **kwargs)


def byol(kind: str = 'bissl_mm.BYOL', **kwargs) -> dict:
    return method(
        kind,
        neck=neck(),
        head=dict(
            type='LatentPredictHead',
            loss=dict(type='CosineSimilarityLoss'),
            predictor=neck(width=8),
        ),
        **kwargs,
    )


def moco() -> dict:
    return method(
        'MoCo',
        queue_len=24,
        feat_dim=8,
        momentum=0.01,
        neck=dict(
            type='MoCoV2Neck',
            in_channels=32,
            hid_channels=16,
            out_channels=8,
            with_avg_pool=True,
        ),
        head=dict(
            type='ContrastiveHead', temperature=0.2, loss=dict(type='CrossEntropyLoss')
        ),
    )


def simsiam() -> dict:
    return method(
        'SimSiam',
        neck=neck(),
        head=dict(
            type='LatentPredictHead',
            loss=dict(type='CosineSimilarityLoss'),
            predictor=neck(width=8),
        ),
    )


def barlow_twins(head: str = 'bissl_mm.CrossCorrelationHead') -> dict:
    return method(
        'BarlowTwins',
        neck=neck(),
        head=dict(type=head, in_channels=8, loss=dict(type='CrossCorrelationLoss')),
    )


def vicreg() -> dict:
    return method('bissl_mm.VICReg', neck=neck(), head=dict(type='bissl_mm.VICRegHead'))


def dino(**kwargs) -> dict:
    # A wide teacher_temp: at 0.04 the target is one prototype.
    return method(
        'bissl_mm.DINO',
        neck=dict(
            type='bissl_mm.DINONeck',
            in_channels=32,
            hid_channels=16,
            bottleneck_channels=8,
            out_channels=12,
            norm_cfg=dict(type='bissl_mm.DifferentiableSyncBN'),
        ),
        teacher_temp=0.08,
        **kwargs,
    )


def densecl() -> dict:
    return method(
        'DenseCL',
        queue_len=24,
        feat_dim=8,
        momentum=0.01,
        neck=dict(
            type='DenseCLNeck',
            in_channels=32,
            hid_channels=16,
            out_channels=8,
            num_grid=None,
        ),
        head=dict(
            type='ContrastiveHead', temperature=0.2, loss=dict(type='CrossEntropyLoss')
        ),
    )


def moco_v3() -> dict:
    return method(
        'MoCoV3',
        base_momentum=0.01,
        neck=neck(),
        head=dict(
            type='MoCoV3Head',
            predictor=neck(width=8),
            temperature=1.0,
            loss=dict(type='CrossEntropyLoss', loss_weight=2.0),
        ),
    )


def maskfeat() -> dict:
    return dict(
        type='MaskFeat',
        _scope_='mmpretrain',
        # Its targets are on a grid of 14 x 14.
        backbone=dict(type='MaskFeatViT', arch=VIT, img_size=112, patch_size=8),
        neck=dict(type='LinearNeck', in_channels=16, out_channels=27, norm_cfg=None),
        head=dict(
            type='MIMHead', loss=dict(type='PixelReconstructionLoss', criterion='L2')
        ),
        target_generator=dict(type='HOGGenerator', nbins=9, pool=8, gaussian_window=16),
    )


def mae() -> dict:
    return dict(
        type='MAE',
        _scope_='mmpretrain',
        backbone=dict(
            type='MAEViT', arch=VIT, img_size=24, patch_size=8, mask_ratio=0.5
        ),
        neck=dict(
            type='MAEPretrainDecoder',
            num_patches=9,
            patch_size=8,
            embed_dim=16,
            decoder_embed_dim=16,
            decoder_depth=1,
            decoder_num_heads=2,
            mlp_ratio=2.0,
        ),
        head=dict(
            type='MAEPretrainHead',
            norm_pix=True,
            patch_size=8,
            loss=dict(type='PixelReconstructionLoss', criterion='L2'),
        ),
    )


def simmim() -> dict:
    return dict(
        type='SimMIM',
        _scope_='mmpretrain',
        backbone=dict(
            type='SimMIMSwinTransformer',
            img_size=32,
            arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
            out_indices=(1,),
            stage_cfgs=dict(block_cfgs=dict(window_size=4)),
        ),
        neck=dict(type='SimMIMLinearDecoder', in_channels=16, encoder_stride=8),
        # With the usual L1 loss the gradient jumps. Finite differences see the
        # jumps, and derivatives do not.
        head=dict(
            type='SimMIMHead',
            patch_size=4,
            loss=dict(type='PixelReconstructionLoss', criterion='L2', channel=3),
        ),
    )


def two_views() -> dict:
    return dict(inputs=views(6), data_samples=None)


def one_view() -> dict:
    return dict(inputs=views(6)[0], data_samples=None)


def masked() -> dict:
    from mmpretrain.structures import DataSample

    torch.manual_seed(2)
    samples = [DataSample(mask=torch.rand(8, 8).round().double()) for _ in range(6)]
    return dict(inputs=views(6, pixels=32)[0], data_samples=samples)


def patches() -> dict:
    from mmpretrain.structures import DataSample

    torch.manual_seed(2)
    samples = [DataSample(mask=torch.rand(14, 14).round()) for _ in range(2)]
    return dict(inputs=views(2, pixels=112)[0], data_samples=samples)


#: Name -> config of the pretext model and a batch for it.
METHODS = {
    'SimCLR': (lambda: simclr_cfg(), two_views),
    'stock SimCLR': (lambda: simclr_cfg('SimCLR'), two_views),
    'BYOL': (byol, two_views),
    'stock BYOL': (lambda: byol('BYOL'), two_views),
    'MAE': (mae, one_view),
    'MoCo v2': (moco, two_views),
    'SimSiam': (simsiam, two_views),
    'Barlow Twins': (barlow_twins, two_views),
    'stock Barlow Twins': (
        lambda: barlow_twins('LatentCrossCorrelationHead'),
        two_views,
    ),
    'VICReg': (vicreg, two_views),
    'DINO': (dino, two_views),
    'SimMIM': (simmim, masked),
    'DenseCL': (densecl, two_views),
    'MoCo v3': (moco_v3, two_views),
    'MaskFeat': (maskfeat, patches),
    **MASKED,
}


def vit_classifier() -> dict:
    return dict(
        type='ImageClassifier',
        _scope_='mmpretrain',
        neck=None,
        backbone=dict(
            type='VisionTransformer',
            arch=VIT,
            img_size=24,
            patch_size=8,
            out_type='avg_featmap',
            final_norm=False,
        ),
        head=dict(
            type='LinearClsHead',
            num_classes=3,
            in_channels=16,
            loss=dict(type='CrossEntropyLoss'),
        ),
    )


class Ready(torch.nn.Module):
    """A minimal data preprocessor that turns class numbers into labels."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, data, training=False):
        from mmpretrain.structures import DataSample

        inputs, labels = data['inputs'], data.get('data_samples')
        inputs = (
            [v.to(self.dtype) for v in inputs]
            if isinstance(inputs, list)
            else inputs.to(self.dtype)
        )
        if labels is not None:
            labels = [DataSample().set_gt_label(int(x)) for x in labels]
        return dict(inputs=inputs, data_samples=labels)


def bissl_model(kind: str, dtype: torch.dtype, norm: str = 'BN'):
    """One of the three pretext tasks of the paper beside a classifier."""
    MessageHub.get_current_instance().update_info('max_iters', 100)
    init_default_scope('mmpretrain')
    pretext = METHODS[kind][0]()
    if norm != 'BN':
        pretext = with_norm(pretext, norm)
    downstream = vit_classifier() if kind == 'MAE' else classifier_cfg(norm)
    backbone_map = (
        dict(
            frozen='fix',
            unmapped_lower=['backbone.ln1'],
            unmapped_upper=['backbone.ln2'],
        )
        if kind == 'MAE'
        else None
    )
    model = (
        BiSSLModel(build(pretext), build(downstream, seed=3), backbone_map)
        .to(dtype)
        .train()
    )
    model.pretext.data_preprocessor = Ready(dtype)
    model.downstream.data_preprocessor = Ready(dtype)
    return model


def sgd_wrapper(model, **kwargs) -> BiSSLOptimWrapper:
    """Plain optimizers and, unless given, conjugate gradients."""
    hypergradient = {
        'solver': dict(type='CGSolver', max_iters=3),
        **kwargs.pop('hypergradient', {}),
    }
    settings = {
        'regularizer': dict(weight=0.1),
        'hypergradient': hypergradient,
        **kwargs,
    }
    return BiSSLOptimWrapper(
        **{
            name: OptimWrapper(torch.optim.SGD(part.parameters(), lr=0.1))
            for name, part in (
                ('lower', model.pretext),
                ('upper', model.downstream),
                ('head_warmup', model.downstream),
            )
        },
        **settings,
    )


def make(name: str):
    """A model in double precision, moved off its initialisation; its batch."""
    init_default_scope('mmpretrain')
    cfg, batch = METHODS[name]
    model = build(cfg()).train()
    if name == 'MaskFeat':
        # Its targets are computed from the image in single precision.
        model.target_generator.float()
        model.target_generator.register_forward_pre_hook(
            lambda module, images: tuple(image.float() for image in images)
        )
        model.target_generator.register_forward_hook(
            lambda module, images, target: target.double()
        )
    return model, batch()
