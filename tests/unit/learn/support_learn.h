/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of room learn share: a folder of one's own, made patients, a trained package. */
#ifndef GY_TESTS_SUPPORT_LEARN_H
#define GY_TESTS_SUPPORT_LEARN_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "data/schema.h"
#include "learn/package.h"
#include "learn/train.h"

#define SCHEMA_TEXT                                                                          \
    "columns:\n- {name: id, type: int, role: id}\n- {name: HR, type: int, required: true}\n" \
    "- {name: Resp, type: int}\n- {name: Temp, type: float}\n- {name: ward, type: string}\n" \
    "- {name: sick, type: int, values: [0, 1], role: label}\n"

static char g_dir[GY_MAX_PATH];
static struct gy_err g_err; /* of the OK that failed */

GY_UNUSED static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(g_dir, sizeof g_dir, "%s/gy-learn-XXXXXX",
                   getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(g_dir) ? 0 : -1;
}

GY_UNUSED static int remove_dir(void **state)
{
    (void)state;
    return gy_dir_remove(g_dir, NULL) == GY_OK ? 0 : -1;
}

GY_UNUSED static const char *in_dir(char out[GY_MAX_PATH], const char *name)
{
    assert_int_equal(gy_path_join(out, GY_MAX_PATH, g_dir, name, NULL), GY_OK);
    return out;
}

#define OK(expr)                                                       \
    do {                                                               \
        gy_status ok_status_ = (expr);                                 \
        if (ok_status_ != GY_OK) {                                     \
            fail_msg("%s: %s", gy_status_name(ok_status_), g_err.msg); \
        }                                                              \
    } while (0)

/* Patients by the two-of-three rule, with some noise in the labels, gaps in Resp and Temp. */
GY_UNUSED static void add_patients(struct gy_buf *csv, size_t n, uint64_t seed)
{
    struct gy_rng r;
    gy_rng_init(&r, seed);
    gy_buf_addc(csv, "id,HR,Resp,Temp,ward,sick\n");
    for (size_t i = 0; i < n; i++) {
        int hr = 60 + (int)gy_rng_below(&r, 60), resp = 12 + (int)gy_rng_below(&r, 16);
        double temp = 35.5 + (double)gy_rng_below(&r, 50) / 10;
        int marks = (hr > 90) + (resp > 20) + (temp > 38.3);
        int sick = gy_rng_below(&r, 50) == 0 ? marks < 2 : marks >= 2;
        gy_buf_addf(csv, "%zu,%d,", i + 1, hr);
        if (gy_rng_below(&r, 20)) {
            gy_buf_addf(csv, "%d", resp);
        }
        gy_buf_addc(csv, ",");
        if (gy_rng_below(&r, 20)) {
            gy_buf_addf(csv, "%.1f", temp);
        }
        gy_buf_addf(csv, ",%s,%d\n", i % 3 ? "icu" : "er", sick);
    }
    assert_int_equal(gy_buf_check(csv, "patients", NULL), GY_OK);
}

GY_UNUSED static struct gy_table *patients(size_t n, uint64_t seed)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    GY_AUTO(gy_schema_free) struct gy_schema *s = NULL;
    struct gy_table *t = NULL;
    gy_buf_init(&csv, 64 * GY_MIB);
    add_patients(&csv, n, seed);
    OK(gy_schema_parse(GY_STR(SCHEMA_TEXT), "schema.yaml", &s, &g_err));
    OK(gy_table_parse(gy_buf_str(&csv), "patients.csv", s, &t, &g_err));
    return t;
}

/* Parameters from YAML text; free with gy_train_params_done. */
GY_UNUSED static void read_params(struct gy_train_params *p, enum gy_learner learner,
                                  const char *yaml)
{
    GY_AUTO(gy_yaml_free) struct gy_yaml *y = NULL;
    gy_train_params_init(p);
    gy_train_set_learner(p, learner);
    p->learner_fixed = true;
    p->target = GY_STR("sick");
    p->replicates = 50;
    OK(gy_yaml_parse(gy_str_c(yaml), "params.yaml", &y, &g_err));
    OK(gy_train_params_read(p, y, &g_err));
}

GY_UNUSED static void read_file(const char *dir, const char *name, struct gy_buf *out)
{
    char path[GY_MAX_PATH];
    gy_buf_init(out, 64 * GY_MIB);
    OK(gy_path_join(path, sizeof path, dir, name, &g_err));
    OK(gy_file_read(path, out, &g_err));
}

GY_UNUSED static void write_file(const char *dir, const char *name, struct gy_str bytes)
{
    char path[GY_MAX_PATH];
    OK(gy_path_join(path, sizeof path, dir, name, &g_err));
    OK(gy_file_write(path, bytes, 0644, &g_err));
}

#endif
