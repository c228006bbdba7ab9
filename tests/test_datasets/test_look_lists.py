"""Lines of text lists that a library would misread are named."""

import pytest
from look_data import KINDS, config, look_at, the_only, write_parts
from mmengine.config import Config

GOOD = [f'{kind}/{i}.png {k}' for k, kind in enumerate(KINDS) for i in range(2)]


def look_at_list(root, lines, encoding='utf-8', end='\n', **dataset):
    write_parts(root, ['train'])
    (root / 'list.txt').write_bytes((end.join(lines) + end).encode(encoding))
    return look_at(config(root, ['train'], ann_file='list.txt', **dataset))


def test_windows_line_ends_and_names_with_blanks_are_read(tmp_path):
    write_parts(tmp_path, ['train'], ('a b', 'bee'))
    (tmp_path / 'list.txt').write_bytes(b'a b/0.png 0\r\na b/1.png 0\r\nbee/0.png 1')
    look = look_at(config(tmp_path, ['train'], 2, ann_file='list.txt'))
    assert not look.refusals and not look.warnings
    assert len(look.parts['train'].dataset) == 3


@pytest.mark.parametrize(
    'place, new, expected',
    [
        (6, '', 'line 7 is blank'),
        (2, '   ', 'line 3 is blank'),
        (1, 'ant/1.png\t0', 'line 2 has a tab between name and label'),
        (0, 'ant/0.png,0', 'line 1 has a comma'),
        (3, 'bee/1.png', "line 4 has no label ('bee/1.png')"),
        (3, 'bee/1.png bee', 'line 4 does not end in a whole number'),
        (3, 'bee/1.png 1.0', 'line 4 does not end in a whole number'),
        (5, 'cow/7.png 2', "line 6 names 'cow/7.png', but there is no file"),
        (5, 'cow\\1.png 2', 'Write / instead of a backslash'),
        (5, 'cow/1.png  2', 'Remove the blanks'),
        (5, '"cow/1.png" 2', "Write 'cow/1.png', without quotes"),
        (5, 'train/cow/1.png 2', "Write 'cow/1.png', the path relative to"),
        (5, 'cow/1.jpg 2', "The folder has '1.png'"),
        (5, 'cow/1 2', 'a file without a suffix'),
    ],
)
def test_bad_line_is_named(place, new, expected, tmp_path):
    lines = list(GOOD)
    lines[place : place + 1] = [new]
    line = the_only(look_at_list(tmp_path, lines).refusals)
    assert line.startswith('train_dataloader.dataset.ann_file: ')
    assert expected in line and 'list.txt' in line


@pytest.mark.parametrize('lines', [[], ['', ' ']])
def test_empty_list_is_refused(lines, tmp_path):
    assert "list.txt' is empty" in the_only(look_at_list(tmp_path, lines).refusals)


@pytest.mark.parametrize(
    'encoding, expected',
    [
        ('utf-8-sig', 'byte-order mark'),
        ('utf-16', 'is UTF-16'),
        ('latin-1', 'line 1 is not UTF-8'),
    ],
)
def test_other_encodings_are_refused(encoding, expected, tmp_path):
    lines = ['\xe9t\xe9.png 0', *GOOD] if encoding == 'latin-1' else GOOD
    assert expected in the_only(look_at_list(tmp_path, lines, encoding).refusals)


@pytest.mark.parametrize(
    'new, expected',
    [
        ('ant/0.png 0', "Write the name alone, without ' 0'"),
        ('ant/0.png ', 'Remove the blanks'),
        ('', 'line 1 is blank'),
    ],
)
def test_list_without_labels(new, expected, tmp_path):
    names = [line.split()[0] for line in GOOD]
    assert expected in the_only(
        look_at_list(tmp_path, [new, *names[1:]], with_label=False).refusals
    )


@pytest.mark.parametrize(
    'label, expected',
    [
        (1, 'on lines 1 and 7 with different labels (0, 1)'),
        (0, 'on lines 1 and 7, so it counts more than once'),
    ],
)
def test_image_listed_twice_is_a_warning(label, expected, tmp_path):
    look = look_at_list(tmp_path, [*GOOD, f'ant/0.png {label}'])
    assert not look.refusals
    assert expected in the_only(look.warnings)


def test_bilevel_stage_skips_a_few_missing_images(tmp_path):
    write_parts(tmp_path, ['train'], KINDS, 40)
    lines = [f'{kind}/{i}.png {k}' for k, kind in enumerate(KINDS) for i in range(40)]
    cfg = config(tmp_path, ['train'], ann_file='list.txt')
    cfg.train_cfg = dict(type='BiSSLTrainLoop')
    for missing, refused in ((1, False), (3, True)):
        lines[-missing:] = [f'cow/no{i}.png 2' for i in range(missing)]
        (tmp_path / 'list.txt').write_text('\n'.join(lines))
        look = look_at(cfg)
        assert bool(look.refusals) == refused
        assert "names 'cow/no0.png'" in (look.refusals or look.warnings)[0]


@pytest.mark.mmcv_ops
@pytest.mark.parametrize(
    'kind, end, expected',
    [
        ('seg', '\n\n', 'line 3 is blank'),
        ('seg', '.png', "Write 'ant/1'"),
        ('voc', ' -1', "without ' -1'"),
        ('voc', '\n ', 'line 3 is blank'),
    ],
)
def test_lists_of_names(kind, end, expected, tmp_path):
    write_parts(tmp_path, ['train'])
    (tmp_path / 'ids.txt').write_text('ant/0\nant/1' + end)
    if kind == 'seg':
        pytest.importorskip('mmseg')
        dataset = dict(
            type='mmseg.BaseSegDataset',
            data_root=str(tmp_path),
            data_prefix=dict(img_path='train', seg_map_path='train'),
            ann_file='ids.txt',
            img_suffix='.png',
        )
    else:
        pytest.importorskip('mmcv._ext')
        for path in (tmp_path / 'train/ant').iterdir():
            path.rename(path.with_suffix('.jpg'))
        dataset = dict(
            type='mmdet.XMLDataset',
            data_root=str(tmp_path),
            data_prefix=dict(sub_data_root=''),
            ann_file='ids.txt',
            img_subdir='train',
        )
    look = look_at(
        Config(
            dict(
                default_scope='mmengine',
                train_dataloader=dict(batch_size=2, dataset=dataset),
            )
        )
    )
    assert expected in the_only(look.refusals)
