# The settings of the small Tables 1 and 3: three sets of images at 32 px, a ResNet of
# 307,000 weights. Lambda and the upper learning rate are those that benchmarks/evidence
# chose on validation images of hand signs and CIFAR-10. To take an hour of one core,
# T is half of what was chosen there, pretraining has 20 epochs instead of 100, and
# fine-tuning 100 steps instead of 150. The data:
#   export BISSL_DATA_DIR=path/with/cifar10_unlabeled,cifar10_labeled,sign_digits,dtd5
# (train/, val/ and test/ with a folder of images per class each; unlabeled: images/).
_data = '{{$BISSL_DATA_DIR:data}}'
_unlabeled = f'{_data}/cifar10_unlabeled/images'
_alternations, _lower_steps = 30, 10
_epochs = 20

settings = dict(
    pretext='../../configs/pretext/simclr_r10_b256-60e_imagefolder-32px.py',
    bilevel='../../configs/bissl/bissl-simclr_r10_b128-10x4-30t_imagefolder-32px.py',
    fine_tune='../../configs/fine_tune/r10_32px.py',
    options=dict(
        pretext={
            'train_dataloader.dataset.dataset.data_root': _unlabeled,
            'train_cfg.max_epochs': _epochs,
            'param_scheduler.1.end': _epochs,
        },
        bilevel={
            'train_cfg.pretext_dataloader.dataset.dataset.data_root': _unlabeled,
            'optim_wrapper.regularizer.weight': 0.01,
            'optim_wrapper.upper.optimizer.lr': 0.06,
            'train_cfg.num_alternations': _alternations,
            'train_cfg.val_interval': _alternations,
            # A tenth of the lower steps warms up.
            'param_scheduler.lower.0.end': _alternations * _lower_steps // 10,
            'param_scheduler.lower.1.begin': _alternations * _lower_steps // 10,
        },
    ),
)
# By set: folder, classes, training images that are used (every fourth of a class, so
# 25 of CIFAR-10 and 5 of hand signs), and epochs that make 100 steps.
_sets = {
    'CIFAR-10, 25 labels a class': ('cifar10_labeled', 10, range(0, 1000, 4), 20),
    'hand signs, 5 labels a class': ('sign_digits', 10, range(0, 200, 4), 100),
    'textures (DTD), 5 classes': ('dtd5', 5, range(200), 25),
}
tasks = {
    _name: dict(
        like='imagefolder-32px',
        stage={
            **{
                f'{_part}_dataloader.dataset.dataset.data_root': f'{_data}/{_folder}'
                for _part in ('train', 'val', 'test')
            },
            'train_dataloader.dataset.dataset.indices': list(_used),
            'train_dataloader.batch_size': 50,
            'model.downstream.head.num_classes': _classes,
        },
        fine_tune={
            **{
                f'{_part}_dataloader.dataset.dataset.data_root': f'{_data}/{_folder}'
                for _part in ('train', 'val', 'test')
            },
            'train_dataloader.dataset.dataset.indices': list(_used),
            'train_dataloader.batch_size': 50,
            'model.head.num_classes': _classes,
            'train_cfg.max_epochs': _epochs_of,
            'train_cfg.val_interval': _epochs_of // 10,
            'param_scheduler.end': _epochs_of,
        },
    )
    for _name, (_folder, _classes, _used, _epochs_of) in _sets.items()
}
search = dict(settings=3)
seeds = 5
