"""Where the server's program is."""
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

_NAME = 'speicher'


def find_binary():
    # type: () -> str
    """The path of the program ``speicher``.

    It is looked for where cargo builds it in a source tree, where pip installs
    it beside this package (in an environment, for one user, below a prefix or
    a target), and in the folders of ``PATH``. Raises ``OSError``, which on 3
    is a ``FileNotFoundError``, if it is nowhere.
    """
    for folder in _folders():
        path = os.path.join(folder, _NAME)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise OSError(errno.ENOENT,
                  'The program speicher is neither where pip installs it nor in a '
                  'folder of PATH; install speicher-server again', _NAME)


def _folders():
    # type: () -> Iterator[str]
    package = os.path.dirname(os.path.abspath(__file__))
    site_packages = os.path.dirname(package)
    # <prefix>/lib/python3.x/site-packages
    prefix = os.path.dirname(os.path.dirname(os.path.dirname(site_packages)))
    # A source tree, also one that is installed by reference; it comes first,
    # since what would be its prefix is a folder that has nothing to do with it.
    yield os.path.join(os.path.dirname(site_packages), 'target', 'release')
    yield os.path.join(prefix, 'bin')
    yield os.path.join(site_packages, 'bin')
    for folder in os.environ.get('PATH', '').split(os.pathsep):
        if folder:
            yield folder
