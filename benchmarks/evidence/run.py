"""Does the bilevel stage pay on your own images? Compare it with its controls.

A small network is pretrained once on the unlabeled images at 32 px. Then four arms
are compared: fine-tuning (FT), further pretraining with the stage's lower steps,
training twice with its upper steps, and BiSSL. Each arm with a stage has three
stages, and each stage gets five fine-tunings. The search is the same for all arms.
With 500 labeled and 10,000 unlabeled images this takes less than an hour on two
cores; of more unlabeled ones 10,000 are drawn (--most-images). After an
interruption the same command continues::

    export BISSL_PRETEXT_DIR=path/to/images
    export BISSL_DOWNSTREAM_DIR=path/with/train/val/test BISSL_NUM_CLASSES=17
    python benchmarks/evidence/run.py

``--experiment own.py`` writes the same comparison as an experiment file, for several
machines, other arms, and a report with pictures::

    python tools/experiment.py run own.py

The layout of the labeled set tells its kind; --task overrides it:

classification: train/<class>, val/<class>, test/<class>, or <class> alone;
    accuracy. Folders within those of classes are no classes.
detection: files in COCO's format, for example annotations/instances_train2017.json,
    annotations/train.json or train/_annotations.coco.json. The images may be in any
    folder that has their file names. A small Faster R-CNN C4 sees images within
    128 x 96. The metric is AP at an IoU of 0.5 (AP50); at this size stricter ones say
    little.
segmentation: folders of images and of masks, for example img_dir/train and
    ann_dir/train. Pixels are class numbers from 0, or 255; masks of 0 and 255 alone
    are refused with the line that writes 0 and 1. A small FCN sees images and masks of
    12,288 pixels. The metric is mIoU at that size.

A missing split is taken from the others, and the output says so. Without a test split
the validation split is used for testing, and a seeded fifth of the training split is
used for choosing. For boxes and masks at most 200 images are used for choosing.
Fine-tuning is searched in the same way for all arms: 8 settings on three stages in
classification, and 4 learning rates on the first stage alone for boxes and masks,
whose runs take longer.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))

import tables  # noqa: E402
from arms import StageSettings  # noqa: E402
from campaign import Campaign  # noqa: E402
from experiment_file import write_experiment  # noqa: E402
from kinds import KINDS, NAME, VARIABLES, read_pack  # noqa: E402
from own_look import look  # noqa: E402
from packs import LEAST, Pack, draw_unlabeled, unlabeled_in  # noqa: E402
from runs import minutes  # noqa: E402
from store import Task, open_folder, run  # noqa: E402
from study_tasks import SEARCH, SEEDS  # noqa: E402

from bissl_mm.analysis.demo.images import MOST  # noqa: E402
from bissl_mm.analysis.permutation_test import permutation_test  # noqa: E402
from bissl_mm.analysis.runs.workers import default_number  # noqa: E402
from bissl_mm.command_line import run_tool  # noqa: E402
from bissl_mm.utils.errors import ValueRefusal  # noqa: E402

NAMES = dict(
    FT='FT', further='further pretraining', twice='training twice', v='BiSSL+FT'
)


class OwnPack(Campaign):
    """Three stages of each arm from one pretraining."""

    arms_of_tables = tuple(NAMES)

    def _read_packs(self, args: argparse.Namespace) -> None:
        self.epochs = args.epochs
        self.pretext = args.pretext
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

    def finished(self) -> list[dict]:
        """Records of this command's runs. Others in the folder have another number
        of stages, or a setting that was the best one then."""
        return [r for r in map(self.store.get, self.own()) if r is not None]

    def plan(self) -> Counter:
        """Number of runs by kind."""
        stages = len(self.units)
        search = len(self.pack.search or SEARCH) * min(self.pack.search_units, stages)
        return Counter(
            pretraining=1,
            stage=(len(NAMES) - 1) * stages,
            search=len(NAMES) * search,
            final=len(NAMES) * len(SEEDS) * stages,
        )


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
        '--most-images',
        type=int,
        default=MOST,
        metavar='NUMBER',
        help=f'of more unlabeled images than these {MOST} so many are drawn with a '
        'seed; 0 takes all',
    )
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
    if args.most_images and args.most_images < LEAST:
        parser.error(f'--most-images has to be 0, which takes all, or {LEAST} or more')
    return args


def open_work_dir(args: argparse.Namespace) -> Path:
    """The folder of these runs; one of other runs is refused."""
    settings = dict(
        task=type(args.pack).__name__,
        epochs=args.epochs,
        alternations=args.alternations,
        most_images=args.most_images,
        BISSL_NUM_CLASSES=os.environ.get('BISSL_NUM_CLASSES'),
    )
    folders = {name: Path(os.environ[name]).resolve() for name in VARIABLES}
    return open_folder(args.work_dir, folders, settings)


def report(campaign: OwnPack) -> None:
    """Print a line per arm, and how far BiSSL is ahead of the others."""
    runs = tables.final_runs(campaign.finished())[NAME]
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
        # Those that diverged are no draw, so they are not left out.
        bad = np.count_nonzero(~np.isfinite([*values, *ours]))
        if arm != 'v' and bad:
            line += f'   no p value: {bad} fine-tunings of the two gave no number'
        elif arm != 'v':
            found = permutation_test(values, ours)
            line += (
                f'   BiSSL+FT {np.mean(ours) - np.mean(values):+.1f}, '
                f'p = {found.p_value:.2g}'
            )
        print(line)
    print(
        'p values: permutation tests over fine-tunings. They speak of this '
        'pretraining\nalone, and take the fine-tunings of one stage for '
        'independent.\nTraining twice is run at the upper learning rate of the stage '
        'only: a rate that is\nbetter for it may remove a lead.'
    )


def write_file(args: argparse.Namespace, names: list[str]) -> None:
    """The comparison as an experiment file; ``names`` are the unlabeled images."""
    if args.pack.task != Pack.task:
        raise ValueRefusal(
            f'--experiment writes comparisons of classification, and '
            f'{args.pack.root} is a set of another kind. Leave the option out.'
        )
    file = args.experiment.resolve()
    lists = file.with_name(f'{file.stem}_lists')
    write_experiment(
        args.experiment,
        args.pack,
        draw_unlabeled(os.environ[VARIABLES[0]], names, args.most_images, lists),
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
            # A shell leaves ~ as it is within quotes.
            os.environ[name] = str(Path(os.environ[name]).expanduser().resolve())
    args.pack = pack = read_pack(args.task)
    folder = os.environ[VARIABLES[0]]
    names = unlabeled_in(folder)
    # Of fewer, all are taken.
    args.most_images = min(args.most_images or len(names), len(names))
    if args.experiment:
        write_file(args, names)
        return
    args.work_dir = open_work_dir(args)
    args.runs, args.state = args.work_dir / 'runs.jsonl', args.work_dir
    lists = args.work_dir / 'lists'
    args.pretext = draw_unlabeled(folder, names, args.most_images, lists)
    look(pack, lists, args.pretext)
    run_all(OwnPack(args), args)
    print(f'{(time.time() - begin) / 60:.0f} minutes, {args.work_dir}')


def run_all(campaign: OwnPack, args: argparse.Namespace) -> None:
    """Make the runs that are not finished, and report all."""
    plan = campaign.plan()
    finished = Counter(record['key']['kind'] for record in campaign.finished())
    left = minutes(
        args.pack,
        plan - finished,
        args.most_images * args.epochs,
        campaign.settings,
        args.workers,
    )
    print(
        f'{plan.total()} runs, of which {finished.total()} are finished. The others '
        f'take about {left:.0f} minutes with --workers {args.workers} on cores like '
        "those of the README's figures; large images take longer."
    )
    with tqdm(total=plan.total(), initial=finished.total(), unit='run') as bar:

        def done(task: Task, result: dict) -> None:
            bar.set_postfix_str(
                f'{task.key["kind"]} {NAMES.get(task.key.get("arm"), "")}'
            )
            bar.update()

        run(campaign, ['own'], args.workers, done=done, libraries=args.pack.libraries)
    report(campaign)


if __name__ == '__main__':
    run_tool(main)
