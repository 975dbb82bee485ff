/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

int gy_cli_main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        (void)printf("gyre 0.1.0\n");
        return 0;
    }
    (void)fprintf(stderr, "usage: gyre <noun> <verb> [options]\n");
    return 2;
}
