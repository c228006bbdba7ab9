"""What the preparation of data refuses; nothing is left behind then."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from contextlib import suppress

import numpy as np
import pytest
import raw_downloads as raw
from conftest import ROOT
from PIL import Image
from raw_downloads import COUNTS, cifar10, files

from bissl_mm.prepare import prepare
from bissl_mm.prepare.task import Task
from bissl_mm.utils.errors import FileNotFoundRefusal, OSRefusal, ValueRefusal


def test_incomplete_sources_are_refused_with_numbers(tmp_path):
    folder = raw.camvid_folder(tmp_path)
    (folder / 'val' / '0001TP_val00001.png').unlink()
    data = tmp_path / 'data'
    with pytest.raises(
        ValueRefusal,
        match='train: 367 expected, 4 found; '
        'val: 101 expected, 1 found; test: 233 .*, 3 found',
    ):
        prepare('camvid', str(folder), str(data))
    assert files(data) == {} and list(data.iterdir()) == []
    full = dict(train=2, test=1)
    task = Task('any', tmp_path, 0, {}, full, 'from there', False)
    task.check(dict(full))
    for found in (dict(train=2, test=2), dict(train=2, test=0)):
        with pytest.raises(ValueRefusal, match='from there'):
            task.check(found)
    # An empty split is never accepted.
    task.allow_incomplete = True
    task.check(dict(train=1, test=1))
    with pytest.raises(ValueRefusal, match='test: 1 expected, 0 found'):
        task.check(dict(train=2, test=0))


def test_what_is_there_stays_and_a_failure_leaves_nothing(tmp_path, monkeypatch):
    source = raw.cifar10_folder(tmp_path, raw.cifar10_batches(), True)
    data = tmp_path / 'data'
    (data / 'cifar10_labeled').mkdir(parents=True)
    (data / 'cifar10_labeled' / 'mine').write_text('mine')
    with pytest.raises(OSRefusal, match='cifar10_labeled.* exists already'):
        cifar10(source, data)
    assert files(data) == {'cifar10_labeled/mine': b'mine'}
    # Another process is quicker: its folder appears before the move.
    (data / 'cifar10_labeled').rename(data / 'aside')
    write_lists = Task.write_lists

    def and_another(task):
        write_lists(task)
        (data / 'aside').rename(data / 'cifar10_labeled')

    monkeypatch.setattr(Task, 'write_lists', and_another)
    with pytest.raises(OSRefusal, match='cannot be moved'):
        cifar10(source, data)
    assert files(data) == {'cifar10_labeled/mine': b'mine'}
    assert os.listdir(data) == ['cifar10_labeled']


class Exploit:
    def __reduce__(self):
        return os.mkdir, ('reached',)


def test_a_pickle_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = raw.cifar10_folder(tmp_path, raw.cifar10_batches(), False)
    raw.dump(source / 'data_batch_3', dict(data=Exploit(), labels=[]))
    with pytest.raises(ValueRefusal, match='data_batch_3.*asks for posix.mkdir'):
        cifar10(source, tmp_path / 'data')
    assert not (tmp_path / 'reached').exists()


def test_archives_that_are_none_of_the_publishers(tmp_path):
    folder = raw.dtd_folder(tmp_path)
    whole = raw.packed(folder, tmp_path / 'dtd.tar.gz').read_bytes()

    def refused(path, match, error=ValueRefusal):
        with pytest.raises(error, match=match):
            prepare('dtd', str(path), str(tmp_path / 'data'), allow_incomplete=True)

    for size in (len(whole) // 2, 5):
        cut = tmp_path / 'cut.tar.gz'
        cut.write_bytes(whole[:size])
        refused(cut, 'cut off.* Download it again')
    refused(tmp_path / 'none.tar.gz', 'does not exist', FileNotFoundRefusal)
    refused(raw.camvid_folder(tmp_path), 'not the source of dtd')
    shutil.copytree(folder, tmp_path / 'twice/a')
    shutil.copytree(folder, tmp_path / 'twice/b')
    refused(tmp_path / 'twice', 'more than once')
    outside = tmp_path / 'outside.tar'
    with tarfile.open(outside, 'w') as archive:
        info = tarfile.TarInfo('dtd/../../evil')
        info.size = 4
        archive.addfile(info, io.BytesIO(b'evil'))
    refused(outside, 'outside of its folder')
    assert not (tmp_path / 'evil').exists()


@pytest.mark.parametrize(
    'change, match',
    [
        (lambda c: c.update(cats=3), '--counts cats is unknown'),
        (lambda c: c.update(train_per_class=0), 'train_per_class=0 is too small'),
        (lambda c: c.update(unlabeled=55), 'Choose a multiple of 10'),
        (lambda c: c.update(train_per_class=99), 'airplane.* Choose fewer'),
    ],
)
def test_counts_that_cannot_be(change, match, tmp_path):
    source = raw.cifar10_folder(tmp_path, raw.cifar10_batches(), True)
    counts = dict(COUNTS)
    change(counts)
    with pytest.raises(ValueRefusal, match=match):
        prepare(
            'cifar10',
            str(source),
            str(tmp_path / 'data'),
            counts=counts,
            allow_incomplete=True,
        )


@pytest.mark.parametrize(
    'damage, match',
    [
        (
            lambda root: (root / 'Annotations/BloodImage_00001.xml').write_text(
                '<annotation><object><name>RBC</name></object></annotation>'
            ),
            'not an annotation in VOC',
        ),
        (
            lambda root: (root / 'Annotations/BloodImage_00001.xml').write_text(
                (root / 'Annotations/BloodImage_00001.xml')
                .read_text()
                .replace('WBC', 'wbc')
            ),
            "class 'wbc', but the classes of BCCD are RBC, WBC, Platelets",
        ),
    ],
)
def test_damaged_annotations_are_named(damage, match, tmp_path):
    folder = raw.bccd_folder(tmp_path)
    damage(folder)
    with pytest.raises(ValueRefusal, match=match):
        prepare('bccd', str(folder), str(tmp_path / 'data'), allow_incomplete=True)


def test_labels_of_another_size_or_number_are_named(tmp_path):
    folder = raw.camvid_folder(tmp_path)
    path = folder / 'trainannot' / '0001TP_train00002.png'
    labels = np.array(Image.open(path))
    for wrong in (labels[:-1], labels + 1):
        Image.fromarray(wrong).save(path)
        with pytest.raises(ValueRefusal, match='trainannot/0001TP_train00002'):
            prepare(
                'camvid', str(folder), str(tmp_path / 'data'), allow_incomplete=True
            )


def test_a_refusal_is_one_line(tmp_path):
    result = subprocess.run(
        [
            sys.executable,
            ROOT / 'tools/prepare_dataset.py',
            'dtd5',
            'nowhere',
            tmp_path,
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.count('\n') == 1 and "'nowhere'" in result.stderr


def test_an_interruption_leaves_nothing(tmp_path):
    data = tmp_path / 'data'
    # A source that never arrives: the tool waits after it has made a folder.
    os.mkfifo(tmp_path / 'source')
    process = subprocess.Popen(
        [
            sys.executable,
            ROOT / 'tools/prepare_dataset.py',
            'dtd5',
            tmp_path / 'source',
            data,
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    writer, end = None, time.monotonic() + 60
    try:
        while writer is None:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
            # Nobody can write before the tool reads, so by now its folder is made.
            with suppress(OSError):
                writer = os.open(tmp_path / 'source', os.O_WRONLY | os.O_NONBLOCK)
        assert os.listdir(data)
        # Python drops what a signal raises within a destructor, about once in 150 times.
        while process.poll() is None:
            assert time.monotonic() < end
            process.terminate()
            time.sleep(1)
        assert 'nothing was written' in process.communicate()[1]
    finally:
        process.kill()
        if writer is not None:
            os.close(writer)
    assert process.returncode == 1 and os.listdir(data) == []
