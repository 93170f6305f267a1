"""How long functions take, one beside another."""

import time

import torch

from lib.arguments import progress


def seconds(run, image):
    """How long one run takes."""
    start = time.perf_counter()
    run(image)
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(runs, images, rounds):
    """{name: seconds of each round}, over all images, of {name: function of an image}.

    A first round warms up. The order turns round by round, as machines are noisy.
    """
    for image in progress(images, 'warm-up'):
        for run in runs.values():
            seconds(run, image)
    times, order = {name: [] for name in runs}, list(runs)
    for _ in progress(range(rounds), 'rounds'):
        for name in order:
            times[name].append(sum(seconds(runs[name], image) for image in images))
        order.reverse()
    return times
