"""The notebook for one's own data runs from its first cell to its last."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

NOTEBOOK = ROOT / 'configs/own_data.ipynb'
SMALL = dict(train_images=8, val_images=2, epochs=1)  # instead of those of its first cell


def code_cells(path):
    """The text of each code cell."""
    cells = json.loads(path.read_text())['cells']
    return [''.join(cell['source']) for cell in cells if cell['cell_type'] == 'code']


def as_python(cell):
    """A cell as Python: its shell commands, in which {name} is filled in, are calls of `shell`."""
    return re.sub('^!(.*)$', lambda line: f'shell(f{line[1]!r})', cell, flags=re.M)


def test_it_can_be_opened_and_names_no_folder_of_ours():
    content = json.loads(NOTEBOOK.read_text())
    assert (content['nbformat'], content['metadata']['kernelspec']['name']) == (4, 'python3')
    assert NOTEBOOK.stat().st_size < 300_000
    assert not re.findall(r'/(?:home|root|tmp|work|mnt|Users)/', NOTEBOOK.read_text())
    for cell in code_cells(NOTEBOOK):
        compile(as_python(cell), 'cell', 'exec')


def test_its_outputs_are_of_one_run_without_errors():
    cells = json.loads(NOTEBOOK.read_text())['cells']
    run = [cell for cell in cells if cell['cell_type'] == 'code']
    assert [cell['execution_count'] for cell in run] == list(range(1, len(run) + 1))
    kinds = {output['output_type'] for cell in run for output in cell['outputs']}
    assert kinds == {'stream', 'execute_result'}


@pytest.mark.slow
def test_it_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('configs', 'tools'):
        Path(name).symlink_to(ROOT / name)
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    environment = dict(os.environ, PATH=path, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')

    def shell(command):
        done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, (command, done.stdout[-1000:], done.stderr[-2000:])

    first, *others = code_cells(NOTEBOOK)
    names = dict(shell=shell)
    exec(as_python(first), names)
    assert names.keys() >= SMALL.keys()
    names.update(SMALL)
    for cell in others:
        exec(as_python(cell), names)
    assert set(names['found']) >= {'boxes', 'scores', 'labels', 'names', 'masks'}
    assert len(json.loads(Path('predictions.json').read_text())) == 1
