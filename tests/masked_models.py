"""Small instances of mmpretrain's methods that predict what is masked, with a batch.

A fixed convolution stands where these methods load a foreign network whose outputs
are their targets (CLIP, DALL-E, VQ-KD). It has no gradient, as those have none.
"""

import torch
from mmpretrain.structures import DataSample
from small_models import views
from torch import nn

from bissl_mm.registry import MODELS

VIT = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
#: Images of 64 px with 4 x 4 patches.
_SIZES = dict(img_size=64, patch_size=16)
_SWIN = dict(embed_dims=8, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 2])
_L2 = dict(type='PixelReconstructionLoss', criterion='L2')
_COSINE = dict(type='CosineSimilarityLoss', shift_factor=2.0, scale_factor=2.0)


@MODELS.register_module()
class FixedTokens(nn.Module):
    """Scores of 12 tokens for each patch, (N, 12, 4, 4)."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 12, 16, 16)

    @torch.no_grad()
    def forward(self, images):
        return self.layer(images)


@MODELS.register_module()
class FixedFeatures(nn.Module):
    """Features (N, 17, 16) of a class token and the patches, and the attention (N, 17,
    17) between them."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 16, 16, 16)

    @torch.no_grad()
    def forward(self, images):
        patches = self.layer(images).flatten(2).transpose(1, 2)
        features = torch.cat([patches.mean(1, keepdim=True), patches], 1)
        return features, (features @ features.mT).softmax(-1)


def _decoder(kind: str, **kwargs) -> dict:
    return dict(
        type=kind,
        num_patches=16,
        patch_size=16,
        embed_dim=16,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
        mlp_ratio=2.0,
        **kwargs,
    )


def _method(kind: str, backbone: dict, **kwargs) -> dict:
    return dict(type=kind, _scope_='mmpretrain', backbone=backbone, **kwargs)


def _vit(kind: str, **kwargs) -> dict:
    return dict(type=kind, arch=VIT, **_SIZES, **kwargs)


def _of_features(kind: str, backbone: str, decoder: str) -> dict:
    """A method that predicts the features of a foreign network."""
    return _method(
        kind,
        _vit(backbone, mask_ratio=0.5),
        neck=_decoder(decoder, predict_feature_dim=16),
        head=dict(type='MIMHead', loss=_COSINE),
        target_generator=dict(type='bissl_mm.FixedFeatures'),
    )


def eva() -> dict:
    return _of_features('EVA', 'MAEViT', 'MAEPretrainDecoder')


def milan() -> dict:
    return _of_features('MILAN', 'MILANViT', 'MILANPretrainDecoder')


def mff() -> dict:
    return _method(
        'MFF',
        dict(
            _vit('MFFViT', mask_ratio=0.5, out_indices=[0, 1, 2]),
            arch=dict(VIT, num_layers=3),
        ),
        neck=_decoder('MAEPretrainDecoder'),
        head=dict(type='MAEPretrainHead', norm_pix=True, patch_size=16, loss=_L2),
    )


def mixmim() -> dict:
    return _method(
        'MixMIM',
        dict(
            type='MixMIMPretrainTransformer',
            arch=_SWIN,
            img_size=64,
            window_size=[8, 8, 4, 2],
        ),
        neck=dict(
            type='MixMIMPretrainDecoder',
            num_patches=4,
            encoder_stride=32,
            embed_dim=64,
            decoder_embed_dim=16,
            decoder_depth=1,
            decoder_num_heads=2,
        ),
        head=dict(type='MixMIMPretrainHead', norm_pix=True, loss=_L2),
    )


def itpn() -> dict:
    return _method(
        'iTPN',
        dict(
            type='iTPNHiViT',
            arch=dict(embed_dims=16, depths=[1, 1, 2], num_heads=2),
            img_size=64,
            reconstruction_type='pixel',
            mask_ratio=0.5,
        ),
        neck=_decoder(
            'iTPNPretrainDecoder', reconstruction_type='pixel', fpn_dim=16, fpn_depth=1
        ),
        head=dict(type='MAEPretrainHead', norm_pix=True, patch_size=16, loss=_L2),
    )


def beit() -> dict:
    return _method(
        'BEiT',
        _vit(
            'BEiTPretrainViT',
            use_abs_pos_emb=False,
            use_rel_pos_bias=True,
            use_shared_rel_pos_bias=False,
            layer_scale_init_value=0.1,
        ),
        neck=None,
        head=dict(
            type='BEiTV1Head',
            embed_dims=16,
            num_embed=12,
            loss=dict(type='CrossEntropyLoss'),
        ),
        target_generator=dict(type='bissl_mm.FixedTokens'),
    )


def cae() -> dict:
    return _method(
        'CAE',
        _vit('CAEPretrainViT', layer_scale_init_value=0.1),
        neck=dict(
            type='CAENeck',
            embed_dims=16,
            num_heads=2,
            regressor_depth=1,
            decoder_depth=1,
            mlp_ratio=2,
            num_classes=12,
            mask_tokens_num=8,
            layer_scale_init_value=0.1,
        ),
        head=dict(type='CAEHead', loss=dict(type='CAELoss', lambd=2)),
        target_generator=dict(type='bissl_mm.FixedTokens'),
    )


def spark() -> dict:
    return _method(
        'SparK',
        dict(
            type='SparseConvNeXt',
            arch=dict(depths=[1, 1, 1, 1], channels=[4, 8, 16, 32]),
            out_indices=(0, 1, 2, 3),
            gap_before_output=False,
        ),
        input_size=64,
        downsample_raito=32,
        mask_ratio=0.5,
        enc_dec_norm_cfg=dict(type='SparseLN2d', eps=1e-6),
        enc_dec_norm_dim=32,
        neck=dict(
            type='SparKLightDecoder',
            feature_dim=32,
            upsample_ratio=32,
            mid_channels=0,
            last_act=False,
            norm_cfg=dict(type='BN'),
        ),
        head=dict(type='SparKPretrainHead', loss=_L2),
    )


def large_view() -> dict:
    return dict(inputs=views(2, pixels=64)[0], data_samples=None)


def half_masked() -> dict:
    """Two views, and masks of 8 of the 16 patches."""
    generator = torch.Generator().manual_seed(2)
    masks = [torch.randperm(16, generator=generator) < 8 for _ in range(2)]
    samples = [DataSample(mask=mask.reshape(4, 4)) for mask in masks]
    return dict(inputs=views(2, pixels=64), data_samples=samples)


#: Name -> config of the pretext model and a batch for it.
MASKED = {
    'EVA': (eva, large_view),
    'MILAN': (milan, large_view),
    'MFF': (mff, large_view),
    'MixMIM': (mixmim, large_view),
    'iTPN': (itpn, large_view),
    'BEiT': (beit, half_masked),
    'CAE': (cae, half_masked),
    'SparK': (spark, large_view),
}
