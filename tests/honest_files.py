"""One network in all kinds of files that people have, with the same weights.

``FILES`` maps the name of a kind to a function of a path and the state dict.
"""

import argparse
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def under(prefix: str, state: dict) -> dict:
    return {prefix + k: v for k, v in state.items()}


def as_type(state: dict, dtype: torch.dtype) -> dict:
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}


def numpy_names(path: Path, state: dict, core: bytes) -> None:
    """A file with the history of mmengine's logs, by numpy's old or new names."""
    content = dict(
        state_dict=state,
        optimizer=dict(state={}),
        message_hub=dict(
            log_scalars=dict(loss=HistoryBuffer([1.0], [1])),
            runtime_info=dict(best=np.float64(0.5), counts=np.arange(3)),
        ),
    )
    other = path.with_suffix('.other')
    torch.save(content, other)
    with zipfile.ZipFile(other) as old, zipfile.ZipFile(path, 'w') as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename.endswith('data.pkl'):
                data = data.replace(b'numpy._core', b'numpy.core')
                data = data.replace(b'numpy.core', core)
                assert core in data
            new.writestr(info.filename, data)
    other.unlink()


def safetensors(path: Path, state: dict) -> None:
    from safetensors.torch import save_file

    save_file(state, path)


def saved(content: Callable[[dict], object], **options) -> Callable:
    return lambda path, state: torch.save(content(state), path, **options)


FILES: dict[str, Callable] = {
    'plain': saved(lambda s: s),
    'numpy 1': lambda path, s: numpy_names(path, s, b'numpy.core'),
    'numpy 2': lambda path, s: numpy_names(path, s, b'numpy._core'),
    'before torch 1.6': saved(
        lambda s: dict(state_dict=s), _use_new_zipfile_serialization=False
    ),
    'pickle protocol 4': saved(lambda s: dict(state_dict=s), pickle_protocol=4),
    'fp16': saved(lambda s: as_type(s, torch.float16)),
    'bf16': saved(lambda s: as_type(s, torch.bfloat16)),
    'safetensors': safetensors,
    'parameters': saved(
        lambda s: {
            k: torch.nn.Parameter(v) if v.is_floating_point() else v
            for k, v in s.items()
        }
    ),
    'OrderedDict': saved(lambda s: dict(model=OrderedDict(s), epoch=1)),
    'arguments': saved(
        lambda s: dict(
            model=s,
            args=argparse.Namespace(
                lr=0.1,
                output_dir=Path('runs'),
                device=torch.device('cpu'),
                betas=(0.9, 0.95),
                names=frozenset({'a'}),
            ),
            seen=defaultdict(int, a=1),
        )
    ),
    'DDP': saved(lambda s: dict(state_dict=under('module.', s))),
    'compiled': saved(lambda s: under('_orig_mod.', s)),
    'compiled DDP': saved(lambda s: dict(model=under('_orig_mod.module.', s))),
    'averaged': saved(
        lambda s: dict(state_dict=under('module.', s), n_averaged=torch.tensor(3))
    ),
    **{
        key: saved(
            lambda s, key=key: {
                key: s,
                'epoch': 3,
                'optimizer': dict(state={0: dict(exp_avg=torch.ones(2))}),
            }
        )
        for key in (
            'module',
            'net',
            'encoder',
            'backbone',
            'model_state',
            'model',
            'state_dict',
            'network',
            'my_weights',
        )
    },
    'backbone and head': saved(
        lambda s: dict(backbone=s, head=dict(weight=torch.ones(2)))
    ),
    'student and teacher': saved(
        lambda s: dict(
            student=under('backbone.', {k: v + 1 for k, v in s.items()}),
            teacher=under('backbone.', s),
        )
    ),
    'average beside it': saved(
        lambda s: dict(net=s, ema={k: v + 1 for k, v in s.items()})
    ),
    'two levels down': saved(lambda s: dict(checkpoint=dict(state_dict=s))),
    'two unknown levels': saved(lambda s: dict(run=dict(result=s), step=1)),
}
