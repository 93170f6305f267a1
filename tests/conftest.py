"""Tools are scripts, so tests find them on the path; one thread keeps small tests quick."""

import importlib
import logging
import sys
import threading
from contextlib import ExitStack
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from mmengine.runner import CheckpointLoader
from mmengine.utils import ManagerMixin

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / 'tools'))

# For COCO and ADE20K. Those for small sets of real pictures are in test_convert_dataset.py, those
# of sister libraries in test_sister_libraries.py.
SISTERS = ('classifier', 'simmim', 'oriented_rcnn', 'topdown_heatmap')
CONFIGS = [
    path
    for path in sorted((ROOT / 'configs').glob('*.py'))
    if not path.stem.endswith(('_nuclei', '_aerial')) and not path.stem.startswith(SISTERS)
]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
common = settings(deadline=None, database=None, print_blob=False, suppress_health_check=SLOW)
settings.register_profile('quick', common, max_examples=4, derandomize=True)
settings.register_profile('fuzz', common, max_examples=60)  # of each of 42 tests: 2,520 cases
settings.load_profile('quick')


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def serve():
    """A function that serves a folder over HTTP until the test ends, and returns its address."""
    with ExitStack() as ends:

        def function(folder):
            handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
            server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            ends.callback(server.server_close)
            ends.callback(server.shutdown)
            return f'http://127.0.0.1:{server.server_port}'

        yield function


@pytest.fixture
def call_tool(monkeypatch, capsys):
    """A function that runs a tool in this process; its exit status, its output and its errors.

    A process of its own would take seconds to import mm.
    """

    def function(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [f'tools/{name}.py', *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            importlib.import_module(name).main()
        except SystemExit as done:
            code = done.code
        return code, *capsys.readouterr()

    return function


@pytest.fixture(scope='module')
def without_logs():
    """Nobody listens to PyTorch's compiler, which tells all about its symbols if anybody does."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def export_tool(call_tool):
    """A function that runs tools/export.py; its exit status, and all that it wrote."""

    def function(*arguments):
        code, *texts = call_tool('export', *arguments)
        return code, ''.join(texts)

    return function


@pytest.fixture
def linspace_on_cpu(monkeypatch):
    """Models of mm that read `torch.linspace` while they are built can be built on meta."""
    linspace = torch.linspace

    def on_cpu(*args, device='cpu'):
        return linspace(*args, device=device)

    monkeypatch.setattr(torch, 'linspace', on_cpu)


def kinds_with_instances(kind=ManagerMixin):
    """The classes of which mmengine keeps instances by name: loggers, visualizers, scopes ..."""
    for each in kind.__subclasses__():
        yield each
        yield from kinds_with_instances(each)


@pytest.fixture(autouse=True)
def _process(monkeypatch):
    """What tools and runners change in their process is as it was when the next test begins."""
    monkeypatch.setattr(CheckpointLoader, '_schemes', dict(CheckpointLoader._schemes))
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0')
    before = {kind: kind._instance_dict.copy() for kind in kinds_with_instances()}
    yield
    for kind in kinds_with_instances():
        kind._instance_dict = before.get(kind, type(kind._instance_dict)())
