/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands on dead letters share. */
#ifndef GY_CLI_DLQ_H
#define GY_CLI_DLQ_H

#include "base/json.h"

/* Was the letter refused with this code? */
bool gy_cli_letter_has_code(yyjson_val *letter, const char *code);

#endif
