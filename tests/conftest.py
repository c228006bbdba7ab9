import gc
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

if 'PYTEST_XDIST_WORKER' in os.environ:
    # Workers share the cores. With more threads than cores, tests take several
    # times as long, and so do the commands that tests start.
    torch.set_num_threads(1)
    os.environ.setdefault('OMP_NUM_THREADS', '1')

ROOT = Path(__file__).resolve().parents[1]


if os.environ.get('BISSL_OPERATORS') == 'torchvision':
    import torchvision_operators

    torchvision_operators.install()

#: mmdet and upstream's mmseg cannot be imported without compiled operators.
HAS_MMCV_OPS = importlib.util.find_spec('mmcv._ext') is not None


def pytest_runtest_setup(item):
    if item.get_closest_marker('mmcv_ops') and not HAS_MMCV_OPS:
        pytest.skip('needs the compiled operators of mmcv')
    if item.get_closest_marker('gpu') and not torch.cuda.is_available():
        pytest.skip('needs a CUDA device')


def pytest_collection_modifyitems(items):
    """Run slow files first, so that no worker has one left at the end."""
    items.sort(key=lambda item: item.get_closest_marker('slow') is None)


def pytest_collection_finish():
    """Keep the garbage collector from searching the imported libraries.

    mmengine collects garbage whenever it builds a dataset. Objects of the
    libraries that are imported already are never garbage.
    """
    gc.freeze()


@pytest.fixture(autouse=True)
def no_look_over_the_data(request, monkeypatch):
    """Switch the look over the data off in the engine's tests.

    They have generated data. The look has its own tests, and the tests of the
    configs and of the tools leave it on.
    """
    if request.path.parent.name == 'test_engine':
        monkeypatch.setenv('BISSL_LOOK', '0')


@pytest.fixture(autouse=True)
def bugs_of_the_look_are_raised(monkeypatch):
    from bissl_mm.engine.checks import data_look

    monkeypatch.setattr(data_look, 'RAISE_BUGS', True)


@pytest.fixture(autouse=True)
def _single_scope():
    """Start each test without a scope or a visualizer that another one has left."""
    instances = DefaultScope._instance_dict
    before = dict(instances)
    yield
    instances.clear()
    instances.update(before)
    # Two runs of one second have one name, and the second would write into the first
    # one's folder, which is gone.
    for visualizer in (Visualizer, *Visualizer.__subclasses__()):
        visualizer._instance_dict.clear()


@pytest.fixture(params=['cpu', pytest.param('cuda', marks=pytest.mark.gpu)])
def device(request, monkeypatch) -> str:
    """Each device in turn; mmengine's runners take it, too."""
    monkeypatch.setattr('mmengine.device.utils.DEVICE', request.param)
    return request.param


@pytest.fixture
def float64():
    """Double precision by default within a test."""
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(previous)


CONFORMANCE_DIR = Path(
    os.environ.get('BISSL_CONFORMANCE_DIR', ROOT / 'tests' / 'conformance')
)


@pytest.fixture(scope='session')
def pool():
    """Two gloo processes."""
    from dist_pool import Pool

    pool = Pool(2)
    yield pool
    pool.close()


@pytest.fixture(scope='module')
def module_folder(request, tmp_path_factory) -> Iterator[Path]:
    """A folder that the tests of a file share; it goes with the last of them."""
    root = tmp_path_factory.mktemp(request.module.__name__)
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope='session')
def image_folders(tmp_path_factory) -> Path:
    """Small folders of unlabeled and of labeled pictures."""
    from small_run import make_folders

    root = tmp_path_factory.mktemp('images')
    make_folders(root)
    return root


@pytest.fixture
def plain_config_text(monkeypatch):
    """mmengine formats the whole config with yapf at every checkpoint.

    That takes most of the time of a small run, and nothing here reads it.
    """
    from mmengine.config import Config

    monkeypatch.setattr(
        Config, 'pretty_text', property(lambda self: 'not formatted in tests')
    )


@pytest.fixture
def log_lines(monkeypatch) -> list:
    """What the package logs outside of a runner."""
    lines = []
    weights = ('models.weights.pretrained', 'models.weights.taken')
    for module in ('datasets.seeded_dataset', *weights):
        monkeypatch.setattr(
            f'bissl_mm.{module}.print_log', lambda text, **kwargs: lines.append(text)
        )
    return lines
