/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: nouns and verbs from tables, one file a noun. gy_cli_main is the whole program.
 */
#ifndef GY_CLI_CLI_H
#define GY_CLI_CLI_H

/* Runs `gyre argv[1..]`; returns the exit code of errors.def. Main thread, once. */
int gy_cli_main(int argc, char **argv);

#endif
