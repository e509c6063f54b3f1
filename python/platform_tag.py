"""Which platforms a program runs on, in the words of wheels."""
import struct

#: ELF's numbers of machines, and the oldest manylinux that has the machine.
MACHINES = {
    3: 'manylinux1_i686',
    21: 'manylinux2014_ppc64le',
    22: 'manylinux2014_s390x',
    40: 'manylinux2014_armv7l',
    62: 'manylinux1_x86_64',
    183: 'manylinux2014_aarch64',
}

#: The entry of the program header that names the loader of shared libraries.
PT_INTERP = 3


def platform_tag(path):
    """The tag of a program that needs no library of its system.

    That is what manylinux asks for: no library that is newer than those it
    lists. ``None`` for any other program, which runs where it was built, and
    for machines that manylinux does not know.
    """
    with open(path, 'rb') as file:
        start = file.read(64)
        if start[:4] != b'\x7fELF':
            return None
        order = '<' if start[5:6] == b'\x01' else '>'
        machine = struct.unpack_from(order + 'H', start, 18)[0]
        is_64_bit = start[4:5] == b'\x02'
        table = struct.unpack_from(order + ('Q' if is_64_bit else 'I'), start,
                                   32 if is_64_bit else 28)[0]
        size, count = struct.unpack_from(order + 'HH', start, 54 if is_64_bit else 42)
        file.seek(table)
        entries = file.read(size * count)
    kinds = [struct.unpack_from(order + 'I', entries, size * i)[0] for i in range(count)]
    return None if PT_INTERP in kinds else MACHINES.get(machine)
