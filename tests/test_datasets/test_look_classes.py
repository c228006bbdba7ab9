"""Class names have the same numbers in all splits."""

import shutil

import pytest
from look_data import KINDS, config, loader, look_at, the_only, write_parts
from PIL import Image

from bissl_mm.datasets.look.table import table_lines


def test_sound_data_give_a_table_and_no_finding(tmp_path):
    write_parts(tmp_path)
    look = look_at(config(tmp_path))
    assert not look.refusals and not look.warnings
    text = '\n'.join(table_lines(look))
    assert 'train   6 samples, sizes 24 x 20, modes RGB 6' in text
    assert 'images of 3 classes: ant 2, bee 2, cow 2' in text


@pytest.mark.parametrize(
    'gone, expected',
    [
        ('ant', "'bee' gets the number 0, in place of 1"),
        ('bee', "'cow' gets the number 1, in place of 2"),
    ],
)
@pytest.mark.parametrize('part', ['val', 'train'])
def test_missing_class_folder_is_refused(part, gone, expected, tmp_path):
    write_parts(tmp_path)
    shutil.rmtree(tmp_path / part / gone)
    line = the_only(look_at(config(tmp_path)).refusals)
    made = repr(str(tmp_path / part / gone))
    if part == 'val':
        assert f'no class folder {gone!r}' in line and expected in line
        assert f'mkdir {made}.' in line
    else:
        assert f'mkdir {made}, or remove the folder.' in line
    # The command mends it, and a warning says that the class has no image.
    (tmp_path / part / gone).mkdir()
    look = look_at(config(tmp_path))
    assert not look.refusals
    assert f"no image belongs to 1 of 3 classes ('{gone}')" in the_only(look.warnings)


def test_missing_last_class_shifts_nothing(tmp_path):
    write_parts(tmp_path)
    shutil.rmtree(tmp_path / 'val/cow')
    look = look_at(config(tmp_path))
    assert not look.refusals
    assert any("no class folder 'cow'" in w for w in look.warnings)


@pytest.mark.parametrize(
    'new, expected',
    [
        ('Bee', "'bee' and 'Bee' are spelt differently"),
        ('bee ', "'bee' and 'bee ' are spelt differently"),
        ('be_e', "'bee' and 'be_e' are spelt differently"),
        ('wasp', "class folder(s) 'wasp'"),
    ],
)
def test_other_spelling_of_a_folder_is_refused(new, expected, tmp_path):
    write_parts(tmp_path)
    (tmp_path / 'val/bee').rename(tmp_path / 'val' / new)
    assert expected in the_only(look_at(config(tmp_path)).refusals)


@pytest.mark.parametrize('part', ['train', 'val'])
def test_hidden_folder_is_to_be_removed(part, tmp_path):
    write_parts(tmp_path)
    (tmp_path / part / '.ipynb_checkpoints').mkdir()
    line = the_only(look_at(config(tmp_path)).refusals)
    assert f"Remove '{tmp_path / part / '.ipynb_checkpoints'}'" in line


@pytest.mark.parametrize('name', ['.ipynb_checkpoints', 'zebra'])
def test_folder_that_is_no_class_of_training_is_refused(name, tmp_path):
    write_parts(tmp_path)
    (tmp_path / 'val' / name).mkdir()
    line = the_only(look_at(config(tmp_path)).refusals)
    assert f"folder(s) '{name}'" in line
    assert ('Remove ' in line) == name.startswith('.')


def test_classes_in_another_order_than_the_folders(tmp_path):
    write_parts(tmp_path)
    look = look_at(_with_classes(tmp_path, KINDS[::-1]))
    assert not look.refusals
    assert all('numbered by name: ant, bee, cow' in w for w in look.warnings)
    assert look.parts['train'].classes['ant'] == dict(images=2)


def _with_classes(root, classes):
    return config(root, classes=3, metainfo=dict(classes=tuple(classes)))


def test_declared_classes_and_folders_of_another_number(tmp_path):
    write_parts(tmp_path)
    look = look_at(_with_classes(tmp_path, ('ant', 'bee', 'cow', 'dog')))
    assert "Classes without a folder: 'dog'" in look.refusals[0]
    look = look_at(_with_classes(tmp_path, ('ant', 'bee')))
    assert "Folders without a class: 'cow'" in look.refusals[0]


def test_lists_and_folders_number_alike_or_are_refused(tmp_path):
    write_parts(tmp_path)
    lines = [
        f'{kind}/{i}.png {2 - k}' for k, kind in enumerate(KINDS) for i in range(2)
    ]
    (tmp_path / 'train.txt').write_text('\n'.join(lines) + '\n')
    cfg = config(tmp_path)
    cfg.train_dataloader = loader(
        tmp_path, 'train', ann_file='train.txt', classes=list(KINDS[::-1])
    )
    line = the_only(look_at(cfg).refusals)
    assert "class 0 is 'ant', but 'cow' in train_dataloader" in line


@pytest.mark.parametrize(
    'labels, expected',
    [
        ((1, 2, 3), 'The labels seem to be counted from 1.'),
        ((0, 1, 7), 'label 7 of '),
        ((-1, 0, 1), 'label -1 of '),
    ],
)
def test_labels_that_no_class_has_are_refused(labels, expected, tmp_path):
    write_parts(tmp_path, ['val'])
    (tmp_path / 'val.txt').write_text(
        '\n'.join(f'{kind}/0.png {label}' for kind, label in zip(KINDS, labels))
    )
    cfg = config(tmp_path, ['val'], ann_file='val.txt')
    line = the_only(look_at(cfg).refusals)
    assert expected in line and 'is not in 0 to 2' in line


@pytest.mark.parametrize('same_bytes', [True, False])
def test_image_in_two_parts_is_a_warning(same_bytes, tmp_path):
    write_parts(tmp_path)
    source, copy = tmp_path / 'train/bee/1.png', tmp_path / 'val/bee/9.png'
    if same_bytes:
        shutil.copy(source, copy)
    else:
        copy.symlink_to(source)
    line = the_only(look_at(config(tmp_path)).warnings)
    assert '1 of 7 images of val_dataloader.dataset are in train' in line
    assert str(source) in line


def test_test_images_that_choose_are_a_warning(tmp_path):
    parts = ('train', 'val', 'test')
    write_parts(tmp_path, parts)
    shutil.copy(tmp_path / 'val/bee/1.png', tmp_path / 'test/bee/9.png')
    line = the_only(look_at(config(tmp_path, parts)).warnings)
    assert '1 of 7 images of test_dataloader.dataset are in val_data' in line
    assert 'images by which settings are chosen' in line
    # Where the validation files are those of the test, the config says so.
    cfg = config(tmp_path, parts)
    cfg.test_dataloader = cfg.val_dataloader
    assert not look_at(cfg).warnings


def test_image_under_two_classes_is_a_warning(tmp_path):
    write_parts(tmp_path)
    shutil.copy(tmp_path / 'train/ant/0.png', tmp_path / 'train/cow/7.png')
    line = the_only(look_at(config(tmp_path)).warnings)
    assert '1 images are in two classes' in line


def test_many_classes_are_summarised_in_a_log_alone(tmp_path):
    kinds = [f'kind{i:02}' for i in range(12)]
    write_parts(tmp_path, ['train'], kinds, 1)
    picture = Image.effect_noise((24, 20), 50).convert('RGB')
    picture.save(tmp_path / 'train/kind03/x.png')
    (tmp_path / 'train/kind05/0.png').unlink()
    look = look_at(config(tmp_path, ['train'], 12))
    short, whole = table_lines(look), table_lines(look, whole=True)
    assert 'most kind03 2, least ' in short[-1]
    assert short[-1].endswith('none of 1: kind05')
    assert 'kind04 1' in whole[-1] and 'kind05 0' in whole[-1]


def test_head_of_another_number_of_classes(tmp_path):
    write_parts(tmp_path)
    line = the_only(look_at(config(tmp_path, classes=4)).refusals)
    assert 'The head has num_classes=4, but the training data have 3' in line


def _with_list(root, part, labels, **dataset):
    """The split's loader with a list that gives each folder a label."""
    (root / f'{part}.txt').write_text(
        '\n'.join(
            f'{kind}/{i}.png {label}'
            for kind, label in zip(KINDS, labels)
            for i in range(2)
        )
        + '\n'
    )
    return loader(root, part, ann_file=f'{part}.txt', **dataset)


@pytest.mark.parametrize(
    'dataset', [{}, dict(classes=list(KINDS[::-1]))], ids=['no names', 'names']
)
def test_labels_of_a_list_and_of_folders_agree_or_are_refused(dataset, tmp_path):
    write_parts(tmp_path)
    cfg = config(tmp_path)
    cfg.train_dataloader = _with_list(tmp_path, 'train', (2, 1, 0), **dataset)
    # The names are the same, but class folders do not depend on them.
    cfg.val_dataloader.dataset.update(dataset)
    line = the_only(look_at(cfg).refusals)
    assert "folder 'ant' have label 0, but label 2 in train_dataloader.dataset" in line
    assert '2 folder(s)' in line
    cfg.train_dataloader = _with_list(tmp_path, 'train', (0, 1, 2))
    cfg.val_dataloader.dataset.pop('classes', None)
    look = look_at(cfg)
    assert not look.refusals and not look.warnings


def test_lists_of_two_parts_number_alike_or_are_refused(tmp_path):
    write_parts(tmp_path)
    cfg = config(tmp_path)
    cfg.train_dataloader = _with_list(tmp_path, 'train', (0, 1, 2))
    cfg.val_dataloader = _with_list(tmp_path, 'val', (1, 0, 2))
    assert "folder 'ant' have label 1" in the_only(look_at(cfg).refusals)
    # Folders with several labels are not compared.
    cfg.val_dataloader = _with_list(tmp_path, 'val', (1, 1, 2))
    assert not look_at(cfg).refusals


def test_list_against_the_order_of_its_classes_is_a_warning(tmp_path):
    write_parts(tmp_path, ['train'])
    cfg = config(tmp_path, ['train'])
    cfg.train_dataloader = _with_list(tmp_path, 'train', (2, 1, 0), classes=list(KINDS))
    look = look_at(cfg)
    assert not look.refusals
    assert "'ant' is number 0 of its classes" in the_only(look.warnings)


@pytest.mark.parametrize('parts', [['train'], ['train', 'val']])
def test_a_folder_of_lists_is_no_class(parts, tmp_path):
    write_parts(tmp_path, ['train', 'val'])
    for part in parts:
        folder = tmp_path / part / 'lists' / 'more'
        folder.mkdir(parents=True)
        (folder / 'train.txt').write_text('ant/0.png')
    line = the_only(look_at(config(tmp_path, ['train', 'val'])).refusals)
    assert "has the folder(s) 'lists' with files of the suffix '.txt' and no" in line


@pytest.mark.parametrize('file', [None, '.DS_Store', 'Thumbs.db', 'more/a.PNG'])
def test_a_class_without_images_may_have_a_folder(file, tmp_path):
    write_parts(tmp_path, ['train', 'val'])
    for part in ('train', 'val'):
        path = tmp_path / part / 'dog' / (file or 'x')
        path.parent.mkdir(parents=True)
        if file and file.endswith('PNG'):
            (tmp_path / 'train/ant/0.png').rename(path) if part == 'train' else None
        elif file:
            path.touch()
    look = look_at(config(tmp_path, ['train', 'val'], 4))
    assert not look.refusals


@pytest.mark.parametrize('name', ['.ipynb_checkpoints', '__MACOSX'])
def test_folder_of_a_program_in_every_part_is_no_class(name, tmp_path):
    write_parts(tmp_path)
    for part in ('train', 'val'):
        (tmp_path / part / name).mkdir()
    lines = look_at(config(tmp_path)).refusals
    assert len(lines) == 2
    assert all('Remove ' in line and name in line for line in lines)


def test_class_folders_are_looked_for_one_level_too_high(tmp_path):
    write_parts(tmp_path / 'all', ['train'])
    (tmp_path / 'all').rename(tmp_path / 'top')
    cfg = config(tmp_path, ['train'], data_prefix='top')
    line = the_only(look_at(cfg).refusals)
    assert 'has only one class folder' in line and 'num_classes=1' not in line
    assert repr(str(tmp_path / 'top/train')) in line
    # Without a head nothing uses the labels.
    cfg.model = dict(type='SimCLR', head=dict(type='ContrastiveHead'))
    assert not look_at(cfg).refusals


def test_images_without_class_folders(tmp_path):
    write_parts(tmp_path)
    for kind in KINDS:
        for path in (tmp_path / 'train' / kind).iterdir():
            path.rename(tmp_path / f'train/{kind}{path.name}')
        (tmp_path / 'train' / kind).rmdir()
    assert 'has no class folders' in the_only(look_at(config(tmp_path)).refusals)


def test_accents_written_in_two_ways_are_told_apart(tmp_path):
    write_parts(tmp_path)
    (tmp_path / 'train/bee').rename(tmp_path / 'train/b\xe9')
    (tmp_path / 'val/bee').rename(tmp_path / 'val/be\u0301')
    line = the_only(look_at(config(tmp_path)).refusals)
    assert "'b\\xe9' and 'be\\u0301' are spelt differently" in line
