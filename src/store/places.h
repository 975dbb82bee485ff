/* SPDX-License-Identifier: Apache-2.0 */
/* Where a home's metadata and objects are, when that is not in the home itself: a file in it holds
 * the URL without user, password and options, so that a command that is not told the URL fails
 * instead of working on an empty store of its own. */
#ifndef GY_STORE_PLACES_H
#define GY_STORE_PLACES_H

#include "base/id.h"
#include "store/home.h"

enum gy_place { GY_PLACE_STORE, GY_PLACE_OBJECTS };

/* Is url (NULL: in the home) where this home's part is? True of a home that remembers none and of
 * stores in memory. Fails: CONFLICT with a hint, IO. */
GY_CHECKED gy_status gy_place_check(const struct gy_home *h, enum gy_place which, const char *url,
                                    struct gy_err *err);
/* Remember url; NULL and memory: nothing to remember. Durable. Fails: IO. */
GY_CHECKED gy_status gy_place_remember(const struct gy_home *h, enum gy_place which,
                                       const char *url, struct gy_err *err);

/* Is this the name of a file in which a home remembers a place? Such a file is of one home only: a
 * copy of it elsewhere would point back. */
bool gy_place_is_file(const char *name);

/* The home's own name, made at the first call: no other home has it. Fails: IO. */
GY_CHECKED gy_status gy_home_id(const struct gy_home *h, char out[GY_UUID_TEXT],
                                struct gy_err *err);

#endif
