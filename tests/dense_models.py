"""Small instances of the shipped dense models, in double precision."""

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData, PixelData
from small_models import simclr_cfg

import bissl_mm.models  # noqa: F401  (registers)

BASE = ROOT / 'configs/_base_/models'
C4_RULES = [
    ('backbone.layer4', 'roi_head.shared_head.layer4'),
    ('backbone', 'backbone'),
]


def small(name: str, changes: dict) -> dict:
    cfg = Config.fromfile(BASE / f'{name}.py')
    cfg.merge_from_dict({f'downstream.{k}': v for k, v in changes.items()})
    return cfg.downstream


def detector_cfg() -> dict:
    return small(
        'faster-rcnn_c4',
        {
            'backbone.depth': 18,
            'rpn_head.in_channels': 256,
            'rpn_head.feat_channels': 8,
            'roi_head.shared_head.depth': 18,
            'roi_head.bbox_roi_extractor.out_channels': 256,
            'roi_head.bbox_roi_extractor.roi_layer.output_size': 4,
            'roi_head.bbox_head.roi_feat_size': 2,
            'roi_head.bbox_head.in_channels': 512,
            'roi_head.bbox_head.num_classes': 3,
            'train_cfg.rcnn.sampler.num': 8,
            'train_cfg.rpn.sampler.num': 16,
        },
    )


def segmentor_cfg() -> dict:
    return small(
        'fcn16',
        {
            'backbone.depth': 18,
            'backbone.stem_channels': 4,
            'backbone.base_channels': 4,
            'decode_head.in_channels': 32,
            'decode_head.channels': 8,
            'decode_head.num_classes': 3,
        },
    )


def wide_simclr_cfg() -> dict:
    """SimCLR with the width of mmdet's shared head, which cannot be changed."""
    cfg = simclr_cfg()
    cfg['backbone'] = dict(type='ResNet', depth=18, norm_cfg=dict(type='BN'))
    cfg['neck']['in_channels'] = 512
    return cfg


def with_norm(cfg: dict, norm: str) -> dict:
    """The config with this kind of batch norm in every place."""
    cfg = ConfigDict(cfg)
    for key, value in cfg.items():
        if isinstance(value, dict):
            cfg[key] = with_norm(value, norm)
    if cfg.get('type') in ('BN', 'BN1d'):
        cfg.type = norm
    return cfg


def build(downstream, pretext, **kwargs):
    init_default_scope('bissl_mm')
    torch.manual_seed(0)
    model = MODELS.build(
        dict(type='BiSSLModel', pretext=pretext, downstream=downstream, **kwargs)
    )
    model.init_weights()
    model.double().train()
    with torch.no_grad():
        # Move away from the initialisation, where ReLU inputs are at the kink,
        # and make the two backbones different.
        for param in model.parameters():
            param.add_(0.02 * torch.randn_like(param))
    return model


def detection_batch(boxes=((8.0, 8.0, 40.0, 36.0), (20.0, 4.0, 60.0, 44.0))):
    from mmdet.structures import DetDataSample

    sample = DetDataSample(
        metainfo=dict(
            img_shape=(48, 64),
            pad_shape=(48, 64),
            ori_shape=(48, 64),
            batch_input_shape=(48, 64),
            scale_factor=(1.0, 1.0),
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        labels=torch.arange(len(boxes)) % 3,
    )
    generator = torch.Generator().manual_seed(2)
    return dict(
        inputs=torch.randn(2, 3, 48, 64, generator=generator, dtype=torch.float64),
        data_samples=[sample, sample.clone()],
    )


def segmentation_batch(labels=3):
    from mmseg.structures import SegDataSample

    generator = torch.Generator().manual_seed(2)
    samples = []
    for _ in range(2):
        sample = SegDataSample()
        mask = torch.randint(0, labels, (1, 48, 64), generator=generator)
        mask[:, :4] = 255
        sample.gt_sem_seg = PixelData(data=mask)
        samples.append(sample)
    return dict(
        inputs=torch.randn(2, 3, 48, 64, generator=generator, dtype=torch.float64),
        data_samples=samples,
    )


def fix_proposals(detector, monkeypatch):
    """Make proposals independent of the weights.

    The choice of regions by the RPN is not differentiable. In training the
    regions are constants of a step. For finite differences they must be
    constants, too.
    """
    rpn_loss = detector.rpn_head.loss
    boxes = torch.tensor(
        [
            [6.0, 6.0, 42.0, 38.0],
            [0.0, 0.0, 20.0, 20.0],
            [22.0, 6.0, 58.0, 42.0],
            [40.0, 20.0, 63.0, 47.0],
        ],
        dtype=torch.float64,
    )

    def loss_and_predict(x, data_samples, proposal_cfg=None):
        proposals = [
            InstanceData(
                bboxes=boxes.clone(),
                labels=torch.zeros(len(boxes)).long(),
                scores=torch.ones(len(boxes)).double(),
            )
            for _ in data_samples
        ]
        return rpn_loss(x, data_samples), proposals

    monkeypatch.setattr(detector.rpn_head, 'loss_and_predict', loss_and_predict)
    loss_cls = detector.rpn_head.loss_cls
    forward = loss_cls.forward

    def in_double(*args, **kwargs):
        # mmdet casts the logits to single precision.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, 'float', torch.Tensor.double)
            return forward(*args, **kwargs)

    monkeypatch.setattr(loss_cls, 'forward', in_double)
