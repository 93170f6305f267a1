"""INT8 files of exported networks, and what they lose and gain beside float32 and bfloat16.

NNCF quantises files of OpenVINO, onnxruntime its own. Both read pictures as the network will be
given them and note the range of every activation; weights need none.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from lib.normalization import Normalization, normalization_of
from lib.timing import measure
from lib.usage import UsageError, usage_errors
from mmbackbones.deploy import Model, open_file, paths
from mmbackbones.weights.published import IMAGENET, find_weights

QUANTISERS = dict(openvino='nncf', onnx='onnxruntime.quantization')  # of each format's files
PICTURES = 128  # to quantise with
MEASURED = 8  # other pictures, on which results are compared
ROUNDS = 9  # of the comparison of speed
BEST = 30  # finds of a picture that should be found again
LARGEST_ERROR = 0.05  # of a device, over a level's deviation; bfloat16 makes up to 0.02
LEAST_KEPT = 0.9  # of what is found, on a device


# --- arguments


def add_arguments(parser):
    """Add the flags --int8, --pictures, --test and --check."""
    text = 'quantise to INT8 with pictures of this folder, which are such as will be used'
    parser.add_argument('--int8', metavar='FOLDER', type=Path, help=text)
    text = f'how many of them, spread over the folder [{PICTURES}]'
    parser.add_argument('--pictures', type=int, default=PICTURES, help=text)
    text = 'with --int8: evaluate both precisions with the metrics and the test data of the config'
    parser.add_argument('--test', action='store_true', help=text)
    text = 'run the file on this device of OpenVINO as well, e.g. NPU, and compare with the CPU'
    parser.add_argument('--check', metavar='DEVICE', help=text)


def check_arguments(args):
    """Raise a `UsageError` if these flags ask for what cannot be done."""
    if args.test and not (args.int8 and args.part == 'model'):
        raise UsageError('--test is for --int8 with a config whose whole model is written')
    if args.int8:
        check_int8(args)
    if args.check:
        check_openvino_device(args)


def check_int8(args):
    """Raise a `UsageError` if no INT8 file can be written."""
    if args.format not in QUANTISERS:
        raise UsageError(f'--int8 is for --format {" or ".join(QUANTISERS)}, not {args.format}')
    if args.half:
        raise UsageError('--int8 and --half exclude each other; take one')
    if args.pictures < 1:
        raise UsageError('--pictures takes numbers from 1 up')
    if args.format == 'openvino' and not find_spec('nncf'):
        raise UsageError("nncf missing: pip install -e '.[int8]'")
    if not args.int8.is_dir():
        raise UsageError(f'--int8 needs a folder of pictures, and {args.int8} is none')
    with usage_errors(FileNotFoundError, about='--int8'):
        paths(args.int8)


def check_openvino_device(args):
    """Raise a `UsageError` if OpenVINO does not know the device of --check."""
    if args.format != 'openvino':
        raise UsageError(f'--check is for --format openvino, not {args.format}')
    import openvino

    devices = openvino.Core().available_devices
    if args.check.split('.')[0] not in {device.split('.')[0] for device in devices}:
        raise UsageError(f'OpenVINO has no device {args.check} here; it has {", ".join(devices)}')


# --- pictures


class BackboneFile(Model):
    """A file of a backbone, which takes normalised images, and how pictures become such."""

    def __init__(self, run, about):
        self.run, self.about = run, about


def open_model(path, args):
    """The file as mmbackbones.deploy reads it; a backbone's says nothing of pictures."""
    run = open_file(path, None, 'cpu', threads(), True)
    if run.description:
        return Model(path, threads=threads())
    return BackboneFile(run, about_backbone(args))


def threads():
    """As many as PyTorch takes."""
    return torch.get_num_threads()


def about_backbone(args):
    """How pictures become images for a backbone: as its config says, or as its weights expect."""
    known = find_weights(args.weights) if args.weights else None
    found = Normalization(*(known.weights.normalization if known else IMAGENET), 'RGB')
    resize = dict(scale=None, keep_ratio=False, interpolation='bilinear')
    if Path(args.model).is_file():
        cfg = Config.fromfile(args.model)
        cfg.merge_from_dict(dict(args.cfg_options))
        found = normalization_of(cfg) or found
        resize = resize_of(cfg) or resize
    return dict(
        mean=list(found.mean),
        std=list(found.std),
        channels=found.channels.lower(),
        resize=resize,
        size=args.size,
        batch=args.batch or 1,
    )


def resize_of(cfg):
    """How a config scales pictures in tests, or None where it has none."""
    if not cfg.get('default_scope') or not cfg.get('test_dataloader'):
        return None
    from lib.whole.metadata import resizing
    from lib.whole.pipeline import test_steps

    return resizing(test_steps(cfg))


def read_pictures(model, args):
    """Pictures in the size that the file takes: some to quantise with, and some to measure on.

    Those that cannot be read are passed over. Where there are too few, the same ones serve twice.
    """
    found = paths(args.int8)
    count = min(len(found), args.pictures + MEASURED)
    chosen = [found[number * len(found) // count] for number in range(count)]
    images = [prepared.image for _, prepared in model.prepared(chosen, 2, True)]
    if not images:
        sys.exit(f'no picture of {args.int8} can be read; the file is in float32')
    if len(images) < 4 * MEASURED:
        return images[: args.pictures], images[:MEASURED]
    step = len(images) // MEASURED
    rest = [image for number, image in enumerate(images) if number % step]
    return rest[: args.pictures], images[::step][:MEASURED]


def as_input(model, image):
    """A picture (H, W, 3) as the file's input."""
    if isinstance(model, BackboneFile):
        image = normalised(image, **{key: model.about[key] for key in Normalization._fields})
    return image if image.ndim == model.run.rank else np.stack([image] * model.about['batch'])


def normalised(image, mean, std, channels):
    """An image (3, H, W) of a picture (H, W, 3), RGB."""
    image = image if channels == 'rgb' else image[..., ::-1]
    image = (image - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)


# --- quantising


def quantise(path, args):
    """Turn a file in float32 into one in INT8, and show what it loses and gains."""
    model = open_model(path, args)
    calibrating, measured = read_pictures(model, args)
    inputs = [as_input(model, image) for image in measured]
    with tempfile.TemporaryDirectory(prefix='INT8_', dir=path.parent) as folder:
        new = Path(folder, path.name)
        write = dict(onnx=write_onnx_int8, openvino=write_openvino_int8)[args.format]
        write(path, new, [partial(as_input, model, image) for image in calibrating])
        rows = compare(dict(float32=path, INT8=new), inputs)
        show(rows, f'{path} in INT8')
        print(f'{len(calibrating)} pictures to quantise, {len(measured)} to compare')
        if args.test:
            test(new, path, Path(folder), args)
        for file in files_of(new):
            os.replace(file, path.with_suffix(file.suffix))


def write_openvino_int8(path, new, inputs):
    """The file quantised by NNCF, except for convolutions that lose more than they gain.

    These are the first, which reads pictures, and those of single channels, which are quick: in
    INT8 OpenVINO does not compile them for some sizes either, if the rest is in bfloat16.
    """
    import nncf
    import openvino

    nncf.set_log_level(40)  # errors
    net = openvino.Core().read_model(str(path))
    kinds = {'Convolution': [], 'GroupConvolution': []}
    for operator in net.get_ordered_ops():
        kinds.get(operator.get_type_name(), []).append(operator.get_friendly_name())
    kept = kinds['Convolution'][:1] + kinds['GroupConvolution']
    quantised = nncf.quantize(
        net,
        nncf.Dataset(inputs, lambda read: read()),
        model_type=nncf.ModelType.TRANSFORMER,  # leaves norms and softmax; smooths large channels
        subset_size=len(inputs),
        ignored_scope=nncf.IgnoredScope(names=kept),
    )
    openvino.save_model(quantised, str(new), compress_to_fp16=False)


class Reader:
    """The inputs of a network one after another, as onnxruntime's calibration asks for them."""

    def __init__(self, inputs):
        self.inputs = iter(inputs)

    def get_next(self):
        """The next input, or None after the last."""
        read = next(self.inputs, None)
        return None if read is None else {'image': read()}


def write_onnx_int8(path, new, inputs):
    """The file quantised by onnxruntime, except for the same convolutions."""
    if Path(f'{path}.data').exists():
        sys.exit(f'{path} has over 2 GB, which onnxruntime does not quantise; take openvino')
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = new.with_stem(f'{new.stem}_prepared')
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    convolutions = [node for node in onnx.load(prepared).graph.node if node.op_type == 'Conv']
    kept = convolutions[:1] + [node for node in convolutions[1:] if of_channels(node)]
    quantize_static(
        str(prepared),
        str(new),
        Reader(inputs),
        op_types_to_quantize=['Conv', 'Gemm', 'MatMul'],
        nodes_to_exclude=[node.name for node in kept],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def of_channels(convolution):
    """Whether a convolution of ONNX reads single channels, or groups of them."""
    return any(each.name == 'group' and each.i > 1 for each in convolution.attribute)


# --- comparing


def test(new, path, folder, args):
    """Evaluate both files with tools/test.py, which shows their metrics side by side."""
    cfg = Config.fromfile(args.model)
    cfg.merge_from_dict(dict(args.cfg_options))
    cfg.dump(folder / 'config.py')
    tool = Path(__file__).parent.parent / 'test.py'
    words = tool, folder / 'config.py', new, path, '--work-dir', folder / 'test'
    if subprocess.run([sys.executable, *map(str, words)]).returncode:
        sys.exit(f'the metrics were not found, for the reason above; {path} is in float32')


def files_of(path):
    """What a file consists of: OpenVINO's weights lie in a second one."""
    return [path, path.with_suffix('.bin')] if path.suffix == '.xml' else [path]


def open_each(files):
    """{precision: what runs a file in it}, of {name: file}; a text where the engine cannot.

    OpenVINO computes in bfloat16 what is not in INT8, where the processor has it and nobody asks
    for float32.
    """
    runs = {}
    for name, path in files.items():
        kinds = {name: True}
        if path.suffix == '.xml' and has_bfloat16():
            kinds['bfloat16' if name == 'float32' else f'{name} and bfloat16'] = False
        for label, exact in kinds.items():
            try:
                runs[label] = open_file(path, None, 'cpu', threads(), exact)
            except ValueError as error:
                runs[label] = str(error)
    return runs


def has_bfloat16():
    """Whether OpenVINO takes it on this processor."""
    import openvino

    return 'BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')


def compare(files, inputs):
    """{precision: {column of the table: value}} of {name: file}, the one in float32 first."""
    sizes = {name: sum(file.stat().st_size for file in files_of(files[name])) for name in files}
    opened = open_each(files)
    runs = {label: run for label, run in opened.items() if not isinstance(run, str)}
    wanted = [runs['float32'](image) for image in inputs]
    times = measure(runs, inputs[:1], ROUNDS)
    rows = {}
    for label, run in opened.items():
        size = sizes['INT8' if 'INT8' in label else 'float32']
        rows[label] = {'MB': f'{size / 1e6:.1f}'}
        if label not in runs:
            rows[label]['remark'] = run
            continue
        ratios = [one / other for one, other in zip(times['float32'], times[label], strict=True)]
        rows[label] |= {
            'ms': f'{1e3 * median(times[label]):.0f}',
            'faster': f'{median(ratios):.2f}x',
        }
        rows[label] |= differences([run(image) for image in inputs], wanted)
    return rows


def differences(got, wanted):
    """{name: mean over pictures} of how outputs differ: errors of maps, or shares that are kept."""
    each = [difference(*pair) for pair in zip(got, wanted, strict=True)]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def difference(got, wanted):
    """How the outputs of one picture differ.

    Of a backbone, the error of each level over its deviation. Of a whole model, the share of the
    best finds that are found again, with the same label and an IoU above 0.5, or the share of
    pixels that keep their class.
    """
    if 'boxes' in wanted:
        return dict(kept=share_found_again(got, wanted))
    if 'panoptic' in wanted:  # labels and 1000 times a number, which may be another
        return dict(kept=float((got['panoptic'] % 1000 == wanted['panoptic'] % 1000).mean()))
    if 'classes' in wanted:
        return dict(kept=float((got['classes'] == wanted['classes']).mean()))
    return {name: error_of(got[name], wanted[name]) for name in wanted}


def error_of(got, wanted):
    """The root mean square error of a map over the map's deviation."""
    error = np.sqrt(np.square(got - wanted, dtype=np.float64).mean())
    return float(error / max(wanted.std(dtype=np.float64), 1e-12))


def share_found_again(got, wanted):
    """Of the best finds, the share that others have with the same label and an IoU above 0.5."""
    from mmdet.evaluation import bbox_overlaps  # files with boxes are of mmdet

    best = np.argsort(-wanted['scores'])[:BEST]
    if not len(best) or not len(got['boxes']):
        return float(len(best) == len(got['boxes']))
    alike = bbox_overlaps(wanted['boxes'][best], got['boxes']) > 0.5
    alike &= wanted['labels'][best][:, None] == got['labels']
    return float(alike.any(1).mean())


def show(rows, title):
    """A table on the terminal, and below it why something is missing."""
    table = Table(title=title)
    columns = list(rows['float32'])
    table.add_column('')
    for column in columns:
        table.add_column(column, justify='right')
    for label, row in rows.items():
        values = [row.get(column, '-') for column in columns]
        table.add_row(label, *(v if isinstance(v, str) else f'{v:.4f}' for v in values))
    Console(width=100).print(table)
    print('faster: over float32; the rest: error / deviation of a level, or the share that is kept')
    for label, row in rows.items():
        if 'remark' in row:
            print(f'{label}: {row["remark"]}')


# --- other devices


def check(path, args):
    """Compare what a device of OpenVINO computes with the CPU; end if they differ."""
    model = open_model(path, args)
    inputs = [as_input(model, image) for image in pictures_for_check(model, args)]
    try:
        other = open_file(path, None, args.check, 0, False)
    except ValueError as error:
        sys.exit(f'--check {args.check}: {error}')
    run = model.run
    found = differences([other(image) for image in inputs], [run(image) for image in inputs])
    text = ', '.join(f'{name} {value:.4f}' for name, value in found.items())
    print(f'{args.check} beside the CPU: {text}')
    good = found['kept'] >= LEAST_KEPT if 'kept' in found else max_of(found) <= LARGEST_ERROR
    if not good:
        sys.exit(
            f'{path} gives something else on {args.check} than on the CPU: do not use it there'
        )


def max_of(found):
    """The largest error, which is infinite if one is not a number."""
    return max(np.nan_to_num(list(found.values()), nan=np.inf))


def pictures_for_check(model, args):
    """Some pictures of --int8, or drawn noise."""
    if args.int8:
        return read_pictures(model, args)[1]
    size = model.about.get('size') or (224, 288)
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), np.uint8) for _ in range(2)]
