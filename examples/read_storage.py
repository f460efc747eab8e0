#!/usr/bin/env python3
"""Reads a Cellar storage in Python. Written from docs/format.md, with the standard library only.

    python3 examples/read_storage.py FILE           prints the config and the state, in JSON
    python3 examples/read_storage.py FILE INDEX     prints the blob at that index; INDEX may be "root"

Shows the state of the last flush. Takes no lock: like any reader, it may run while a writer has the file open.
"""
import hashlib, json, os, struct, sys


class Storage:
    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY)
        area = self.bytes_at(0, 256)
        name, self.bytes_per_cell, self.max_index, self.version = struct.unpack_from("<20sIII", area)
        self.head_string = name.rstrip(b"\0").decode("latin1")
        annex = area[160:192]
        guarded = annex[:4] == b"CLR1" and blake2b(annex[:20]) == annex[20:]
        if not 4 <= self.bytes_per_cell <= 65535 or (guarded and blake2b(area[:28]) != annex[8:20]):
            raise ValueError("this is no storage, or its first bytes are damaged")
        self.start_index = -(-256 // self.bytes_per_cell)
        # Read the size after the headers, because the file may grow meanwhile.
        file_cells = os.fstat(self.fd).st_size // self.bytes_per_cell
        for header in (area[32:64], area[64:96]):
            self.root, self.next = struct.unpack_from("<II", header, 24)
            inside = self.start_index <= self.next <= min(self.max_index, file_cells)
            if blake2b(header[24:]) == header[:12] and inside and (self.root == 0 or self.has(self.root)):
                return
        raise ValueError("neither copy of the header for disk sync can be believed")

    def has(self, index):
        return self.start_index <= index < self.next

    def read(self, index):
        """Returns the blob with this index. Reads its chunks from the last to the first."""
        chunks, last = [], index
        if not self.has(index):
            raise ValueError(f"{index} is no index of data")
        while last != 0:
            size, previous = struct.unpack("<HI", self.bytes_at((last + 1) * self.bytes_per_cell - 6, 6))
            first = last + 1 - -(-(size + 6) // self.bytes_per_cell)
            is_full = size == 65535 if chunks else size > 0 or previous == 0
            if first < self.start_index or not (previous == 0 or self.start_index <= previous < first) or not is_full:
                raise ValueError(f"no chunk ends at {last}")
            chunks.append(self.bytes_at(first * self.bytes_per_cell, size))
            last = previous
        return b"".join(reversed(chunks))

    def bytes_at(self, offset, size):
        data = os.pread(self.fd, size, offset)
        if len(data) < size:
            raise ValueError("the file ends too early")
        return data


def blake2b(data):
    return hashlib.blake2b(data, digest_size=12).digest()


if __name__ == "__main__":
    try:
        storage = Storage(sys.argv[1] if len(sys.argv) > 1 else sys.exit(__doc__))
        if len(sys.argv) > 2:
            sys.stdout.buffer.write(storage.read(storage.root if sys.argv[2] == "root" else int(sys.argv[2])))
        else:
            print(json.dumps({key: value for key, value in vars(storage).items() if key != "fd"}))
    except (OSError, ValueError) as error:
        sys.exit(f"read_storage: {error}")
