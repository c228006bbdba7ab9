"""Hostile files run nothing from any source; honest files can be loaded."""

import http.server
import importlib.util
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path

import honest_files
import hostile_files
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import backends
from mmengine.fileio import io as fileio
from mmengine.model import BaseModule
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torchvision.models import resnet18

from bissl_mm.models.weights.public_weights import to_mmpretrain
from bissl_mm.utils import checkpoint_sources
from bissl_mm.utils.checkpoint import load_checkpoint, state_dict_of, use_safe_loading

HAS_SAFETENSORS = importlib.util.find_spec('safetensors') is not None
MODEL_ZOOS = dict(
    get_torchvision_models=('torchvision', 'modelzoo'),
    get_external_models=('open-mmlab', 'openmmlab'),
    get_mmcls_models=('mmcls',),
)
SCHEMES = (
    '',
    'path',
    'file',
    'http',
    *sum(MODEL_ZOOS.values(), ()),
    's3',
    'open-mmlab:s3',
    'petrel',
)


@pytest.fixture(scope='module', autouse=True)
def extension():
    hostile_files.register_extension()


@pytest.mark.parametrize('kind', [*hostile_files.EXECUTING, *hostile_files.OTHER])
def test_a_hostile_file_runs_nothing(kind, tmp_path):
    if kind.startswith('safetensors') and not HAS_SAFETENSORS:
        pytest.skip('needs safetensors')
    marker, path = tmp_path / 'marker', tmp_path / 'evil.pth'
    executing = kind in hostile_files.EXECUTING
    make = (hostile_files.EXECUTING if executing else hostile_files.OTHER)[kind]
    path.write_bytes(make(hostile_files.marking(marker)))
    with pytest.raises(ValueError, match='evil.pth'):
        load_checkpoint(path)
    assert not marker.exists()
    if executing:
        # Check that the file does run code with torch's own loader.
        with suppress(Exception):
            torch.load(path, weights_only=False)
        assert marker.exists()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The address of a folder, which the schemes know, too."""
    folder = tmp_path / 'served'
    folder.mkdir()
    served = http.server.ThreadingHTTPServer(
        ('127.0.0.1', 0), partial(Quiet, directory=str(folder))
    )
    thread = threading.Thread(target=served.serve_forever, args=(0.05,))
    thread.start()
    address = f'http://127.0.0.1:{served.server_port}'
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    for name in MODEL_ZOOS:
        monkeypatch.setattr(
            mmengine_checkpoint, name, lambda: dict(file=f'{address}/file.pth')
        )

    class FromFolder(backends.LocalBackend):
        def get(self, filepath):
            return (folder / Path(filepath).name).read_bytes()

    registered = dict(backends.registry_utils.backends)
    monkeypatch.setattr(fileio, 'backend_instances', {})
    backends.register_backend('petrel', FromFolder, force=True)
    schemes = dict(CheckpointLoader._schemes)
    use_safe_loading()
    yield folder, address
    CheckpointLoader._schemes = schemes
    backends.registry_utils.backends.clear()
    backends.registry_utils.backends.update(registered)
    served.shutdown()
    thread.join()
    served.server_close()


def source_of(scheme, folder, address):
    path = folder / 'file.pth'
    return {
        '': str(path),
        'path': path,
        'file': f'file://{path}',
        'http': f'{address}/file.pth',
    }.get(
        scheme,
        f'{scheme}://bucket/file.pth'
        if scheme.endswith(('s3', 'petrel'))
        else f'{scheme}://file',
    )


class Net(BaseModule):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.backbone = torch.nn.Linear(2, 2)


@pytest.mark.parametrize('scheme', SCHEMES)
def test_no_scheme_runs_code_and_each_one_loads(scheme, server, tmp_path):
    folder, address = server
    source, marker = source_of(scheme, folder, address), tmp_path / 'marker'
    evil = hostile_files.EXECUTING['GLOBAL and REDUCE (before 1.6)']
    (folder / 'file.pth').write_bytes(evil(hostile_files.marking(marker)))
    loads = [load_checkpoint]
    if scheme != 'path':
        loads += [
            CheckpointLoader.load_checkpoint,
            lambda source: Net(
                init_cfg=dict(type='Pretrained', checkpoint=source)
            ).init_weights(),
        ]
    for load in loads:
        with pytest.raises(ValueError, match='could run code'):
            load(source)
    assert not marker.exists()
    (folder / 'file.pth').write_bytes(b'')
    for path in tmp_path.glob('hub/checkpoints/*'):
        path.unlink()
    torch.save(
        dict(state_dict={'backbone.weight': torch.ones(2, 2)}), folder / 'file.pth'
    )
    for load in loads[:2]:
        (weight,) = load(source)['state_dict'].values()
        assert weight.sum() == 4


def test_addresses_of_one_file_name_are_two_files(server):
    folder, address = server
    for name in 'ab':
        (folder / name).mkdir()
        torch.save(dict(name=name), folder / name / 'model.pth')
    for name in 'ab':
        assert load_checkpoint(f'{address}/{name}/model.pth') == dict(name=name)
    # A file that torch's hub has fetched is used if its name proves its content.
    (folder / 'a' / 'model.pth').rename(folder / 'a' / 'model-0123abcd.pth')
    kept = Path(torch.hub.get_dir(), 'checkpoints', 'model-0123abcd.pth')
    torch.save(dict(name='another'), kept)
    assert load_checkpoint(f'{address}/a/{kept.name}') == dict(name='a')
    digest = checkpoint_sources.hashlib.sha256(kept.read_bytes()).hexdigest()
    released = kept.with_name(f'model-{digest[:8]}.pth')
    kept.rename(released)
    assert load_checkpoint(f'{address}/gone/{released.name}') == dict(name='another')


@pytest.mark.parametrize(
    'source, message',
    [
        ('jhu://model', 'jhu:// is unknown'),
        ('torchvision://nothing', "torchvision has no model 'nothing'"),
        ('torchvision://fill', "Did you mean 'torchvision://file'"),
        ('openmmlab://nothing', "openmmlab has no model 'nothing'"),
    ],
)
def test_unknown_sources_are_named(source, message, server):
    with pytest.raises(ValueError, match=message):
        load_checkpoint(source)


def test_an_address_that_does_not_answer_is_named(server):
    with pytest.raises(OSError, match='gone.pth.*cannot be downloaded.*404'):
        load_checkpoint(f'{server[1]}/gone.pth')


@pytest.fixture(scope='module')
def network():
    # The layouts are recognised by names only.
    return {
        name: torch.randn(2, 3) if value.dim() else torch.tensor(7)
        for name, value in resnet18().state_dict().items()
    }


@pytest.mark.parametrize('kind', honest_files.FILES)
def test_an_honest_file_loads(kind, network, tmp_path):
    if kind == 'safetensors' and not HAS_SAFETENSORS:
        pytest.skip('needs safetensors')
    path = tmp_path / 'model.pth'
    honest_files.FILES[kind](path, network)
    state, _ = to_mmpretrain(state_dict_of(load_checkpoint(path), str(path)))
    expected, _ = to_mmpretrain(network)
    assert state.keys() == expected.keys()
    dtype = dict(fp16=torch.float16, bf16=torch.bfloat16).get(kind)
    for name, value in expected.items():
        if dtype and value.is_floating_point():
            value = value.to(dtype)
        assert torch.equal(state[name], value), name


@pytest.mark.parametrize(
    'content, message',
    [
        (
            dict(a=dict(x=torch.ones(2)), b=dict(x=torch.ones(2))),
            r"several sets of weights.*'a' \(1 tensors\), 'b' \(1 tensors\)",
        ),
        (
            dict(gan=dict(one=dict(x=torch.ones(2)), two=dict(x=torch.ones(2)))),
            r"'gan.one' \(1 tensors\), 'gan.two'",
        ),
        (
            dict(epoch=1, model='resnet', extra={}),
            r"no dict of tensors.*'epoch' \(int\), 'model' \(str\), 'extra' \(a ",
        ),
        ([torch.ones(2)], 'It holds a list'),
    ],
)
def test_what_has_no_weights_lists_its_keys(content, message):
    with pytest.raises(ValueError, match=message):
        state_dict_of(content, 'x.pth')


@pytest.mark.parametrize(
    'address', ['http://127.0.0.1/iter_1.pth', 'openmmlab://resnet50']
)
def test_a_run_does_not_go_on_from_an_address(address):
    with pytest.raises(ValueError, match=f'--resume .{address}. is an addr'):
        checkpoint_sources.settle_sources(Config(dict(resume=True, load_from=address)))


@pytest.mark.parametrize('kind', ['empty', 'a folder', 'a folder of the home'])
def test_a_run_does_not_go_on_from_what_is_no_file(kind, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    source = {'empty': '', 'a folder': str(tmp_path)}.get(kind, '~')
    kind = kind.removesuffix(' of the home')
    with pytest.raises(
        ValueError, match=f"^--resume '{source}' is {kind}, .* Type the"
    ):
        checkpoint_sources.settle_sources(Config(dict(resume=True, load_from=source)))


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(OSError, match='is a folder. Type the path of a file in it'):
        load_checkpoint(tmp_path)


def test_paths_of_configs_become_text():
    cfg = Config(
        dict(
            load_from=Path('a.pth'),
            resume=True,
            hooks=[dict(out=Path('b'))],
            model=dict(backbone=dict(init_cfg=dict(checkpoint=Path('c.pth')))),
        )
    )
    checkpoint_sources.settle_sources(cfg)
    assert cfg.load_from == 'a.pth' and cfg.hooks[0].out == 'b'
    assert cfg.model.backbone.init_cfg.checkpoint == 'c.pth'
