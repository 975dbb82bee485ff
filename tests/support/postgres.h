/* SPDX-License-Identifier: Apache-2.0 */
/* A real PostgreSQL of the test program's own (tests/postgres.py), started at the first use and
 * ended with the program. Without one the tests that need it are skipped. */
#ifndef GY_TESTS_POSTGRES_H
#define GY_TESTS_POSTGRES_H

#include <stdbool.h>

/* Whether there is one; says why not on stderr, once. */
bool postgres_there(void);
/* The URL of a fresh database: over the socket, or over TCP with the password in it. */
void postgres_url(char out[256]);
void postgres_password_url(char out[256]);
#define POSTGRES_PASSWORD "s3cret word/+"
/* End it as a power cut would, start it again. */
void postgres_down(void);
void postgres_up(void);
/* A test for the place of those that were left out. */
void postgres_skipped(void **state);

#endif
