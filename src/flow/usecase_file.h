/* SPDX-License-Identifier: Apache-2.0 */
/* usecase.yaml: what a model is for and who answers for it, checked once for files and requests.
 *
 *   name: ward-alerts
 *   owner: Dr. A. Weber
 *   purpose: Point nurses at patients who may be septic, an hour before the round.
 *   success_metric: {name: recall, min: 0.8}
 *   risk_class: high
 *   contacts: [sepsis@clinic.example]
 *   four_eyes: true            # who requests the approval may not give it
 *   description: ...           # MAY be left out, as contacts, four_eyes and links
 *   links: [https://...]
 *
 * Pure. */
#ifndef GY_FLOW_USECASE_FILE_H
#define GY_FLOW_USECASE_FILE_H

#include "base/json.h"

#define GY_USECASE_MAX_TEXT 8192 /* bytes of purpose and description; other texts GY_MAX_NAME */
#define GY_USECASE_MAX_ITEMS 100 /* contacts, links */

/* What a use case is measured by. */
struct gy_usecase_metric {
    struct gy_str name;
    double min, max; /* NaN: not bounded */
};

/* Check the object that such a file is and write it in one order without its name, so that equal
 * texts are equal. Views into the object. Fails: INVALID, naming the key. */
GY_CHECKED gy_status gy_usecase_read(yyjson_val *object, struct gy_buf *ret_spec,
                                     struct gy_str *ret_name, bool *ret_four_eyes,
                                     struct gy_err *err);
/* Of a checked text: false when there is none. */
bool gy_usecase_metric_of(yyjson_val *spec, struct gy_usecase_metric *ret);

#endif
