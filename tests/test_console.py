"""What the console shows, and what only the log file has."""

import subprocess
import sys
import warnings
from pathlib import Path

import mmengine
import pytest
from conftest import ROOT
from small_run import CONFIG, small_config
from tool_runs import options, tool

from bissl_mm.engine.launch import build_runner
from bissl_mm.utils import console

__all__ = ['tool']

TOOLS = sorted(p.stem for p in (ROOT / 'tools').glob('*.py'))
#: Parts of what mmengine and the libraries say before the first step.
NOISE = (
    'System environment:',
    'Runtime environment:',
    'custom_hooks = [',
    'Hooks will be executed',
    'before_train_iter:',
)


@pytest.fixture
def quiet(monkeypatch):
    """A quiet console; gives the texts of the warnings that Python shows."""
    shown = []
    monkeypatch.delenv(console.VERBOSE, raising=False)
    monkeypatch.setattr(
        warnings,
        'showwarning',
        lambda message, *args, **kwargs: shown.append(str(message)),
    )
    console.quiet_console()
    yield shown
    console.restore_console()


def test_train_shows_what_matters_and_logs_the_rest(tool, tmp_path, capsys):
    tool(
        'train',
        CONFIG,
        '--work-dir',
        tmp_path,
        *options(
            train_cfg__num_alternations=1,
            train_cfg__num_lower_steps=1,
            train_cfg__num_upper_steps=1,
            train_cfg__val_interval=1,
            param_scheduler__lower=[],
            log_level='INFO',
        ),
    )
    out, err = capsys.readouterr()
    (log,) = tmp_path.glob('*/*.log')
    lines = out.splitlines()
    first = next(i for i, line in enumerate(lines) if 'Iter(train)' in line)
    assert first <= 25
    begin = '\n'.join(lines[:first])
    for text in (
        f'Config: {CONFIG}',
        f'Work folder: {tmp_path}',
        f'Log file: {log} ',
        'Processes: 1 ',
        'Pretext data (lower level): 40 samples from ',
        'Downstream data (upper level): 24 samples of 3 classes',
        '6 per batch (6 on each of 1 process(es)), 4 batches per pass',
        'Validation data: 12 samples of 3 classes',
    ):
        assert text in begin
    logged = log.read_text()
    for text in NOISE:
        assert text not in out + err
        assert text in logged
    assert 'Could not import OneDL' not in out + err


@pytest.mark.parametrize('settings', ['variable', 'level'])
def test_everything_is_shown_on_demand(
    settings, quiet, image_folders, tmp_path, monkeypatch, capsys
):
    if settings == 'variable':
        monkeypatch.setenv(console.VERBOSE, '1')
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        log_level='DEBUG' if settings == 'level' else 'INFO',
    )
    cfg.experiment_name = f'everything_{settings}'
    build_runner(cfg)
    out = capsys.readouterr().out
    for text in NOISE:
        assert text in out


def warn_from(path) -> None:
    warnings.warn_explicit(f'said by {path}', UserWarning, str(path), 7)


def test_library_warnings_go_to_the_log_file(
    quiet, image_folders, tmp_path, monkeypatch, capsys
):
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        library = Path(mmengine.__file__).parent / 'fileio' / 'io.py'
        own = ROOT / 'bissl_mm' / 'registry.py'
        users = tmp_path / 'my_dataset.py'
        # Before there is a log file, and after.
        warn_from(library)
        cfg = small_config(
            monkeypatch, image_folders, tmp_path / 'run', log_level='INFO'
        )
        cfg.experiment_name = 'library_warnings'
        build_runner(cfg)
        warn_from(library.with_name('later.py'))
        warn_from(own)
        warn_from(users)
    assert quiet == [f'said by {own}', f'said by {users}']
    assert 'said by' not in capsys.readouterr().out
    (log,) = tmp_path.glob('run/*/*.log')
    for path in (library, library.with_name('later.py')):
        assert f'UserWarning: said by {path}' in log.read_text()


def test_own_warnings_stay_on_the_console(
    quiet, image_folders, tmp_path, monkeypatch, capsys
):
    cfg = small_config(monkeypatch, image_folders, tmp_path, log_level='INFO')
    cfg.experiment_name = 'own_warnings'
    logger = build_runner(cfg).logger
    logger.warning('"FileClient" will be deprecated in future.')
    logger.warning('The hypergradient is not one.')
    logger.error('Hooks will be executed in the following order, but one failed.')
    out = capsys.readouterr().out
    assert 'FileClient' not in out
    assert 'The hypergradient is not one.' in out and 'but one failed.' in out


def test_the_console_is_as_before_after_a_tool(quiet):
    changed = mmengine.logging.print_log, warnings.showwarning
    console.restore_console()
    restored = mmengine.logging.print_log, warnings.showwarning
    assert restored[0] is mmengine.logging.logger.print_log
    assert changed[0] is not restored[0] and changed[1] is not restored[1]


def test_print_log_without_a_logger_minds_its_level(quiet, capsys):
    mmengine.logging.print_log('Could not import OneDL', level=10)
    mmengine.logging.print_log('Loads checkpoint by local backend')
    mmengine.logging.print_log('for the user')
    assert capsys.readouterr().out == 'for the user\n'


def test_pycocotools_prints_to_the_log_file(
    quiet, image_folders, tmp_path, monkeypatch, capsys
):
    coco = pytest.importorskip('pycocotools.coco')
    cfg = small_config(
        monkeypatch,
        image_folders,
        tmp_path,
        log_level='INFO',
        custom_hooks=[],
        description='any with CocoMetric',
    )
    cfg.experiment_name = 'pycocotools'
    build_runner(cfg)
    coco.COCO().createIndex()
    assert 'creating index' not in capsys.readouterr().out
    (log,) = tmp_path.glob('*/*.log')
    assert 'creating index' in log.read_text()
    console.restore_console()
    coco.COCO().createIndex()
    assert 'creating index' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['train', 'browse_dataset'])
def test_missing_data_end_a_tool_with_one_line(
    name, tool, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv('BISSL_PRETEXT_DIR', str(tmp_path / 'nowhere'))
    with pytest.raises(SystemExit, match='1'):
        tool(name, CONFIG, '--work-dir', tmp_path)
    captured = capsys.readouterr()
    (line,) = (captured.out + captured.err).splitlines()
    assert line.startswith('[rank 0] train_cfg.pretext_dataloader.dataset.')
    assert 'BISSL_PRETEXT_DIR' in line


def test_print_config_of_a_wrong_path_ends_with_one_line(tool, capsys):
    with pytest.raises(SystemExit, match='1'):
        tool('print_config', 'no_such_config.py')
    captured = capsys.readouterr()
    assert captured.out + captured.err == (
        "[rank 0] Config 'no_such_config.py' does not exist (working folder "
        f"'{Path.cwd()}'). Correct the path.\n"
    )


@pytest.mark.parametrize(
    'value, verbose',
    [(v, True) for v in ('1', 'true', 'YES', 'on')]
    + [(v, False) for v in ('0', 'False', 'no', 'off', '')],
)
def test_the_switch_of_the_console_is_read_as_it_is_meant(value, verbose, monkeypatch):
    monkeypatch.setenv(console.VERBOSE, value)
    assert console.is_verbose() == verbose


def test_a_value_that_switches_neither_on_nor_off_is_refused(tool, capsys, monkeypatch):
    monkeypatch.setenv(console.VERBOSE, 'quiet')
    with pytest.raises(SystemExit, match='1'):
        tool('print_config', CONFIG)
    assert capsys.readouterr().err == (
        "[rank 0] The environment variable BISSL_VERBOSE is 'quiet', which is neither "
        'on nor off. Type BISSL_VERBOSE=1 (true, yes, on) or BISSL_VERBOSE=0 (false, '
        'no, off) before the command.\n'
    )


def test_help_waits_for_no_library():
    code = (
        'import contextlib, io, runpy, sys\n'
        f'sys.path.insert(0, {str(ROOT)!r})\n'
        'for name in sys.argv[1:]:\n'
        '    sys.argv = [name, "--help"]\n'
        '    with contextlib.redirect_stdout(io.StringIO()) as out:\n'
        '        with contextlib.suppress(SystemExit):\n'
        f'            runpy.run_path(f"{ROOT}/tools/{{name}}.py",\n'
        '                           run_name="__main__")\n'
        '    print(name, "usage:" in out.getvalue(),\n'
        '          {"torch", "mmengine", "mmcv"} & set(sys.modules))\n'
    )
    result = subprocess.run(
        [sys.executable, '-c', code, *TOOLS],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.stdout.splitlines() == [f'{name} True set()' for name in TOOLS]
