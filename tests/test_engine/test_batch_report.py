"""If the loss of a step is not a number, the message describes the batch."""

import dense_models
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from pretext_models import Ready, bissl_model, sgd_wrapper
from small_models import simclr_cfg, views
from torch.nn import functional as F

from bissl_mm.engine.checks.batch_labels import describe
from bissl_mm.engine.checks.batch_report import explained
from bissl_mm.engine.steps.parts import check_finite
from bissl_mm.hypergradient import Identity


class AsIs(torch.nn.Module):
    """A minimal data preprocessor for batches that are ready."""

    def forward(self, data, training=False):
        return data


class PlainCrossEntropy(torch.nn.Module):
    """The mean over no labels is 0 / 0, as in torch."""

    def __init__(self, ignore_index):
        super().__init__()
        self.ignore_index = ignore_index
        self.loss_name = 'loss_ce'

    def forward(self, scores, labels, *args, **kwargs):
        return F.cross_entropy(scores, labels, ignore_index=self.ignore_index)


class SoftCrossEntropy(torch.nn.Module):
    """A loss of class scores."""

    def forward(self, scores, target, **kwargs):
        return -(target * scores.log_softmax(1)).sum(1).mean()


def message(step, *args, **kwargs) -> str:
    with pytest.raises(FloatingPointError) as info:
        step(*args, **kwargs)
    text = str(info.value)
    assert 'The parameters were not changed by this step' in text
    return text


def classifier(**kwargs):
    model = bissl_model('SimCLR', torch.float32)
    model.downstream.head.loss_module = PlainCrossEntropy(-1)
    return model, sgd_wrapper(model, **kwargs)


def labeled(labels):
    return dict(inputs=views(len(labels))[0], data_samples=torch.tensor(labels))


@pytest.mark.parametrize('stage', ['warm-up', 'upper'])
def test_classes_that_are_ignored_are_blamed(stage, monkeypatch):
    # A plain sample cannot have a negative class.
    monkeypatch.setattr(
        Ready,
        'forward',
        lambda self, data, training: dict(
            inputs=data['inputs'].to(self.dtype),
            data_samples=[
                sample(f'{i}.png', gt_label=torch.tensor([int(label)]))
                for i, label in enumerate(data['data_samples'])
            ],
        ),
    )
    model, wrapper = classifier()
    step = wrapper.head_warmup_step
    if stage == 'upper':
        wrapper.system.bound = wrapper.system.solver.bind(Identity())
        step = wrapper.upper_step
    text = message(step, model, labeled([-1, -1, -1]), seed=1)
    assert 'is nan. No label of the batch can be used: 0.png (0 of 1 labels)' in text
    assert 'Correct the labels of these images' in text


def test_one_part_of_a_batch_without_labels_is_enough(monkeypatch):
    monkeypatch.setattr(
        Ready,
        'forward',
        lambda self, data, training: dict(
            inputs=data['inputs'].to(self.dtype),
            data_samples=[
                sample(f'{int(label)}.png', gt_label=label[None] % 10 - 1)
                for label in data['data_samples']
            ],
        ),
    )
    model, wrapper = classifier(num_micro_batches=dict(upper=2))
    # The last digit is the class plus one.
    wrapper.head_warmup_step(model, labeled([11, 20, 30, 41]), seed=1)
    text = message(wrapper.head_warmup_step, model, labeled([11, 21, 30, 40]), seed=1)
    assert 'used: 30.png (0 of 1 labels), 40.png (0 of 1 labels). ' in text


def sample(path=None, **labels):
    found = BaseDataElement(
        metainfo={} if path is None else dict(img_path=path), **labels
    )
    return found


def segmentor(ignore_index=255):
    model = dense_models.build(dense_models.segmentor_cfg(), simclr_cfg())
    head = model.downstream.decode_head
    head.ignore_index = ignore_index
    head.loss_decode = PlainCrossEntropy(ignore_index)
    model.downstream.data_preprocessor = AsIs()
    return model, sgd_wrapper(model)


@pytest.mark.mmcv_ops
@pytest.mark.parametrize('ignore_index', [255, 0])
def test_masks_that_are_ignored_are_blamed(ignore_index):
    model, wrapper = segmentor(ignore_index)
    batch = dense_models.segmentation_batch()
    for each in batch['data_samples']:
        each.gt_sem_seg.data[each.gt_sem_seg.data == 255] = ignore_index
    wrapper.head_warmup_step(model, batch, seed=0)
    for i, each in enumerate(batch['data_samples']):
        each.gt_sem_seg.data[:] = ignore_index
        each.set_metainfo(dict(img_path=f'folder/{i}.png'))
    text = message(wrapper.head_warmup_step, model, batch, seed=0)
    assert (
        'head warm-up: loss is nan. No label of the batch can be used: '
        'folder/0.png (0 of 3072 mask pixels with a class), folder/1.png ' in text
    )
    assert 'A loss without labels is not a number' in text


@pytest.mark.mmcv_ops
def test_boxes_without_an_area_are_blamed():
    model = dense_models.build(
        dense_models.detector_cfg(),
        dense_models.wide_simclr_cfg(),
        backbone_map=dict(rules=dense_models.C4_RULES),
    ).float()
    model.downstream.data_preprocessor = AsIs()
    wrapper = sgd_wrapper(model)
    # At the edge of the image, where clipped boxes end.
    batch = dense_models.detection_batch(
        ((63.0, 8.0, 63.0, 36.0), (20.0, 4.0, 60.0, 44.0))
    )
    batch['inputs'] = batch['inputs'].float()
    for i, each in enumerate(batch['data_samples']):
        each.gt_instances.bboxes = each.gt_instances.bboxes.float()
        each.set_metainfo(dict(img_path=f'{i}.jpg'))
    text = message(wrapper.head_warmup_step, model, batch, seed=0)
    assert 'Boxes of the batch have no area' in text
    assert '0.jpg (1 of 2 boxes with an area)' in text
    assert 'Correct the boxes' in text


def test_boxes_are_blamed_where_not_one_is_finite():
    endless = torch.tensor([[1.0, 2.0, float('inf'), 4.0]])
    report = describe(
        [
            dict(
                inputs=torch.zeros(1, 3, 4, 4),
                data_samples=[sample('a', gt_instances=InstanceData(bboxes=endless))],
            )
        ],
        set(),
    )
    with pytest.raises(FloatingPointError) as info:
        check_finite('upper level', loss=float('nan'))
    assert 'Boxes of the batch have no area' in str(explained(info.value, report))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_images_that_hold_no_numbers_are_blamed(value):
    model, wrapper = classifier()
    first, second = views(4)
    second[2, 0, 0, 0] = value
    text = message(wrapper.lower_step, model, dict(inputs=[first, second]), seed=0)
    assert (
        'lower level: pretext_loss is nan. Images of the batch contain NaN '
        'or infinity after preprocessing: image 2 of the batch. ' in text
    )
    # The batch of the Hessian, too; there the solver finds it.
    wrapper.begin_upper_phase(model, [dict(inputs=[first, second])], seed=0)
    text = message(wrapper.upper_step, model, labeled([0, 1]), seed=0)
    assert text.startswith('CGSolver: ') and 'image 2 of the batch' in text


def test_a_good_batch_leaves_the_learning_rate_to_blame():
    model, wrapper = classifier()
    with torch.no_grad():
        model.downstream.head.fc.weight.fill_(1e38)
    text = message(wrapper.head_warmup_step, model, labeled([0, 1, 2]), seed=0)
    assert 'The batch: image 0 of the batch (1 of 1 labels), image 1' in text
    assert 'Lower the learning rate of this level' in text


def test_labels_are_counted_by_image_and_part():
    boxes = torch.tensor(
        [[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 1.0, 3.0], [1.0, 1.0, 2.0, float('inf')]]
    )
    nothing = InstanceData(bboxes=torch.zeros(0, 4))
    mask = PixelData(data=torch.tensor([[[0, 1, 255], [7, 255, -1]]]))
    report = describe(
        [
            dict(
                inputs=torch.zeros(2, 3, 4, 4),
                data_samples=[
                    sample('a', gt_instances=InstanceData(bboxes=boxes)),
                    sample('b', gt_instances=nothing),
                ],
            ),
            dict(
                inputs=[torch.zeros(3, 2, 3), torch.ones(3, 5, 4)],
                data_samples=[sample('c', gt_sem_seg=mask), sample('d')],
            ),
            dict(inputs=[torch.zeros(2, 3, 4, 4)] * 2, data_samples=None),
        ],
        ignored={255, 7},
    )
    assert [str(image) for image in report] == [
        'a (1 of 3 boxes with an area)',
        'b (0 of 0 boxes with an area)',
        'c (2 of 6 mask pixels with a class)',
        'd',
        'image 4 of the batch',
        'image 5 of the batch',
    ]
    assert [len(part) for part in report.parts] == [2, 2, 2]
    assert not report.parts_without_labels()
    report = describe(
        [
            dict(
                inputs=torch.zeros(1, 3, 4, 4),
                data_samples=[sample('b', gt_instances=nothing)],
            )
        ],
        set(),
    )
    assert len(report.parts_without_labels()) == 1


def test_class_255_is_one_of_many_unless_a_mask_holds_it():
    """A report of a batch of one image; ImageNet has 1000 classes."""
    report = describe(
        [
            dict(
                inputs=torch.zeros(1, 3, 4, 4),
                data_samples=[sample('a', gt_label=torch.tensor([255]))],
            ),
            dict(
                inputs=torch.zeros(1, 3, 4, 4),
                data_samples=[
                    sample('b', gt_sem_seg=PixelData(data=torch.full((1, 4, 4), 255)))
                ],
            ),
        ],
        set(),
    )
    assert [str(image) for image in report] == [
        'a (1 of 1 labels)',
        'b (0 of 16 mask pixels with a class)',
    ]


def test_class_scores_that_are_no_numbers_are_blamed(monkeypatch):
    monkeypatch.setattr(
        Ready,
        'forward',
        lambda self, data, training: dict(
            inputs=data['inputs'].to(self.dtype),
            data_samples=[
                sample(f'{i}.png', gt_score=F.one_hot(torch.tensor(0), 3) / label)
                for i, label in enumerate(data['data_samples'])
            ],
        ),
    )
    model, wrapper = classifier()
    model.downstream.head.loss_module = SoftCrossEntropy()
    text = message(wrapper.head_warmup_step, model, labeled([1, 0, 2]), seed=1)
    assert (
        'is nan. Class scores of the batch are not finite: 1.png (0 of 3 '
        'class scores). ' in text
    )
    assert 'Correct the scores of these images' in text


def explained_on(rank, world):
    """Rank 1's batch has no label, rank 0's has some."""
    mask = torch.full((1, 4, 4), 255 * rank)
    report = describe(
        [
            dict(
                inputs=torch.zeros(1, 3, 4, 4),
                data_samples=[sample(f'{rank}.png', gt_sem_seg=PixelData(data=mask))],
            )
        ],
        {255},
    )
    try:
        check_finite('upper level', loss_at_upper=float('nan'))
    except FloatingPointError as error:
        return str(explained(error, report))


@pytest.mark.dist
@pytest.mark.whole
def test_the_rank_whose_batch_it_was_is_named(pool):
    for text in pool.run(explained_on):
        assert 'is nan. On rank 1, no label of the batch can be used: 1.png' in text
