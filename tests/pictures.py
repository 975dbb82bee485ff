# SPDX-License-Identifier: Apache-2.0
"""PNG files drawn without a library."""

import struct
import zlib


class Canvas:
    """A picture of 8-bit samples on white."""

    def __init__(self, width, height, channels=3):
        self.width, self.height, self.channels = width, height, channels
        self.rows = [bytearray(b"\xff" * width * channels) for _ in range(height)]

    def dot(self, x, y, colour):
        if 0 <= x < self.width and 0 <= y < self.height:
            self.rows[y][x * self.channels:(x + 1) * self.channels] = bytes(colour[:self.channels])

    def line(self, x0, y0, x1, y1, colour):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(int(steps) + 1):
            self.dot(round(x0 + (x1 - x0) * i / steps), round(y0 + (y1 - y0) * i / steps), colour)

    def png(self):
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        kind = {1: 0, 2: 4, 3: 2, 4: 6}[self.channels]
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, kind, 0, 0, 0)
        rows = b"".join(b"\0" + bytes(row) for row in self.rows)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
