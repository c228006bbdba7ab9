"""The comparison of run.py as a file of tools/experiment.py."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

import runs
from arms import StageSettings
from packs import PRETEXTS, ROOT, Pack, read

from bissl_mm.analysis.runs.fine_tune import Setting
from bissl_mm.analysis.runs.workers import environment
from bissl_mm.utils.files import atomic_file

#: Arms of run.py -> those of an experiment file.
ARMS = {
    'FT': {},
    'further pretraining': dict(like='Further pretraining'),
    'training twice': dict(like='Training twice'),
    'BiSSL+FT': {},
}
#: What runs read. Other keys of a merged config are parts that these were made of.
READ = (
    'model',
    'train_cfg',
    'optim_wrapper',
    'param_scheduler',
    *(f'{part}_dataloader' for part in ('train', 'val', 'test')),
    *(f'{part}_evaluator' for part in ('val', 'test')),
)
#: Variables of the configs. The file has their values in the place of them.
UNSET = dict(
    BISSL_PRETEXT_DIR='unset', BISSL_DOWNSTREAM_DIR='unset', BISSL_NUM_CLASSES='0'
)


def write_experiment(
    path: Path,
    pack: Pack,
    pretext: str,
    epochs: int,
    settings: StageSettings,
    stages: int,
    search: Sequence[Setting],
    seeds: Sequence[int],
) -> None:
    """Write the file.

    Args:
        path (Path): The file. Lists of images, if the set needs some, go beside it.
        pack (Pack): A set of class folders.
        pretext (str): Folder of the unlabeled images.
        epochs (int): Of pretraining.
        settings (StageSettings): Of the stages.
        stages (int): Of each arm.
        search (Sequence[Setting]): Points of the search of fine-tuning.
        seeds (Sequence[int]): Of the fine-tunings of a stage, from 1.
    """
    lists = path.resolve().with_name(f'{path.stem}_lists')
    names = dict(
        pretext=PRETEXTS[pack.pretext],
        bilevel=pack.stage_config,
        fine_tune=pack.fine_tune_config,
    )
    own = dict(
        pretext=runs.pretrain_config(pretext, epochs, pack.pretext),
        bilevel=runs.stage_config('v', settings, pack, 0, pretext, lists),
        fine_tune=runs.fine_tune_config('v', pack, 0, lists),
    )
    with environment(UNSET):
        shipped = {
            kind: read(name, None if kind == 'pretext' else pack.task)
            for kind, name in names.items()
        }
    options = {
        kind: {
            place: value
            for place, value in changes(shipped[kind].to_dict(), cfg.to_dict())
            if place.partition('.')[0] in READ
        }
        for kind, cfg in own.items()
    }
    values = dict(
        title=f'The comparison of benchmarks/evidence/run.py on {pack.root}',
        settings=dict(
            **{kind: str(ROOT / name) for kind, name in names.items()}, options=options
        ),
        tasks=[pack.task],
        arms=ARMS,
        search=dict(
            points=[(point.lr, point.weight_decay) for point in search],
            stages=min(pack.search_units, stages),
        ),
        seeds=len(seeds) * stages,
        stages=stages,
    )
    with atomic_file(path) as file:
        file.write('# Written by benchmarks/evidence/run.py --experiment.\n')
        for key, value in values.items():
            file.write(f'{key} = {pformat(value, width=86, sort_dicts=False)}\n')


def changes(shipped: Any, own: Any, place: str = '') -> Iterator[tuple[str, Any]]:
    """The values of a config that differ from those of another one, by dotted key.

    Args:
        shipped (dict or list): The other one. It has no key that ``own`` lacks.
        own (dict or list): The config.
        place (str): Its dotted key.
    """
    if isinstance(own, dict) and isinstance(shipped, dict):
        gone = shipped.keys() - own.keys()
        assert not gone, f'{place}: options cannot remove {gone}'
        pairs = own.items()
    elif isinstance(own, list) and isinstance(shipped, list):
        if len(own) != len(shipped):
            yield place, own
            return
        pairs = enumerate(own)
    else:
        if own != shipped:
            yield place, own
        return
    for key, value in pairs:
        inner = f'{place}.{key}' if place else str(key)
        if isinstance(shipped, dict) and key not in shipped:
            yield inner, value
        else:
            yield from changes(shipped[key], value, inner)
