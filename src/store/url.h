/* SPDX-License-Identifier: Apache-2.0 */
/* URLs of stores as they may be shown and compared. A URL may hold a password; nothing but the
 * driver sees it as it is. Pure functions. */
#ifndef GY_STORE_URL_H
#define GY_STORE_URL_H

#include "base/str.h"

#define GY_STORE_URL_SHOWN 512

/* The URL with "***" for the password, wherever one may stand (rather too much than too little when
 * it is not well formed), cut to the size of out. Returns out. url MAY be NULL: "". */
const char *gy_store_url_show(const char *url, char out[GY_STORE_URL_SHOWN]);
/* What tells one store from another: the URL without user, password and options. Returns out. */
const char *gy_store_url_place(const char *url, char out[GY_STORE_URL_SHOWN]);

#endif
