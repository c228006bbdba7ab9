"""The files of GLUE, their tokens and their metrics."""

import math

import numpy as np
import pytest
import torch
from glue_folder import write_glue
from mmengine.dataset import pseudo_collate
from mmengine.structures import BaseDataElement

from bissl_mm.text import GLUEDataset, GLUEMetric, GPTLanguageModel, TextChunks
from bissl_mm.text.chunks import vocabulary_beside
from bissl_mm.text.glue_files import TASKS, read_glue
from bissl_mm.utils.errors import FileNotFoundRefusal, Refusal


@pytest.fixture(scope='module')
def glue(tmp_path_factory):
    return write_glue(tmp_path_factory.mktemp('glue'))


@pytest.mark.parametrize('name', TASKS)
def test_published_files_are_read(name, glue):
    task = TASKS[name]
    rows = read_glue(task, str(glue / task.folder / 'train.tsv'))
    assert len(rows) == 20
    sentences, label = rows[1]
    assert sentences[0].startswith('the "day was ')
    assert len(sentences) == len(task.sentences)
    assert all(s.startswith('it was') for s in sentences[1:])
    if not task.labels:
        assert 4 <= label <= 5 and 1 <= rows[0][1] <= 2
    else:
        positive = ('acceptable', 'positive', 'entailment', 'equivalent', 'duplicate')
        assert task.classes[int(label)] in positive
        assert rows[0][1] == 1 - label


@pytest.mark.parametrize(
    'text, message',
    [
        ('sentence\tanswer\nx\t1\n', "no column 'label'"),
        ('', "no column 'label'.*nothing"),
        ('sentence\tlabel\n', 'no rows'),
        ('sentence\tlabel\nx\t1\ny\tmaybe\n', '1 of 2 rows.*first: line 3'),
        ('sentence\tlabel\nx\ny\t0\n', '1 of 2 rows.*first: line 2'),
    ],
)
def test_other_files_are_refused(text, message, tmp_path):
    path = tmp_path / 'train.tsv'
    path.write_text(text)
    with pytest.raises(Refusal, match=message):
        read_glue(TASKS['sst2'], str(path))


def test_few_broken_rows_are_left_out(tmp_path, caplog):
    path = tmp_path / 'train.tsv'
    path.write_text('sentence\tlabel\n' + 'a \u2028 b\t1\r\n' * 150 + 'broken\n')
    rows = read_glue(TASKS['sst2'], str(path))
    assert rows == [(['a \u2028 b'], 1)] * 150


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundRefusal, match='RTE/train.tsv'):
        read_glue(TASKS['rte'], str(tmp_path / 'train.tsv'))
    with pytest.raises(FileNotFoundRefusal, match='prepare_text'):
        TextChunks(str(tmp_path))


def test_chunks_have_equal_length(tmp_path):
    np.arange(23, dtype='<i4').tofile(tmp_path / 'tokens.bin')
    data = TextChunks(str(tmp_path), context=5)
    assert [d['inputs'].tolist() for d in data] == [
        list(range(i, i + 5)) for i in (0, 5, 10, 15)
    ]
    with pytest.raises(Refusal, match='has 23 tokens, and context=24'):
        TextChunks(str(tmp_path), context=24)


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
    pytest.importorskip('tokenizers')
    from bissl_mm.text.prepare import prepare_text

    folder = tmp_path_factory.mktemp('text')
    text = 'The "day was good, bad, fine. He said it was great ?\n' * 3
    (folder / 'a.txt').write_text(text)
    vocabulary, number = prepare_text(str(folder), str(folder / 'out'), None, 60)
    assert 20 < vocabulary <= 60
    assert len(TextChunks(str(folder / 'out'), 2)) == number // 2
    return folder / 'out/tokenizer.json'


def test_another_vocabulary_than_the_texts_is_refused(tokenizer, tmp_path):
    """In the pretraining, not at the stage after it."""
    from tokenizers import Tokenizer, models

    number = Tokenizer.from_file(str(tokenizer)).get_vocab_size()
    batch = pseudo_collate([TextChunks(str(tokenizer.parent), 2)[0]] * 3)
    for size in (number, number + 1):
        backbone = dict(
            type='bissl_mm.GPTBackbone',
            vocab_size=size,
            context=4,
            embed_dims=4,
            num_layers=1,
            num_heads=1,
        )
        model = GPTLanguageModel(backbone)
        if size == number:
            assert model.data_preprocessor(batch)['inputs'].shape == (3, 2)
            continue
        with pytest.raises(Refusal, match=f'has {number} tokens.*SIZE={number},'):
            model.data_preprocessor(batch)
    # Tokens that were added, another kind of model, no file, and a damaged one.
    for kind in (
        models.Unigram([('a', -1.0), ('b', -2.0)]),
        models.WordLevel({'a': 0}),
    ):
        other = Tokenizer(kind)
        other.add_special_tokens(['a', '<pad>'])
        other.save(str(tmp_path / 'tokenizer.json'))
        assert vocabulary_beside(str(tmp_path)) == other.get_vocab_size()
    assert vocabulary_beside(str(tmp_path / 'none')) is None
    for damage in ('{', '[]', '{"model": {}}'):
        (tmp_path / 'tokenizer.json').write_text(damage)
        with pytest.raises(Refusal, match='tokenizer.json.* cannot be read'):
            vocabulary_beside(str(tmp_path))


def test_inputs_of_each_kind_of_task(glue, tokenizer):
    from bissl_mm.text.tokenizer import load_tokenizer

    known = load_tokenizer(str(tokenizer))
    start = known.get_vocab_size()

    def words(ids):
        assert ids[0] == start and ids[-1] == start + 1
        parts = ' '.join('|' if i == start + 2 else str(i) for i in ids[1:-1])
        return [known.decode([*map(int, p.split())]) for p in parts.split('|')]

    def dataset(task, split='train'):
        return GLUEDataset(task, str(glue), str(tokenizer), split=split)

    (sentence,) = words(dataset('sst2')[0]['inputs'].tolist())
    assert sentence.startswith('the " day was')
    first, second = words(dataset('rte')[1]['inputs'].tolist())
    assert first.startswith('the') and second.endswith('he said')
    pairs = dataset('mrpc')[1]['inputs']
    assert pairs.shape[0] == 2
    assert words(pairs[0].tolist()) == words(pairs[1].tolist())[::-1]
    sample = dataset('stsb')[1]['data_samples']
    assert 4 <= sample.gt_score.item() <= 5 and 'gt_label' not in sample
    sizes = [len(dataset('cola', split)) for split in ('train', 'val', 'test')]
    assert sizes == [16, 4, 6]
    assert dataset('rte').metainfo['classes'] == ('entailment', 'not_entailment')


def test_long_inputs_are_left_out(glue, tokenizer):
    whole = GLUEDataset('cola', str(glue), str(tokenizer))
    lengths = [len(item['inputs']) for item in whole]
    middle = sorted(lengths)[8]
    short = GLUEDataset('cola', str(glue), str(tokenizer), context=middle)
    assert len(short) == sum(n <= middle for n in lengths)
    with pytest.raises(Refusal, match='all 16 inputs.*context=3'):
        GLUEDataset('cola', str(glue), str(tokenizer), context=3)
    with pytest.raises(FileNotFoundRefusal, match='neither a tokenizer.json'):
        GLUEDataset('cola', str(glue), str(glue / 'none'))


def test_published_vocabularies_are_read(tmp_path, tokenizer):
    """Folders with vocab.json and merges.txt, as GPT's are published."""
    import json

    from bissl_mm.text.tokenizer import load_tokenizer

    model = json.loads(tokenizer.read_text())['model']
    (tmp_path / 'vocab.json').write_text(json.dumps(model['vocab']))
    merges = [m if isinstance(m, str) else ' '.join(m) for m in model['merges']]
    (tmp_path / 'merges.txt').write_text('#version: 0.2\n' + '\n'.join(merges) + '\n')
    found, learned = load_tokenizer(str(tmp_path)), load_tokenizer(str(tokenizer))
    text = 'The day was fine, he said'
    assert found.encode(text).ids == learned.encode(text).ids
    (tmp_path / 'vocab.json').write_text('{')
    with pytest.raises(Refusal, match='cannot be read'):
        load_tokenizer(str(tmp_path))


def measured(task, targets, predictions):
    metric = GLUEMetric(task)
    kind = 'label' if TASKS[task].labels else 'score'
    metric.process(
        {},
        [
            BaseDataElement(
                **{f'gt_{kind}': torch.tensor([t]), f'pred_{kind}': torch.tensor([p])}
            ).to_dict()
            for t, p in zip(targets, predictions, strict=True)
        ],
    )
    return metric.evaluate(len(targets))


@pytest.mark.parametrize('task', ['cola', 'sst2', 'rte', 'qnli', 'mrpc', 'qqp'])
def test_class_metrics_are_their_formulas(task):
    pytest.importorskip('sklearn')
    targets = [1, 1, 1, 0, 0, 1, 0, 1]
    predictions = [1, 0, 1, 0, 1, 1, 0, 1]
    tp, tn, fp, fn = 4, 2, 1, 1
    expected = dict(
        accuracy=(tp + tn) / 8,
        f1=2 * tp / (2 * tp + fp + fn),
        matthews=(tp * tn - fp * fn)
        / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)),
    )
    name = dict(cola='matthews', mrpc='f1', qqp='f1').get(task, 'accuracy')
    found = measured(task, targets, predictions)
    assert found == {f'glue/{name}': pytest.approx(100 * expected[name])}


def test_pearson_is_its_formula():
    x, y = [1.0, 2.5, 4.0, 5.0], [0.5, 2.0, 4.5, 3.0]
    a, b = np.array(x) - np.mean(x), np.array(y) - np.mean(y)
    expected = (a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum())
    found = measured('stsb', x, y)
    assert found == {'glue/pearson': pytest.approx(100 * expected)}
    assert measured('stsb', x, [2.0] * 4) == {'glue/pearson': 0.0}
