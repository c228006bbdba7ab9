"""Write a public pretraining checkpoint under mmpretrain's names.

``init_cfg=dict(type='Pretrained', ...)`` reads those names only. The names in
the file tell its layout. With a config, the result is compared with that
model's backbone before anything is written. Example::

    python tools/convert_checkpoint.py moco_v2_800ep.pth.tar \\
        work_dirs/moco_r50_public.pth \\
        --config configs/fine_tune/r50_96px.py

then, in any config, ``init_cfg=dict(type='Pretrained',
checkpoint='work_dirs/moco_r50_public.pth', prefix='backbone.')``.
"""

import argparse
import os.path as osp
from typing import Any

from bissl_mm.command_line import add_cfg_options, add_verbose, run_tool
from bissl_mm.utils.console import quiet_console

# A classifier may have a last norm that no pretraining trains.
OWN_NORMS = ('backbone.ln1.', 'backbone.ln2.')


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', help='checkpoint as it was released')
    parser.add_argument('output', help='file to write, another one than the source')
    parser.add_argument(
        '--config',
        help='pretext, bilevel or classification config whose '
        'backbone the result must fit',
    )
    add_cfg_options(parser)
    add_verbose(parser)
    parser.set_defaults(launcher='none', local_rank=0, work_dir=None)
    return parser.parse_args(argv)


def compare(args: argparse.Namespace, state: dict, checkpoint: Any) -> list[str]:
    """Lines that say how the converted tensors fit the config's model, and where
    the checkpoint comes from another one."""
    from mmengine.registry import MODELS, init_default_scope

    from bissl_mm.engine.launch import load_config
    from bissl_mm.models.bissl_model import BiSSLModel
    from bissl_mm.models.weights.pretrained import backbone_report
    from bissl_mm.models.weights.provenance import origin_differences

    cfg = load_config(args)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    model = MODELS.build(cfg.model)
    if isinstance(model, BiSSLModel):
        required = model.pretrained_names
        model = model.pretext
    else:
        required = [
            n
            for n in model.state_dict()
            if n.startswith('backbone.') and (n in state or not n.startswith(OWN_NORMS))
        ]
    return [
        backbone_report(model, state, required, where=repr(args.source)),
        *origin_differences(checkpoint, model, args.source),
    ]


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    quiet_console()
    from mmengine.utils import mkdir_or_exist

    from bissl_mm.models.weights.provenance import origin
    from bissl_mm.models.weights.public_weights import to_mmpretrain
    from bissl_mm.utils.checkpoint import (
        load_checkpoint,
        save_atomically,
        state_dict_of,
    )
    from bissl_mm.utils.folders import checked_output

    args.output = checked_output('OUT', args.output, args.source)
    checkpoint = load_checkpoint(args.source)
    given = state_dict_of(checkpoint, args.source)
    state, layout = to_mmpretrain(given)
    kept = {id(value) for value in state.values()}
    dropped = [name for name, value in given.items() if id(value) not in kept]
    first = ', '.join(dropped[:5]) + (', ...' if len(dropped) > 5 else '')
    print(f'Layout: {layout}.')
    print(
        f'{len(given)} tensors read, {len(state)} converted, '
        f'{len(dropped)} dropped{": " * bool(dropped)}{first}'
    )
    before = origin(checkpoint)
    unknown = 'not in the file, so set mean and std as its publisher does'
    print(f'Pixels: {before.get("pixels", unknown)}.')
    if args.config:
        print(*compare(args, state, checkpoint), sep='\n')
    mkdir_or_exist(osp.dirname(osp.abspath(args.output)))
    save_atomically(
        dict(
            state_dict=state,
            meta=dict(
                description=f"mmpretrain's names; was: {layout}",
                source=osp.basename(args.source),
                # A later stage compares its own with it.
                backbone=before,
            ),
        ),
        args.output,
    )
    print(f"Written to '{args.output}'.")


if __name__ == '__main__':
    run_tool(main)
