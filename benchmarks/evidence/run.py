"""Does the bilevel stage pay on your own images? Compare it with its controls.

A small network is pretrained once on the unlabeled images at 32 px. Then four arms
are compared: fine-tuning (FT), further pretraining with the stage's lower steps,
training twice with its upper steps, and BiSSL. Each arm with a stage has three
stages, and each stage gets five fine-tunings. The search is the same for all arms.
With 500 labeled and 10,000 unlabeled images this takes less than an hour on two
cores. After an interruption the same command continues::

    export BISSL_PRETEXT_DIR=path/to/images
    export BISSL_DOWNSTREAM_DIR=path/with/train/val/test BISSL_NUM_CLASSES=17
    python benchmarks/evidence/run.py

``--experiment own.py`` writes the same comparison as an experiment file, for several
machines, other arms, and a report with pictures::

    python tools/experiment.py run own.py

The layout of the labeled set tells its kind; --task overrides it:

classification: train/<class>, val/<class>, test/<class>, or <class> alone;
    accuracy.
detection: files in COCO's format, for example annotations/instances_train2017.json,
    annotations/train.json or train/_annotations.coco.json. The images may be in any
    folder that has their file names. A small Faster R-CNN C4 sees images within
    128 x 96. The metric is AP at an IoU of 0.5 (AP50); at this size stricter ones say
    little.
segmentation: folders of images and of masks, for example img_dir/train and
    ann_dir/train. Pixels are class numbers from 0, or 255. A small FCN sees images
    and masks of 12,288 pixels. The metric is mIoU at that size.

A missing split is taken from the others, and the output says so. Without a test split
the validation split is used for testing, and a seeded fifth of the training split is
used for choosing. For boxes and masks at most 200 images are used for choosing.
Fine-tuning is searched in the same way for all arms: 8 settings on three stages in
classification, and 4 learning rates on the first stage alone for boxes and masks,
whose runs take longer.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))

import tables  # noqa: E402
from arms import StageSettings  # noqa: E402
from campaign import Campaign  # noqa: E402
from experiment_file import write_experiment  # noqa: E402
from kinds import KINDS, own_pack  # noqa: E402
from packs import Pack, put_pretext, read  # noqa: E402
from store import Task, run  # noqa: E402
from study_tasks import SEARCH, SEEDS  # noqa: E402

from bissl_mm.analysis.permutation_test import permutation_test  # noqa: E402
from bissl_mm.analysis.runs.workers import default_number  # noqa: E402
from bissl_mm.command_line import run_tool  # noqa: E402
from bissl_mm.datasets.look import PLACES  # noqa: E402
from bissl_mm.engine.checks.data_look import check_data, console_logger  # noqa: E402
from bissl_mm.utils.errors import ValueRefusal  # noqa: E402

NAMES = dict(
    FT='FT', further='further pretraining', twice='training twice', v='BiSSL+FT'
)
NAME = 'own'
VARIABLES = ('BISSL_PRETEXT_DIR', 'BISSL_DOWNSTREAM_DIR')


class OwnPack(Campaign):
    """Three stages of each arm from one pretraining."""

    arms_of_tables = tuple(NAMES)

    def _read_packs(self, args: argparse.Namespace) -> None:
        self.epochs = args.epochs
        self.pretext = os.environ[VARIABLES[0]]
        self.pack = args.pack
        self.packs = {NAME: self.pack}
        self.settings = StageSettings(
            **{**self.pack.stage, 'num_alternations': args.alternations}
        )

    def _pretraining(
        self, unit: int, epochs: int | None = None, pretext: str = 'simclr'
    ) -> Task:
        return super()._pretraining(0, epochs, pretext)

    def own(self) -> Iterator[Task]:
        """Everything, in the order of need."""
        yield self._pretraining(0)
        yield from self._table(NAME, self.settings, self.arms_of_tables)


def parse_args(argv: list[str] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--task',
        choices=[*KINDS],
        help='kind of the labeled set; by default its layout tells',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='by default one for these folders and settings in work_dirs',
    )
    parser.add_argument('--epochs', type=int, default=60, help='of pretraining')
    parser.add_argument('--alternations', type=int, default=30, help='of a stage')
    parser.add_argument('--stages', type=int, default=3)
    parser.add_argument(
        '--workers',
        type=int,
        default=default_number(),
        help='runs side by side, in one thread each',
    )
    parser.add_argument(
        '--experiment',
        type=Path,
        metavar='FILE',
        help='write the same comparison as a file of tools/experiment.py, and run '
        'nothing; of classification',
    )
    args = parser.parse_args(argv)
    if args.epochs < 2 or min(args.alternations, args.stages) < 1:
        parser.error(
            '--epochs has to be 2 or more, --alternations and --stages 1 or more'
        )
    return args


def read_pack(task: str | None):
    """The labeled set that the variables name."""
    for name in VARIABLES:
        if not os.environ.get(name):
            raise ValueRefusal(
                f'The environment variable {name} is not set. '
                f'Type export {name}=FOLDER.'
            )
    number = os.environ.get('BISSL_NUM_CLASSES')
    if number is not None and not (number.isdecimal() and int(number)):
        raise ValueRefusal(
            f'BISSL_NUM_CLASSES is {number!r}. Type export BISSL_NUM_CLASSES=NUMBER.'
        )
    return own_pack(
        NAME, os.environ[VARIABLES[1]], task, int(number) if number else None
    )


def open_work_dir(args: argparse.Namespace) -> Path:
    """The folder of these runs; one of other runs is refused."""
    facts = {name: str(Path(os.environ[name]).resolve()) for name in VARIABLES}
    facts.update(
        task=type(args.pack).__name__,
        epochs=args.epochs,
        alternations=args.alternations,
    )
    text = json.dumps(facts, indent=1, sort_keys=True)
    folder = args.work_dir or Path('work_dirs') / (
        f'evidence-{Path(facts[VARIABLES[1]]).name}-'
        + hashlib.sha256(text.encode()).hexdigest()[:8]
    )
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / 'runs_of.json'
    if file.exists() and file.read_text() != text:
        raise ValueRefusal(
            f'{folder} has runs of other folders or settings: '
            f'{" ".join(file.read_text().split())}. Type --work-dir with '
            'another folder.'
        )
    file.write_text(text)
    return folder


def look(pack, lists: Path) -> None:
    """Everything that the runs will meet, once."""
    for note in pack.notes:
        print(note)
    for name, places in (
        (pack.stage_config, PLACES),
        (pack.fine_tune_config, ('test',)),
    ):
        cfg = read(name, pack.task)
        pack.put(cfg, 0, lists)
        if 'pretext_dataloader' in cfg.train_cfg:
            put_pretext(cfg.train_cfg.pretext_dataloader, os.environ[VARIABLES[0]])
        check_data(cfg, places, console_logger())


def report(campaign: OwnPack) -> None:
    """Print a line per arm, and how far BiSSL is ahead of the others."""
    runs = tables.final_runs(campaign.store.records)[NAME]
    ours = sum(runs['v'].values(), [])
    title = f'test {campaign.pack.metric_name}'
    print(f'\n{"":20} {title:13}   means of stages')
    for arm, name in NAMES.items():
        values = sum(runs[arm].values(), [])
        means = ', '.join(f'{np.mean(v):.1f}' for v in runs[arm].values())
        line = (
            f'{name:20} {np.mean(values):5.1f} +- '
            f'{np.std(values, ddof=1):.1f}    {means}'
        )
        if arm != 'v':
            found = permutation_test(values, ours)
            line += (
                f'   BiSSL+FT {np.mean(ours) - np.mean(values):+.1f}, '
                f'p = {found.p_value:.2g}'
            )
        print(line)
    print(
        'p values: permutation tests over fine-tunings. They speak of this '
        'pretraining\nalone, and take the fine-tunings of one stage for '
        'independent.'
    )


def write_file(args: argparse.Namespace) -> None:
    """The comparison as an experiment file."""
    if args.pack.task != Pack.task:
        raise ValueRefusal(
            f'--experiment writes comparisons of classification, and '
            f'{args.pack.root} is a set of another kind. Leave the option out.'
        )
    write_experiment(
        args.experiment,
        args.pack,
        os.environ[VARIABLES[0]],
        args.epochs,
        StageSettings(**{**args.pack.stage, 'num_alternations': args.alternations}),
        args.stages,
        args.pack.search or SEARCH,
        SEEDS,
    )
    print(f'python tools/experiment.py run {args.experiment}')


def main(argv: list[str] = None) -> None:
    args = parse_args(argv)
    args.units = list(range(args.stages))
    begin = time.time()
    for name in VARIABLES:
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).resolve())
    args.pack = pack = read_pack(args.task)
    if args.experiment:
        write_file(args)
        return
    args.work_dir = open_work_dir(args)
    args.runs, args.state = args.work_dir / 'runs.jsonl', args.work_dir
    look(pack, args.work_dir / 'lists')
    campaign = OwnPack(args)
    stages = len(NAMES) - 1
    search = len(pack.search or SEARCH) * min(pack.search_units, args.stages)
    total = 1 + args.stages * stages + len(NAMES) * (search + len(SEEDS) * args.stages)
    finished = len(campaign.store.records)
    with tqdm(total=total, initial=finished, unit='run') as bar:

        def done(task: Task, result: dict) -> None:
            bar.set_postfix_str(
                f'{task.key["kind"]} {NAMES.get(task.key.get("arm"), "")}'
            )
            bar.update()

        run(campaign, ['own'], args.workers, done=done, libraries=pack.libraries)
    report(campaign)
    print(f'{(time.time() - begin) / 60:.0f} minutes, {args.work_dir}')


if __name__ == '__main__':
    run_tool(main)
