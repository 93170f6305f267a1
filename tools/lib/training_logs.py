"""What trainings leave in work dirs, read as data from a stranger: bounded, and nothing runs."""

import json
import math
import re
import sys
from pathlib import Path

LOGS = '*/vis_data/scalars.json'  # of a work dir
NAME = 'training.json'  # beside a log: what was trained, on what, and what the model costs
FIELDS = {
    **dict.fromkeys(('method', 'backbone', 'data', 'not_counted'), str),
    **dict.fromkeys(('batch_size', 'processes', 'parameters', 'flops', 'height', 'width'), int),
}
LARGEST_FILE, LONGEST_TEXT = 2**27, 500
LARGEST_NUMBER = 10**30  # that a picture can show; a larger one is nan, a gap in a curve
DAMAGED = (AttributeError, KeyError, RecursionError, TypeError, ValueError)


def printable(text):
    """The beginning of a text, on one line, where ? stands for what would control a terminal."""
    return ''.join(each if each.isprintable() else '?' for each in str(text)[:LONGEST_TEXT])


def note(text):
    """Print a remark beside the results."""
    print(printable(text), file=sys.stderr)


def text_of(path):
    """The text of an ordinary file; a `ValueError` if it is none, or too large."""
    if not path.is_file() or path.stat().st_size > LARGEST_FILE:
        raise ValueError(f'{path} is no file of at most {LARGEST_FILE:,} bytes; leave it out')
    return path.read_text(errors='replace')


def read_scalars(run):
    """Two dicts of step -> values, of training and of evaluation; a resumed run overwrites.

    Args:
        run: A work dir, of which the newest training counts, or one scalars.json of it.

    Raises:
        FileNotFoundError: There is no such file or work dir.
        ValueError: Nothing has been logged yet.
    """
    run = Path(run)
    logs = [run] if run.is_file() else sorted(run.glob(LOGS))
    if not logs:
        raise FileNotFoundError(f'{run} has no */vis_data/scalars.json; give a work dir')
    training, evaluation, begun = {}, {}, []
    for log in logs:
        rows = list(rows_of(log))
        if begins(log, rows):
            training, evaluation = {}, {}
            begun.append(log.parents[1].name)
        training.update({row['step']: row for row in rows if 'loss' in row})
        evaluation.update({row['step']: row for row in rows if 'loss' not in row})
    if len(begun) > 1:
        note(
            f'{run} holds {len(begun)} trainings; this is the newest, begun at {begun[-1]}; for '
            f'others give their scalars.json'
        )
    if not training and not evaluation:
        raise ValueError(f'{run} has logged nothing yet; wait for the first losses of the training')
    return training, evaluation


def begins(log, rows):
    """Whether a log is that of a new training: it has steps, and its config resumes nothing."""
    config = log.with_name('config.py')
    new = config.is_file() and not re.search('^resume = True', text_of(config), re.MULTILINE)
    return new and any('loss' in row for row in rows)


def runs_in(paths):
    """The paths, but for folders of work dirs those that trainings logged into."""
    found = []
    for path in map(Path, paths):
        inner = [] if path.is_file() or any(path.glob(LOGS)) else sorted(path.glob(f'*/{LOGS}'))
        found += dict.fromkeys(log.parents[2] for log in inner) or [path]
    return found


# pandas.read_json gives a whole file up for one cut line, and nothing here needs pandas otherwise.
def rows_of(log):
    """What a file logs; a note says of lines that are wrong, or cut by the end of a process."""
    wrong = []
    for number, line in enumerate(text_of(log).split('\n'), 1):
        try:
            if line.strip():
                yield row_of(line)
        except DAMAGED:
            wrong.append(number)
    if wrong:
        more = f' and {len(wrong) - 1} more are' if len(wrong) > 1 else ' is'
        note(f'{log}: line {wrong[0]}{more} cut or damaged, left out')


def row_of(line):
    """The numbers of a line by their names; an error if there is no step, or a time below 0."""
    row = json.loads(line)
    step, loss, time = row['step'], row.get('loss', 0), row.get('time', 0)
    whole = type(step) is int and 0 <= step < 2**53 and type(loss) in (int, float)
    if not whole or not 0 <= time < LARGEST_NUMBER:
        raise ValueError('no row of a log')
    return {
        printable(name): value if abs(value) < LARGEST_NUMBER else math.nan
        for name, value in row.items()
        if isinstance(value, int | float)
    }


def read_description(work_dir):
    """What the newest training of a work dir wrote of itself, by `FIELDS`; a note if nothing.

    Raises:
        ValueError: Its file is not as tools/train.py writes it.
    """
    # A test leaves a log as well, but no losses.
    path = max(log for log in work_dir.glob(LOGS) if '"loss"' in text_of(log)).with_name(NAME)
    if not path.exists():
        note(
            f'note: {work_dir} has no {NAME}, which tools/train.py writes beside the log; it '
            f'stands here by its name, without parameters and FLOPs'
        )
        return dict.fromkeys(FIELDS)
    try:
        return checked(json.loads(text_of(path)))
    except DAMAGED as error:
        raise ValueError(
            f'{path} is not as tools/train.py writes it; leave this work dir out'
        ) from error


def checked(content):
    """What `FIELDS` asks for; an error if one is missing, of another type, or beyond measure."""
    for name, kind in FIELDS.items():
        value = content[name]
        fits = type(value) is kind and (kind is str or 0 <= value < LARGEST_NUMBER)
        if value is not None and not fits:
            raise ValueError(f'{name} is no {kind}')
    return content
