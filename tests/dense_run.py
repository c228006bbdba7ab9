"""The shipped dense configs, scaled down, on scenes of digits."""

from pathlib import Path

import pytest
from mmengine.config import Config
from task_configs import shipped

CONFIG = 'bissl/bissl-simclr_r18_b64-10x4-10t_cifar10-48px_published'
DETECTORS = ('bccd-c4', 'bccd-retinanet')
SEGMENTORS = ('camvid-fcn16', 'camvid-deeplabv3')
PARTS = dict(train=6, val=2, test=2)

NARROW = {
    'model.pretext.backbone.stem_channels': 4,
    'model.pretext.backbone.base_channels': 4,
    'model.pretext.neck.in_channels': 32,
    'model.downstream.backbone.stem_channels': 4,
    'model.downstream.backbone.base_channels': 4,
}
OPTIONS = {
    'model.pretrained': None,
    'model.pretext.neck.hid_channels': 16,
    'model.pretext.neck.out_channels': 8,
    'train_cfg.num_alternations': 2,
    'train_cfg.num_lower_steps': 2,
    'train_cfg.num_upper_steps': 2,
    'train_cfg.head_warmup.num_epochs': 1,
    'train_cfg.val_interval': 1,
    'train_cfg.pretext_dataloader.batch_size': 4,
    'train_dataloader.batch_size': 2,
    'optim_wrapper.hypergradient.solver.max_iters': 2,
    'param_scheduler.lower': [],
    'default_hooks.checkpoint.interval': 2,
    'log_level': 'WARNING',
}
MODEL_OPTIONS = {
    # mmdet's shared head has one width only.
    'bccd-c4': {
        'model.downstream.rpn_head.feat_channels': 8,
        'model.downstream.roi_head.bbox_roi_extractor.roi_layer.output_size': 4,
        'model.downstream.roi_head.bbox_head.roi_feat_size': 2,
        'model.downstream.roi_head.bbox_head.num_classes': 10,
        'model.downstream.train_cfg.rcnn.sampler.num': 8,
        'model.downstream.train_cfg.rpn_proposal.max_per_img': 20,
        'model.downstream.test_cfg.rpn.max_per_img': 10,
    },
    'bccd-retinanet': {
        **NARROW,
        'model.downstream.neck.in_channels': [4, 8, 16, 32],
        'model.downstream.neck.out_channels': 8,
        'model.downstream.bbox_head.in_channels': 8,
        'model.downstream.bbox_head.feat_channels': 8,
        'model.downstream.bbox_head.num_classes': 10,
    },
    'camvid-fcn16': {
        **NARROW,
        'model.downstream.decode_head.in_channels': 32,
        'model.downstream.decode_head.channels': 8,
        'model.downstream.decode_head.num_classes': 11,
    },
    'camvid-deeplabv3': {
        **NARROW,
        'model.downstream.decode_head.in_channels': 32,
        'model.downstream.decode_head.channels': 8,
        'model.downstream.decode_head.num_classes': 11,
    },
}


def make_scenes(root: Path) -> None:
    """A few scenes in COCO and in mask format, and digits for the pretext."""
    from bissl_mm.analysis.demo import scenes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, 'NUM_SCENES', PARTS)
        scenes.write_scenes(str(root))


def dense_config(name: str, data: Path, work_dir: Path, **options) -> Config:
    """The config; ``options`` are dotted keys with ``__`` for the dots."""
    cfg = shipped(CONFIG, name)
    changes = {k.replace('__', '.'): v for k, v in options.items()}
    cfg.merge_from_dict({**OPTIONS, **MODEL_OPTIONS[name], **changes})
    cfg.train_cfg.pretext_dataloader.dataset.update(
        data_root=str(data / 'pretext'), data_prefix=''
    )
    for part in PARTS:
        loader = cfg[f'{part}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        dataset = loader.dataset
        dataset.data_root = str(data)
        if name in DETECTORS:
            dataset.update(
                ann_file=f'boxes_{part}.json',
                data_prefix=dict(img=f'scenes/{part}/'),
                metainfo=dict(classes=tuple('0123456789')),
            )
        else:
            dataset.update(
                data_prefix=dict(
                    img_path=f'scenes/{part}', seg_map_path=f'masks/{part}'
                ),
                img_suffix='.png',
                metainfo=dict(classes=('background', *'0123456789')),
            )
        for step in dataset.pipeline:
            if 'scale' in step:
                step.scale = (56, 56) if step.type == 'RandomResize' else (48, 48)
        if name in DETECTORS and part != 'train':
            cfg[f'{part}_evaluator'].ann_file = str(data / f'boxes_{part}.json')
    loader = cfg.train_cfg.pretext_dataloader
    loader.update(num_workers=0, persistent_workers=False)
    cfg.work_dir = str(work_dir)
    return cfg
