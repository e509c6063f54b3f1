"""Runs the program: ``python -m speicher_server serve --port 14567``."""
import os
import sys

from .binary import find_binary


def main():
    # type: () -> None
    """Becomes the program, so that signals and the exit code are its own."""
    try:
        path = find_binary()
    except OSError as error:
        sys.exit('{0}.'.format(error.strerror))
    os.execv(path, [path] + sys.argv[1:])


if __name__ == '__main__':
    main()
