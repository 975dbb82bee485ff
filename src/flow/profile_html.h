/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics of a table as one HTML file (watch/html.h): what a person wants to see of it
 * before learning from it, alone or beside another table. Pure. */
#ifndef GY_FLOW_PROFILE_HTML_H
#define GY_FLOW_PROFILE_HTML_H

#include "data/remarks.h"

#define GY_PROFILE_HTML_HEAT 60     /* columns of the heatmap: the first ones */
#define GY_PROFILE_HTML_COLUMNS 500 /* columns that are drawn; all are in the tables */

struct gy_profile_page {
    struct gy_str title;
    const struct gy_statistics *statistics;
    const struct gy_remarks *remarks;
    const struct gy_statistics *against; /* MAY be NULL */
    struct gy_str against_title;
    struct gy_str footer; /* what made it */
};
/* Fails: NOMEM, TOOBIG (out's ceiling). */
GY_CHECKED gy_status gy_profile_html(const struct gy_profile_page *p, struct gy_buf *out,
                                     struct gy_err *err);

#endif
