#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print f64_repr.h: doubles by their bits and what Python's repr says of them. Run: make_f64_repr.py > f64_repr.h"""
import random
import struct

random.seed(20261121)


def value(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def bits(v):
    return struct.unpack("<Q", struct.pack("<d", v))[0]


chosen = set()
for e in range(2047):  # every power of two: where the gap below is half the gap above
    if e % 3 == 0 or 970 < e < 1080:
        chosen.add(e << 52)
for e in range(0, 52):
    chosen.add(1 << e)  # denormal powers of two
for t in ("0.0 1.0 0.1 0.2 0.3 1e15 1e16 1e17 9007199254740992.0 9007199254740993.0 123456789012345680.0 1e-4 1e-5 "
          "0.0001 0.00001 5e-324 1.7976931348623157e308 2.2250738585072014e-308 4.35 0.5 100.0 1e22 1e23 999999999999999.9 "
          "37.9 98.6 38.5 1e100 123456.789 0.30000000000000004").split():
    chosen.add(bits(float(t)))
while len(chosen) < 1700:
    chosen.add(random.getrandbits(64) & ~(1 << 63))
while len(chosen) < 2000:
    chosen.add(bits(round(random.uniform(-1000, 1000), random.randrange(0, 6))))
print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Made by make_f64_repr.py: bits of a double, its repr in Python. */")
print("static const struct {\n    unsigned long long bits;\n    const char *text;\n} f64_repr[] = {")
for b in sorted(chosen):
    v = value(b)
    if v == v and v not in (float("inf"), float("-inf")):
        print('    {0x%016xull, "%s"},' % (b, repr(v)))
print("};")
