"""Recorded outputs of published models: the checkpoint follows from its key names, see `fill`.

A recording in tests/data holds, for one published model, the key list of its checkpoint, the seeds
of some images, and samples of the outputs at every level of the pyramid. record.py makes new ones.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch

DATA = Path(__file__).parent / 'data'
TOLERANCE = 1e-5  # in standard deviations of the level


class Recording:
    """One .npz of tests/data, by its name, or of another folder, by its path without the ending."""

    def __init__(self, name):
        with np.load(DATA / f'{name}.npz', allow_pickle=False) as data:
            self.meta = json.loads(str(data['meta']))
            self.values = {key: data[key] for key in data.files if key != 'meta'}
        self.cases = self.meta['cases']

    def state_dict(self):
        """The checkpoint as flat {name: tensor}; buffers are zeros, wrong on purpose."""
        return {key[0]: torch.from_numpy(fill(*key)) for key in self.meta['keys']}

    def image(self, case):
        array = np.random.RandomState(case['seed']).standard_normal(case['shape'])
        return torch.from_numpy(array.astype(np.float32))

    def errors(self, case, outputs):
        """{level: largest difference in standard deviations}; fails where shapes differ."""
        wanted = [out for out in case['outputs'] if out['tap'] == self.meta['primary']]
        assert [list(out.shape) for out in outputs] == [out['shape'] for out in wanted]
        return {w['level']: self.error(o, w) for o, w in zip(outputs, wanted, strict=True)}

    def error(self, output, wanted):
        values = sample(output, wanted['level'])
        return float(np.abs(values - self.values[wanted['values']]).max() / wanted['std'])


def sample(output, level):
    """The numbers of an output (B, C, H, W) that are recorded: 2048 of them, or all."""
    flat = output.float().contiguous().numpy().ravel()
    size = min(2048, flat.size)
    return flat[np.random.RandomState(level).choice(flat.size, size, replace=False)]


def fill(name, shape, dtype, kind):
    """The array of one key: normal numbers seeded by its name, scaled to what it is."""
    if kind == 'buffer' or name.endswith('num_batches_tracked'):
        return np.zeros(shape, dtype)
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith('running_var'):
        return np.asarray(0.75 + 0.5 * random.uniform(size=shape)).astype(dtype)
    mean, deviation = moments(name, shape)
    return np.asarray(mean + deviation * random.standard_normal(shape)).astype(dtype)


def moments(name, shape):
    """Mean and deviation of a parameter by its name and shape."""
    special = {
        'running_mean': (0, 0.1),
        'logit_scale': (math.log(10), 0.3),
        'pos_embed': (0, 0.2),
        'relative_position_bias_table': (0, 0.5),
        'sa_weight': (0, 0.5),
    }
    for ending, values in special.items():
        if name.endswith(ending):
            return values
    if len(shape) == 1:
        return float(name.endswith('weight')), 0.1
    return 0, gain(name, shape) / math.sqrt(math.prod(shape[1:]))


def gain(name, shape):
    """Larger or smaller weights where an attention would be uniform or saturated otherwise."""
    if len(shape) == 4 and shape[1] == 1:
        return 0.3
    if name.startswith(('main_blocks.', 'stages.')) and name.endswith('.1.attn.qkv.weight'):
        return 0.3
    volo = name.startswith('network.')
    return {'qkv': 2, 'attn': 6}.get(name.split('.')[-2], 1) if volo and '.attn.' in name else 1


def layout(name):
    """The filled tensors of a small net of others, by their names in its files."""
    return Recording(f'layouts/{name}').state_dict()


def save(folder, content, name='file.pth'):
    """The path of a file of PyTorch with a content."""
    torch.save(content, folder / name)
    return folder / name
