"""Command lines of tools, and what a user is told of what is wrong with one."""

import argparse
from contextlib import contextmanager


class UsageError(Exception):
    """What is wrong with arguments or with what they name, as one sentence for the user."""


def make_parser(description, epilog):
    """A parser that shows description and epilog as they are written."""
    layout = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, epilog=epilog, formatter_class=layout)


def run_tool(command_line, action, arguments=None):
    """Parse a command line and return what an action makes of the arguments.

    A `UsageError` ends the process as argparse's own errors do: usage, sentence, exit status 2.

    Args:
        command_line: A function that makes the parser.
        action: A function of the parsed arguments.
        arguments: Those to parse instead of the ones that the process was started with.
    """
    parser = command_line()
    try:
        return action(parser.parse_args(arguments))
    except UsageError as error:
        parser.error(str(error))


@contextmanager
def usage_errors(*kinds, about=''):
    """Turn errors of these kinds into a `UsageError` with their text.

    Our own errors are sentences. Those of others say little by themselves: name with `about` what
    they are about, which stands before the beginning of their text.
    """
    try:
        yield
    except UsageError:
        raise
    except kinds as error:
        # Imported here, as tools that read logs start without PyTorch.
        from mmbackbones.weights.errors import truncate

        text = f'{about}: {truncate(error, 500)}' if about else str(error)
        raise UsageError(text) from error
