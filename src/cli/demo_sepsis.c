/* SPDX-License-Identifier: Apache-2.0 */
/* Reference system 000: sepsis alerts. */
#include "cli/demo_sepsis.h"

static gy_status play_parts(struct gy_sepsis *s, struct gy_err *err)
{
    GY_TRY(gy_sepsis_line(s, err));
    GY_TRY(gy_sepsis_loop(s, err));
    GY_TRY(gy_sepsis_report(s, err));
    gy_sepsis_say(s);
    gy_sepsis_json(s, &s->d->table);
    return GY_OK;
}

static gy_status play(struct gy_demo *d, struct gy_err *err)
{
    struct gy_sepsis s = {.d = d};
    gy_status status = play_parts(&s, err);
    gy_json_free(s.trace);
    gy_caller_free(s.person);
    return status;
}

const struct gy_demo_ops gy_demo_sepsis = {
    .name = "sepsis",
    .title = "Sepsis alerts, from a CSV file once around the loop",
    .play = play,
};
