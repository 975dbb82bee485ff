/* SPDX-License-Identifier: Apache-2.0 */
/* The member "taken" of a new dataset version. Any thread. */
#ifndef GY_API_DATA_TAKEN_H
#define GY_API_DATA_TAKEN_H

#include "base/json.h"
#include "data/taken.h"

/* Views into body, which must live on; *ret_there false: there is none. Fails: INVALID, NOMEM. */
GY_CHECKED gy_status gy_api_taken_read(yyjson_val *body, struct gy_arena *a,
                                       struct gy_taken_step *ret, bool *ret_there,
                                       struct gy_err *err);

#endif
