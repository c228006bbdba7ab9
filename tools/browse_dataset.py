"""Save pictures of what each level sees after its augmentations.

There is one file per sample. The views of a pretext sample are side by side.
Boxes and masks are drawn. The samples are those of the first pass of training.
"""

import argparse
import os.path as osp

import numpy as np

from bissl_mm.command_line import add_common_arguments, run_tool
from bissl_mm.utils.check import check_positive_int
from bissl_mm.utils.console import quiet_console

#: Colours of class ids. 255 is ignored in training and white here.
COLOURS = np.random.default_rng(1).integers(0, 256, (256, 3), dtype=np.uint8)
COLOURS[255] = 255


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add_common_arguments(parser)
    parser.add_argument('--level', choices=['lower', 'upper', 'both'], default='both')
    parser.add_argument('--number', type=int, default=20, help='samples per level')
    parser.add_argument('--output-dir', help='default: WORK-DIR/browse_dataset')
    args = parser.parse_args(argv)
    check_positive_int('tools/browse_dataset.py', '--number', args.number)
    return args


def picture(inputs) -> np.ndarray:
    """The views of a sample side by side, ``(H, W, 3)`` uint8."""
    views = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    arrays = [v.numpy().transpose(1, 2, 0) for v in views]
    height = max(a.shape[0] for a in arrays)
    padded = [
        np.pad(a, ((0, height - a.shape[0]), (0, 4), (0, 0)), constant_values=255)
        for a in arrays
    ]
    joined = np.concatenate(padded, axis=1)[:, :-4]
    if joined.shape[2] == 1:
        joined = joined.repeat(3, axis=2)
    return joined.astype(np.uint8)


def with_labels(image: np.ndarray, data_sample) -> np.ndarray:
    """The picture with its boxes drawn, or beside its mask in colours."""
    import mmcv

    if 'gt_instances' in (data_sample or ()):
        return mmcv.imshow_bboxes(
            image.copy(), corners(data_sample.gt_instances.bboxes), show=False
        )
    if 'gt_sem_seg' in (data_sample or ()):
        mask = data_sample.gt_sem_seg.data[0].numpy()
        return np.concatenate([image, COLOURS[mask]], axis=1)
    return image


def corners(boxes) -> np.ndarray:
    """Corner coordinates ``(N, 4)``, from an array or mmdet's box class."""
    return getattr(boxes, 'tensor', boxes).numpy()


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    quiet_console()
    import mmcv
    from mmengine.registry import init_default_scope
    from mmengine.utils import ProgressBar, mkdir_or_exist

    from bissl_mm.datasets import LevelStream
    from bissl_mm.datasets.folders import check_data_folders
    from bissl_mm.engine.checks.data_look import check_data, console_logger
    from bissl_mm.engine.launch import load_config

    cfg = load_config(args)
    parts = dict(lower=['pretext'], upper=['train']).get(
        args.level, ['pretext', 'train']
    )
    if 'pretext_dataloader' not in cfg.train_cfg:
        # A config of stage 1. Its training data are unlabeled images.
        parts = ['train']
    check_data_folders(cfg, parts)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    if cfg.get('custom_imports') is None:
        import bissl_mm.models  # noqa: F401
    check_data(cfg, parts, console_logger())
    dataloaders = dict(upper=cfg.train_dataloader)
    if 'pretext_dataloader' in cfg.train_cfg:
        dataloaders['lower'] = cfg.train_cfg.pretext_dataloader
    elif args.level == 'lower':
        dataloaders = dict(lower=cfg.train_dataloader)
    folder = args.output_dir or osp.join(cfg.work_dir, 'browse_dataset')
    for level, dataloader in sorted(dataloaders.items()):
        if args.level not in (level, 'both'):
            continue
        stream = LevelStream({**dataloader, 'batch_size': 1}, level)
        stream.start(cfg.get('randomness', {}).get('seed') or 0)
        number = min(args.number, len(stream))
        mkdir_or_exist(osp.join(folder, level))
        bar = ProgressBar(number)
        for i in range(number):
            (key,) = stream.sampler.keys(i)
            sample = stream.samples[key]
            data_sample = sample.get('data_samples')
            label = getattr(data_sample, 'gt_label', None)
            tag = '' if label is None else f'_label{int(label)}'
            mmcv.imwrite(
                with_labels(picture(sample['inputs']), data_sample),
                osp.join(folder, level, f'{i:04}_sample{key[1]}{tag}.png'),
            )
            bar.update()
        print(f"\n{number} {level} samples saved to '{osp.join(folder, level)}'")


if __name__ == '__main__':
    run_tool(main)
