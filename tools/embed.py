#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Put files into the program: tools/embed.py NAME OUT.c FILE... writes the table that src/base/embed.h describes."""

import hashlib
import pathlib
import sys


def bytes_of(data):
    values = [str(b if b < 128 else b - 256) for b in data + b"\0"]
    return ",\n".join(",".join(values[i:i + 32]) for i in range(0, len(values), 32))


def main():
    name, out, *files = sys.argv[1:]
    lines = ["/* SPDX-License-Identifier: Apache-2.0 */", "/* Made by tools/embed.py. */", '#include "base/embed.h"', "",
             f"extern const struct gy_embedded {name}[];", f"extern const size_t {name}_count;", ""]
    rows = []
    for number, file in enumerate(map(pathlib.Path, files)):
        data = file.read_bytes()
        lines.append(f"static const signed char file_{number}[] = {{\n{bytes_of(data)}}};")
        rows.append(f'    {{"{file.name}", (const char *)file_{number}, {len(data)}, "{hashlib.sha256(data).hexdigest()}"}},')
    lines += [f"const struct gy_embedded {name}[] = {{", *rows, "};",
              f"const size_t {name}_count = sizeof {name} / sizeof {name}[0];"]
    pathlib.Path(out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
