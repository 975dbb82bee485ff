/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/measured.h"

void gy_cli_say_metrics(const struct gy_cli *cli, const struct gy_metrics *m,
                        const struct gy_eval *baseline)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct gy_metric *x = &m->items[i];
        const struct gy_metric *b =
            baseline && baseline->n_groups ? &baseline->groups[0].metrics.items[i] : NULL;
        gy_cli_say(cli, "  %-10s %7.4f  [%.4f, %.4f]", x->name, x->value, x->low, x->high);
        if (b) {
            gy_cli_say(cli, "  (majority %.4f)", b->value);
        }
        gy_cli_say(cli, "\n");
    }
}
