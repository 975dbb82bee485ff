/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing and help of one verb, from its table entry. Used by cli.c alone. */
#ifndef GY_CLI_OPTIONS_H
#define GY_CLI_OPTIONS_H

#include "cli/cli_internal.h"

/* Parse argv (after noun and verb): global options into cli, the verb's into a fresh struct in
 * cli->arena, the rest into cli->argc/argv. *ret_help: -h was given (then nothing else is checked).
 * Fails: USAGE naming the word. */
GY_CHECKED gy_status gy_cli_parse_options(struct gy_cli *cli, const struct gy_verb *verb, int argc,
                                          char **argv, void **ret_opts, bool *ret_help,
                                          struct gy_err *err);
void gy_cli_print_help(FILE *out, const struct gy_verb *verb);

#endif
