"""The metafiles of mim say what the configs say; `python tests/test_metafiles.py` writes them."""

import pytest
import yaml
from conftest import ROOT  # which finds the tools, where this runs as a script

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

from families import BY_FILE
from test_configs import CONFIGS, NAME, config, model, recent_mmdet

from mmbackbones.weights.published_dense import find_published

FOLDER = ROOT / '.mim'
HEAD = """\
# Derived from the configs by `python tests/test_metafiles.py`.
# Weights and results are those that authors published, not reproduced here. Most configs have none:
# mim does not download what ends in a slash.
"""
DATA = dict(CocoDataset='COCO', CocoPanopticDataset='COCO', ADE20KDataset='ADE20K')
TASKS = {
    'box AP': 'Object Detection',
    'mask AP': 'Instance Segmentation',
    'PQ': 'Panoptic Segmentation',
    'mIoU': 'Semantic Segmentation',
    'mIoU (ms+flip)': 'Semantic Segmentation',
}


def length(loop):
    """How long a config trains, in the unit that it counts."""
    if 'max_epochs' in loop:
        return {'Epochs': loop.max_epochs}
    return {'Iterations': loop.max_iters}


def entry(name, collection):
    """A model of a metafile."""
    cfg = config(name)
    data = DATA[cfg.train_dataloader.dataset.type]
    whose, metrics, url = find_published(name) or ('nobody', {}, 'none/')
    found = {
        'Name': name,
        'In Collection': collection,
        'Config': f'configs/{name}.py',
        'Metadata': {
            'Training Data': data,
            **length(cfg.train_cfg),
            'Batch Size': cfg.auto_scale_lr.base_batch_size,
            'Parameters': sum(p.numel() for p in model(name).parameters()),
        },
        'Weights': url,
    }
    if metrics:
        found['Metadata']['Trained By'] = f'{whose}, by whose metrics; not reproduced here'
        found['Results'] = results(metrics, data)
    return found


def results(metrics, data):
    """A result for each task, as model-index wants them."""
    tasks = {}
    for name, value in metrics.items():
        tasks.setdefault(TASKS[name], {})[name] = value
    return [dict(Task=task, Dataset=data, Metrics=values) for task, values in tasks.items()]


def metafile(family):
    """The metafile of a family."""
    row = BY_FILE[family]
    collection = {
        'Name': row.title,
        'Paper': {'Title': row.paper, 'URL': row.url},
        'Code': f'mmbackbones/models/{family}.py',
    }
    configs = [config for config in CONFIGS if NAME.fullmatch(config)['family'] == family]
    return {'Collections': [collection], 'Models': [entry(config, row.title) for config in configs]}


def read(name):
    return yaml.safe_load((FOLDER / name).read_text())


@pytest.mark.parametrize('family', BY_FILE)
def test_metafile_says_what_the_configs_say(family):
    found, expected = read(f'metafiles/{family}.yml'), metafile(family)
    if not recent_mmdet():  # its DINO learns 131,072 numbers less
        for entry in found['Models'] + expected['Models']:
            if entry['Name'].startswith('dino'):
                del entry['Metadata']['Parameters']
    assert found == expected, 'python tests/test_metafiles.py writes it anew'
    collection = found['Collections'][0]
    assert f'Paper: {collection["Paper"]["URL"]}.' in (ROOT / collection['Code']).read_text()


def test_the_index_lists_every_config_once():
    files = read('model-index.yml')['Import']
    assert sorted(FOLDER.glob('metafiles/*')) == sorted(FOLDER / name for name in files)
    listed = [entry['Config'] for name in files for entry in read(name)['Models']]
    assert sorted(listed) == [f'configs/{name}.py' for name in CONFIGS]


if __name__ == '__main__':
    for family in BY_FILE:
        text = yaml.safe_dump(metafile(family), sort_keys=False, width=100)
        (FOLDER / f'metafiles/{family}.yml').write_text(HEAD + text)
