"""run.py on a stranger's images: what it takes, what it refuses, what it reports."""

import ast
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import dense_sets as written
import pytest
from conftest import ROOT
from look_data import write_parts
from mmengine.registry import DATASETS

from bissl_mm.experiments.definition.experiment import read_experiment
from bissl_mm.experiments.runs.graph import Builder

FOLDER = ROOT / 'benchmarks/evidence'
CLASSES = ['ant', 'bee', 'cow']


@pytest.fixture(scope='module')
def own():
    """The modules of the command."""
    sys.path.insert(0, str(FOLDER))
    try:
        import arms
        import class_folders
        import kinds
        import layout_words
        import packs
        import run
        import runs
        import store
        import study_tasks

        modules = (
            arms,
            class_folders,
            kinds,
            layout_words,
            packs,
            run,
            runs,
            store,
            study_tasks,
        )
        yield SimpleNamespace(**{m.__name__: m for m in modules})
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture
def folders(own, tmp_path, monkeypatch):
    """A small set and unlabeled images, and a short search."""
    root = tmp_path / 'data'
    write_parts(root, ['train', 'val', 'test'], number=4)
    write_parts(tmp_path, ['images'], number=12)
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'images'))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(root))
    monkeypatch.setenv('BISSL_NUM_CLASSES', '3')
    for module in (own.run, own.study_tasks):
        monkeypatch.setattr(module, 'SEARCH', own.study_tasks.SEARCH[::7])
    return root


@pytest.fixture
def pretended(own, monkeypatch):
    """Runs whose results are made up: the first setting of the search is the best
    one on stage 0, and the other one on all three."""

    def run(campaign, steps, workers, done, libraries):
        while left := [
            task
            for task in campaign.own()
            if campaign.store.get(task) is None and campaign.is_ready(task)
        ]:
            task = left[0]
            if task.makes:
                task.makes.parent.mkdir(parents=True, exist_ok=True)
                task.makes.touch()
            is_first = task.key.get('lr') == own.study_tasks.SEARCH[0].lr
            val = (90.0 if task.key['unit'] == 0 else 10.0) if is_first else 50.0
            result = dict(val=val, test=20.0 if is_first else 70.0)
            campaign.store.add(task, result)
            done(task, result)

    monkeypatch.setattr(own.run, 'run', run)


def write_class(folder: Path, suffix: str = '.png', number: int = 5) -> None:
    """Images of one class under another suffix."""
    write_parts(folder.parent, [folder.name], [''], number)
    for path in folder.glob('*.png'):
        path.rename(path.with_suffix(suffix))


def test_a_report_is_of_its_own_stages_and_setting(
    own, folders, tmp_path, pretended, capsys
):
    """More stages move the choice; what fewer stages had is not mixed in."""
    shown = {}
    for number in (1, 3, 1):
        own.run.main(['--stages', str(number), '--work-dir', str(tmp_path / 'run')])
        text = capsys.readouterr().out
        lines = [line for line in text.splitlines() if line.startswith('BiSSL+FT ')]
        shown.setdefault(number, lines[-1])
        assert shown[number] == lines[-1]
    means = {number: line.split('    ')[-1] for number, line in shown.items()}
    assert means == {1: '20.0', 3: '70.0, 70.0, 70.0'}
    assert shown[1].split()[1] == '20.0' and shown[3].split()[1] == '70.0'
    assert '32 runs, of which 32 are finished' in text
    assert 'a rate that is\nbetter for it may remove a lead' in text


def test_other_data_under_the_same_names_are_other_runs(
    own, folders, tmp_path, monkeypatch
):
    def opened():
        args = own.run.parse_args(['--work-dir', str(folders / 'run')])
        args.pack = own.run.read_pack(None)
        return own.run.open_work_dir(args)

    def refused(what):
        with pytest.raises(ValueError, match=f'{what} was .* Type --work-dir'):
            opened()

    opened()
    # What the runs write, and what a file manager does, is no data.
    write_parts(folders / 'run', ['pictures'])
    (folders / 'train/ant/.DS_Store').write_text('')
    (folders / 'train/Thumbs.db').write_text('')
    opened()
    image = folders / 'train/ant/0.png'
    moved, before = folders / 'train/bee/moved.png', image.stat()
    image.rename(moved)
    refused('digest of BISSL_DOWNSTREAM_DIR')
    moved.rename(image)
    opened()
    image.write_bytes(image.read_bytes())
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    refused('digest of BISSL_DOWNSTREAM_DIR')
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    opened()
    write_class(tmp_path / 'images/more', number=1)
    refused('digest of BISSL_PRETEXT_DIR')
    (tmp_path / 'images/more/0.png').unlink()
    for name in ('train.lst', 'labels.csv'):
        (folders / name).write_text('0.png')
        refused('digest of BISSL_DOWNSTREAM_DIR')
        (folders / name).unlink()
    monkeypatch.delenv('BISSL_NUM_CLASSES')
    refused('BISSL_NUM_CLASSES')
    monkeypatch.setenv('BISSL_NUM_CLASSES', '3')
    monkeypatch.setattr(own.store.bissl_mm, '__version__', '99.0')
    refused('bissl_mm')


def test_the_look_warns_once(own, folders, tmp_path, capsys, caplog):
    image = folders / 'train/ant/0.png'
    (folders / 'val/ant/0.png').write_bytes(image.read_bytes())
    own.run.look(own.run.read_pack(None), tmp_path / 'lists')
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count('1 of 12 images of val_dataloader') == 1
    # What no handler of its own takes goes to the console.
    assert not caplog.records


def test_data_below_work_dirs_are_data(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_class(tmp_path / 'work_dirs/crops', number=2)
    write_class(tmp_path / 'work_dirs/evidence', number=1)
    work = [Path('work_dirs'), Path('work_dirs/evidence')]
    found = {own.store.digest(str(tmp_path / 'work_dirs/crops'), work)}
    (tmp_path / 'work_dirs/crops/0.png').unlink()
    found.add(own.store.digest(str(tmp_path / 'work_dirs/crops'), work))
    assert len(found) == 2
    whole = own.store.digest(str(tmp_path), work)
    (tmp_path / 'work_dirs/evidence/0.png').unlink()
    assert own.store.digest(str(tmp_path), work) == whole


def test_suffixes_are_those_of_the_configs(own):
    files = ['tasks/imagefolder-32px.py', 'data/image_folder_decoded-32px.py']
    for file in files:
        text = (ROOT / 'configs/_base_' / file).read_text()
        (found,) = {
            node.value
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Constant) and '.jpg' in str(node.value)
        }
        assert set(found.split()) == set(own.layout_words.SUFFIXES)


def test_every_suffix_is_drawn_and_what_is_left_out_is_said(own, tmp_path):
    for kind, suffix in dict(ant='.jfif', bee='.png', cow='.JPEG').items():
        write_class(tmp_path / kind, suffix)
    write_class(tmp_path / 'dog', '.gif')
    write_class(tmp_path / 'ant/more', '.heic', 1)
    # As macOS leaves them on other disks.
    (tmp_path / 'ant/._0.jfif').write_text('')
    pack = own.kinds.own_pack('own', str(tmp_path), None, 3)
    assert pack.classes == CLASSES and pack.number == 9
    cfg = own.packs.read(own.packs.FINE_TUNE)
    pack.put(cfg, 0, tmp_path.with_name('lists'))
    seen = set()
    for part in written.PARTS:
        dataset = DATASETS.build(cfg[f'{part}_dataloader'].dataset.dataset)
        dataset.full_init()
        seen |= {dataset.get_data_info(i)['img_path'] for i in range(len(dataset))}
    assert len(seen) == 15 and all(Path(path).is_file() for path in seen)
    assert ": 1, first 'ant/more/0.heic'" in pack.notes[1]
    assert "no classes: 'dog'" in pack.notes[2]


def test_names_that_lists_cannot_hold_are_refused(own, folders, tmp_path):
    bytes_alone = os.fsdecode(b'stra\xdfe.png')
    image = tmp_path / 'images/ant/0.png'
    image.rename(image.with_name(bytes_alone))
    names = own.packs.unlabeled_in(str(tmp_path / 'images'))
    with pytest.raises(
        ValueError, match=r"stra\\udcdfe.png.*' is not in UTF-8. Rename"
    ):
        own.packs.draw_unlabeled(
            str(tmp_path / 'images'), names, len(names) - 1, tmp_path / 'lists'
        )
    for name, message in ((bytes_alone, 'is not in UTF-8'), (' bee', 'Rename the fol')):
        root = tmp_path / f'classes{len(name)}'
        write_parts(root, [''], number=5)
        if name == bytes_alone:
            (root / 'ant/0.png').rename(root / 'ant' / name)
        else:
            (root / 'bee').rename(root / name)
        pack = own.kinds.own_pack('own', str(root), 'classification', None)
        with pytest.raises(ValueError, match=message):
            pack.put(own.packs.read(own.packs.FINE_TUNE), 0, tmp_path / 'lists')


def test_a_batch_counts_images_alone(own, tmp_path):
    write_parts(tmp_path, ['train', 'val', 'test'], number=8)
    for name in ('ant/Thumbs.db', 'bee/.DS_Store', 'bee/._1.png', 'ant/list.txt'):
        (tmp_path / 'train' / name).write_text('')
    (tmp_path / 'train/cow/gone.png').symlink_to(tmp_path / 'nowhere.png')
    write_class(tmp_path / 'more', number=1)
    (tmp_path / 'more/0.png').rename(tmp_path / 'train/0.png')
    pack = own.kinds.own_pack('own', str(tmp_path), None, 3)
    cfg = own.packs.read(own.packs.FINE_TUNE)
    pack.put(cfg, 0, tmp_path / 'lists')
    loader = cfg.train_dataloader
    dataset = DATASETS.build(loader.dataset.dataset)
    dataset.full_init()
    assert pack.number == loader.batch_size == len(dataset) == 24


MASKED = ['WithMask', 'WithoutMask']


@pytest.mark.parametrize(
    'layout, task, classes',
    [
        (
            [f'{p}/{k}' for p in ('Train', 'Validation', 'Test') for k in MASKED],
            None,
            MASKED,
        ),
        (['with_mask', 'without_mask'], None, None),
        (
            ['with_mask', 'without_mask'],
            'classification',
            ['with_mask', 'without_mask'],
        ),
        (['train_bus', 'train_car'], 'classification', ['train_bus', 'train_car']),
        (['cat', 'dog', 'dog/puppies'], None, ['cat', 'dog']),
        # Two styles of two classes, or two classes of two kinds each.
        (['art/cat', 'art/dog', 'photo/cat', 'photo/dog'], None, None),
        (['art/cat', 'art/dog', 'photo/cat'], 'classification', ['art', 'photo']),
        (['ALL', 'AML', 'CML'], None, ['ALL', 'AML', 'CML']),
        # Unlabeled images are no class.
        (['cat', 'dog', 'test'], None, None),
        (['train', 'val'], 'classification', None),
    ],
)
def test_layouts_of_class_folders(own, tmp_path, layout, task, classes):
    for folder in layout:
        write_class(tmp_path / folder)
    if classes:
        pack = own.kinds.own_pack('own', str(tmp_path), task, len(classes))
        assert pack.classes == classes
        pack.put(own.packs.read(own.packs.FINE_TUNE), 0, tmp_path / 'lists')
        return
    hint = '' if task else r'--task classification\|detection\|segmentation'
    with pytest.raises(FileNotFoundError, match=f'{tmp_path} has no.*{hint}'):
        own.kinds.own_pack('own', str(tmp_path), task, None)


def labels(pack, own, part, lists):
    cfg = own.packs.read(own.packs.FINE_TUNE)
    pack.put(cfg, 0, lists)
    dataset = DATASETS.build(cfg[f'{part}_dataloader'].dataset.dataset)
    dataset.full_init()
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return {(Path(i['img_path']).parent.name, int(i['gt_label'])) for i in infos}


def test_parts_are_numbered_by_the_names_of_the_training_classes(own, tmp_path):
    write_parts(tmp_path, ['train'], number=5)
    write_parts(tmp_path, ['test'], ['ant', 'cow'])
    pack = own.kinds.own_pack('own', str(tmp_path), None, 3)
    numbers = {(name, i) for i, name in enumerate(CLASSES)}
    lists = tmp_path.with_name('lists')
    assert labels(pack, own, 'train', lists) == numbers
    assert labels(pack, own, 'test', lists) == numbers - {('bee', 1)}
    write_class(tmp_path / 'test/dog')
    pack = own.kinds.own_pack('own', str(tmp_path), None, 3)
    with pytest.raises(ValueError, match="test has class folders .* lacks: 'dog'"):
        labels(pack, own, 'test', lists)


@pytest.mark.parametrize('numbers', [(1, 1, 1), (9, 2, 2)])
def test_too_few_images_of_a_class_are_refused(own, tmp_path, numbers):
    for name, number in zip(CLASSES, numbers):
        write_class(tmp_path / name, number=number)
    message = "of 3 classes too few have 3 images or more.*'val', which is missing"
    with pytest.raises(ValueError, match=message):
        own.kinds.own_pack('own', str(tmp_path), None, 3)


def test_one_class_is_refused(own, tmp_path):
    write_parts(tmp_path, ['train'], ['good'])
    write_parts(tmp_path, ['test'], ['good', 'broken'])
    with pytest.raises(ValueError, match="one class folder, 'good', so there is noth"):
        own.kinds.own_pack('own', str(tmp_path), None, None)


@pytest.mark.parametrize('parts', [['train', 'val', 'test'], ['train']])
def test_folders_within_classes_are_said(own, tmp_path, parts):
    for part in parts:
        write_parts(tmp_path / part, ['animal', 'vehicle'], ['a', 'b'])
    pack = own.kinds.own_pack('own', str(tmp_path), None, None)
    assert pack.classes == ['animal', 'vehicle']
    (note,) = [note for note in pack.notes if "'animal/a' for example" in note]
    assert 'images of 2 of 2 classes are in folders within them' in note
    for part in parts:
        for name in pack.classes:
            write_class(tmp_path / part / name / 'more', number=1)
            (tmp_path / part / name / 'more/0.png').rename(
                tmp_path / part / name / '0.png'
            )
    again = own.kinds.own_pack('own', str(tmp_path), None, None)
    assert not any('folders within them' in note for note in again.notes)


def test_the_folder_of_an_archive_is_named(own, tmp_path):
    write_parts(tmp_path / 'a set/2750', [''])
    (tmp_path / '__MACOSX').mkdir()
    message = f"type export BISSL_DOWNSTREAM_DIR='{tmp_path}/a set/2750'. Or lay it out"
    with pytest.raises(FileNotFoundError, match=message):
        own.kinds.own_pack('own', str(tmp_path), None, 3)
    write_parts(tmp_path / 'other', [''])
    with pytest.raises(FileNotFoundError, match=r'example\. Lay it out so'):
        own.kinds.own_pack('own', str(tmp_path), None, 3)


def test_a_tilde_is_the_home(own, folders, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', '~/data')
    seen = []
    monkeypatch.setattr(own.run, 'write_file', lambda args, _: seen.append(args.pack))
    own.run.main(['--experiment', str(tmp_path / 'own.py')])
    assert seen[0].root == str(folders)


@pytest.mark.parametrize('parts', [['train', 'val', 'test'], ['']])
def test_class_folders_beside_boxes_of_other_images(own, tmp_path, parts):
    # Of each class an image for every part that is drawn.
    write_parts(tmp_path, parts, number=3)
    box = dict(image_id=1, category_id=1, bbox=[0, 0, 5, 5])
    data = dict(
        images=[dict(id=1, file_name='elsewhere.jpg')],
        annotations=[box],
        categories=[dict(id=1, name='ant')],
    )
    (tmp_path / 'instances_train.json').write_text(json.dumps(data))
    if parts == ['']:
        # Folders of images, or classes: the user has to say so.
        with pytest.raises(FileNotFoundError, match='Or type --task classification'):
            own.kinds.own_pack('own', str(tmp_path), None, 3)
    task = None if parts[0] else 'classification'
    assert own.kinds.own_pack('own', str(tmp_path), task, 3).classes == CLASSES


def test_a_folder_that_is_none_is_refused(own, tmp_path, monkeypatch):
    monkeypatch.setenv('BISSL_DOWNSTREAM_DIR', str(tmp_path / 'none'))
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'none'))
    with pytest.raises(FileNotFoundError, match='DOWNSTREAM_DIR is .* no folder'):
        own.run.read_pack('classification')
    with pytest.raises(FileNotFoundError, match='PRETEXT_DIR is .* no folder'):
        own.packs.unlabeled_in(str(tmp_path / 'none'))


def test_batches_are_not_larger_than_the_unlabeled_set(own, tmp_path):
    write_parts(tmp_path, ['train', 'val', 'test'])
    pack = own.packs.Pack('own', str(tmp_path), 1)
    settings = own.arms.StageSettings()
    images = tmp_path / 'images'
    images.mkdir()
    for number, sizes in ((40, (40, 40)), (200, (200, 128)), (300, (256, 128))):
        for i in range(number):
            (images / f'{i}.png').touch()
        found = own.runs.pretrain_config(str(images), 2).train_dataloader
        stage = own.runs.stage_config('v', settings, pack, 0, str(images), tmp_path)
        lower = stage.train_cfg.pretext_dataloader
        assert (found.batch_size, lower.batch_size) == sizes
        assert found.dataset.dataset.data_root == str(images)


@pytest.mark.parametrize('kind', ['OwnClasses', 'DetectionPack', 'SegmentationPack'])
def test_the_stage_has_the_settings_of_the_shipped_config(own, kind):
    pack = getattr(own.kinds, kind)
    shipped = own.packs.read(pack.stage_config, pack.task)
    cfg = own.packs.read(pack.stage_config, pack.task)
    own.arms.StageSettings(**pack.stage).put(cfg)
    assert cfg.optim_wrapper == shipped.optim_wrapper
    assert cfg.param_scheduler == shipped.param_scheduler
    loop = own.arms.StageSettings()
    assert [shipped.train_cfg[k] for k in ('num_lower_steps', 'num_upper_steps')] == [
        loop.num_lower_steps,
        loop.num_upper_steps,
    ]
    assert cfg.train_cfg.num_alternations == shipped.train_cfg.num_alternations


def test_too_few_unlabeled_images_are_refused_before_anything(
    own, folders, tmp_path, pretended
):
    for path in list((tmp_path / 'images').rglob('*.png'))[5:]:
        path.unlink()
    with pytest.raises(ValueError, match='has 5 images .* needs 32 at least'):
        own.run.main(['--work-dir', str(tmp_path / 'run')])
    assert not (tmp_path / 'run').exists()
    with pytest.raises(SystemExit):
        own.run.parse_args(['--most-images', '5'])


@pytest.mark.whole
def test_many_unlabeled_images_are_drawn_from(
    own, folders, tmp_path, pretended, capsys
):
    (tmp_path / 'images/ant/a.heic').touch()
    given = ['--stages', '1', '--most-images']
    own.run.main([*given, '33', '--work-dir', str(tmp_path / 'some')])
    shown = capsys.readouterr().out
    assert 'Of the 36 unlabeled images' in shown and '33 are taken' in shown
    assert "1, first 'ant/a.heic'" in shown and 'pretext 33 samples' in shown
    assert '32 runs, of which 0 are finished' in shown and 'minutes with' in shown
    file = tmp_path / 'some/lists/unlabeled.txt'
    drawn = file.read_text().splitlines()
    assert len(set(drawn)) == 33 and all(Path(line).is_file() for line in drawn)
    cfg = own.runs.pretrain_config(str(file), 2)
    dataset = DATASETS.build(cfg.train_dataloader.dataset.dataset)
    dataset.full_init()
    assert [dataset[i]['data_samples'].img_path for i in range(33)] == drawn
    assert cfg.train_dataloader.batch_size == 33
    # The same draw in an experiment file.
    own.run.main([*given, '33', '--experiment', str(tmp_path / 'own.py')])
    other = tmp_path / 'own_lists/unlabeled.txt'
    assert other.read_text() == file.read_text()
    builder = Builder(read_experiment(str(tmp_path / 'own.py')))
    wanted = own.runs.pretrain_config(str(other), 60).train_dataloader
    for node in builder.graph():
        found = builder.config(node.spec)
        if node.kind == 'pretrain':
            assert found.train_dataloader == wanted
        elif node.kind == 'stage':
            found = found.train_cfg.pretext_dataloader
            assert found.dataset == wanted.dataset and found.batch_size == 33
    # All, under either number for it.
    capsys.readouterr()
    own.run.main([*given, '0', '--work-dir', str(tmp_path / 'all')])
    own.run.main([*given, '99', '--work-dir', str(tmp_path / 'all')])
    assert 'are taken, drawn' not in capsys.readouterr().out


def test_estimates_grow_with_what_is_left(own, tmp_path):
    pack = SimpleNamespace(task=own.packs.Pack.task, number=500, epochs=20)
    settings = own.arms.StageSettings()
    plan = dict(pretraining=1, stage=9, search=96, final=60)

    def estimate(workers=2, images=600_000, **changes):
        return own.runs.minutes(pack, plan | changes, images, settings, workers)

    # README.md: 39 minutes with two workers.
    assert 30 < estimate() < 45
    assert estimate(1) > estimate() > estimate(pretraining=0) + 16
    assert estimate(images=6_000_000) > 160
    pack.number = 10_000
    assert estimate() > 100


def test_a_line_that_was_cut_off_is_a_run_to_repeat(own, tmp_path):
    path = tmp_path / 'runs.jsonl'
    tasks = [own.store.Task(dict(kind='final', unit=i), dict) for i in range(3)]

    def opened():
        return own.store.Store(path, tmp_path / 'state')

    for task in tasks[:2]:
        opened().add(task, dict(val=1.0))
    whole = path.read_bytes()
    first = whole.index(b'\n') + 1
    # A loss of power may leave zeros.
    for rest in (whole[first:-20], b'\0' * 30):
        path.write_bytes(whole[:first] + rest)
        store = opened()
        assert [store.get(task) is not None for task in tasks] == [True, False, False]
        store.add(tasks[1], dict(val=2.0))
        assert [r['key']['unit'] for r in opened().records] == [0, 1]
    # The line alone was written, and not its end.
    path.write_bytes(whole[:-1])
    opened().add(tasks[2], dict(val=3.0))
    assert len(opened().records) == 3
    lines = path.read_bytes().splitlines(keepends=True)
    for bad in (b'{"key": \n', b'7\n', b'\n'):
        path.write_bytes(lines[0] + bad + lines[2])
        with pytest.raises(ValueError, match=r'runs.jsonl, line 2 is no record'):
            opened()


@pytest.mark.whole
def test_few_images_are_enough_and_stages_keep_what_their_hooks_saw(own, tmp_path):
    write_parts(tmp_path, ['train', 'val', 'test'], number=4)
    write_parts(tmp_path, ['images'], number=12)
    images = str(tmp_path / 'images')
    result = own.runs.pretrain(images, 0, 2, tmp_path / 'pretraining')
    assert not {'relaxation_times', 'moved', 'neighbours'} & set(result)
    pack = own.kinds.own_pack('own', str(tmp_path), 'classification', 3)
    for arm in ('v', 'further'):
        result = own.runs.stage(
            arm,
            own.arms.StageSettings(num_alternations=1, num_lower_steps=2),
            pack,
            0,
            images,
            tmp_path / 'pretraining/epoch_2.pth',
            tmp_path / f'{arm}.pth',
            tmp_path / 'lists',
        )
        assert json.loads(json.dumps(result, allow_nan=False)) == result
        assert [place for place, _ in result['neighbours']] == [0, 1]
        # Further pretraining has no lambda, hence no R.
        assert (result['relaxation_times'] is None) == (arm == 'further')
        assert isinstance(result['moved'], float)
