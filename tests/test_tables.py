"""What is written from the lists and the configs is what stands there."""

import re

import pytest
import yaml
from conftest import ROOT

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

import write_tables
from families import BY_FILE, NAMES
from shipped import CONFIGS, recent_mmdet
from write_tables import PAGES, SHAPES, TABLE, TABLES, everything, flops, metafile, with_result

import mmbackbones
from mmbackbones.registry import MODELS
from mmbackbones.weights.names import HUGGING_FACE, TIMM, find_name
from mmbackbones.weights.published import PUBLISHED, every_published
from mmbackbones.weights.published_dense import REPORTED

ANEW = 'python tests/write_tables.py writes it anew'
STANDING = {
    name: (page, text) for page in PAGES for _, name, text in TABLE.findall(page.read_text())
}


def test_every_table_is_on_one_page():
    found = [name for page in PAGES for _, name, _ in TABLE.findall(page.read_text())]
    assert sorted(found) == sorted(TABLES)


def without_flops(text):
    """The cells of the table of sizes but for those that take long to compute."""
    return [row.split('|')[:4] + row.split('|')[6:] for row in text.splitlines()[2:]]


@pytest.mark.parametrize('name', TABLES)
def test_a_table_is_what_the_lists_and_configs_say(name, monkeypatch):
    page, text = STANDING[name]
    if name == 'sizes':
        monkeypatch.setattr(write_tables, 'flops', lambda *_: [''] * len(SHAPES))
        assert without_flops(text) == without_flops(TABLES[name](page)), ANEW
    else:
        assert text == TABLES[name](page), ANEW


@pytest.mark.parametrize('name', NAMES)
def test_flops_of_the_first_size_stand_in_the_table(name):
    arch = next(iter(MODELS.get(name).archs))
    (row,) = (row for row in STANDING['sizes'][1].splitlines() if row.startswith(f'| `{name}` |'))
    cells = row.split(' | ')
    assert (cells[1], cells[3:5]) == (arch, flops(name, arch)), ANEW


@pytest.mark.slow
def test_nothing_is_left_to_write():
    assert [str(path) for path, text in everything() if path.read_text() != text] == [], ANEW


@pytest.mark.parametrize('name', CONFIGS)
def test_a_docstring_has_the_result_that_is_reported(name):
    assert (ROOT / f'configs/{name}.py').read_text() == with_result(name), ANEW


def test_results_are_written_by_hand_in_one_place():
    """A result of a config is in no page or config but where it is copied to."""
    metrics = [metrics for rows in REPORTED.values() for metrics, _ in rows.values()]
    figures = {re.escape(str(value)) for each in metrics for value in each.values()}
    result = re.compile(rf'(?<![\d.,])({"|".join(figures)})(?![\d.]*\d)')
    for page in PAGES:
        if page.parent.name != 'tools':  # whose results are of the demo set
            lines = TABLE.sub('', page.read_text()).splitlines()
            assert [line for line in lines if 'AP' in line and result.search(line)] == []
    for name in CONFIGS:
        text = write_tables.RESULT.sub('', write_tables.docstring(name))
        assert not result.search(text), name


@pytest.mark.parametrize('family', BY_FILE)
def test_a_metafile_says_what_the_configs_say(family):
    found = yaml.safe_load((ROOT / f'.mim/metafiles/{family}.yml').read_text())
    expected = metafile(family)
    if not recent_mmdet():  # its DINO learns 131,072 numbers less
        for entry in found['Models'] + expected['Models']:
            if entry['Name'].startswith('dino'):
                del entry['Metadata']['Parameters']
    assert found == expected, ANEW
    collection = found['Collections'][0]
    assert f'Paper: {collection["Paper"]["URL"]}.' in (ROOT / collection['Code']).read_text()


def test_the_index_lists_every_config_once():
    files = yaml.safe_load((ROOT / '.mim/model-index.yml').read_text())['Import']
    assert files == write_tables.index()['Import'], ANEW
    assert {str(path.relative_to(ROOT / '.mim')) for path in ROOT.glob('.mim/*/*')} == set(files)
    texts = [yaml.safe_load((ROOT / '.mim' / name).read_text()) for name in files]
    listed = [entry['Config'] for text in texts for entry in text['Models']]
    assert sorted(listed) == [f'configs/{name}.py' for name in CONFIGS]


def test_names_are_of_files_that_are_published():
    listed = {known[:3] for known in every_published()}
    assert set(TIMM.values()) | set(HUGGING_FACE.values()) <= listed
    assert find_name('timm/davit_tiny.msft_in1k')[:3] == ('DaViT', 'tiny', '1K')
    assert find_name('microsoft/Florence-2-large')[:3] == ('DaViT', 'huge_fl', 'Florence-2')
    assert find_name('maxvit_rmlp_tiny_rw_256.sw_in1k') is None


@pytest.mark.parametrize('name', TIMM)
def test_a_name_of_timm_says_what_ours_is(name):
    """Its family, its size, and the side of the images."""
    kind, arch, label = TIMM[name]
    weights = PUBLISHED[kind][arch][label]
    assert hasattr(mmbackbones, kind)
    words = re.split('[_.]', name)
    assert arch in words or arch == f'{words[1]}_fl'
    sides = [int(side) for side in re.findall(r'(?:_|to)(\d{3})(?=[._])', name)]
    assert weights.size == max(sides, default=768 if 'fl' in words else 224)
    if '/timm/' in weights.url:
        assert weights.url == f'https://huggingface.co/timm/{name}/resolve/main/model.safetensors'
