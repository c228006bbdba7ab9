"""Write a backbone under the names of a whole downstream model.

Use it to start a detector or segmentor with ``load_from`` instead of
``init_cfg``. The bilevel config's ``backbone_map`` says which tensor belongs
where; in a C4 detector the last stage goes to the shared head. Example::

    python tools/convert_backbone.py \\
        configs/bissl/bissl-simclr_r18_b64-10x4-30t_cifar10-48px.py --task bccd-c4 \\
        work_dirs/bissl/backbone.pth detector_init.pth

then, in stock mmdet, ``load_from = 'detector_init.pth'``.

``--bare`` leaves the prefix ``backbone.`` out of the names. Backbones that read
``init_cfg`` by code of their own need that: mmseg's ``VisionTransformer``, ``BEiT``,
``MAE`` and ``PIDNet``, and mmdet's ``PyramidVisionTransformer``. Set
``init_cfg=dict(type='Pretrained', checkpoint=OUT)`` there, without a prefix.
"""

import argparse
import os.path as osp

from bissl_mm.command_line import add_common_arguments, run_tool
from bissl_mm.utils.console import quiet_console


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_arguments(parser)
    parser.add_argument(
        'checkpoint',
        help='backbone.pth of the bilevel stage, or any pretraining '
        'checkpoint that fits the pretext model',
    )
    parser.add_argument(
        'output', help='file to write, for load_from; another one than the checkpoint'
    )
    parser.add_argument(
        '--bare',
        action='store_true',
        help="write the backbone's own names, for an init_cfg without a prefix",
    )
    return parser.parse_args(argv)


def bare(state: dict) -> dict:
    """The backbone's own tensors under its own names."""
    return {
        name.removeprefix('backbone.'): tensor
        for name, tensor in state.items()
        if name.startswith('backbone.')
    }


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    quiet_console()
    from mmengine.registry import MODELS, init_default_scope
    from mmengine.utils import mkdir_or_exist

    from bissl_mm.engine.launch import load_config
    from bissl_mm.models.bissl_model import unwrap
    from bissl_mm.models.lora import merged
    from bissl_mm.models.weights.pretrained import load_pretrained
    from bissl_mm.models.weights.provenance import origin
    from bissl_mm.utils.checkpoint import (
        load_checkpoint,
        save_atomically,
        use_safe_loading,
    )
    from bissl_mm.utils.folders import checked_output

    args.output = checked_output('OUT', args.output, args.checkpoint)
    cfg = load_config(args)
    use_safe_loading()
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    model = unwrap(MODELS.build(cfg.model))
    load_pretrained(model.pretext, args.checkpoint, required=model.pretrained_names)
    model.copy_backbone_to_upper()
    whole = merged(model.downstream, model.downstream.state_dict())
    state = {upper: whole[upper] for _, upper in model.pairs.all if upper in whole}
    if args.bare:
        state = bare(state)
    purpose = 'init_cfg without a prefix' if args.bare else 'load_from'
    mkdir_or_exist(osp.dirname(osp.abspath(args.output)))
    save_atomically(
        dict(
            state_dict=state,
            meta=dict(
                description=f'backbone for {purpose}',
                source=osp.basename(args.checkpoint),
                # The training that loads the file compares its own with it.
                backbone=origin(load_checkpoint(args.checkpoint)),
            ),
        ),
        args.output,
    )
    print(
        f'{len(state)} backbone tensors of {len(whole)} tensors of '
        f"{type(model.downstream).__name__} written to '{args.output}'. "
        'The other tensors start from their initialisation.'
    )


if __name__ == '__main__':
    run_tool(main)
