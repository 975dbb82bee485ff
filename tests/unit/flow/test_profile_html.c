/* SPDX-License-Identifier: Apache-2.0 */
/* The page of a table's statistics: tables of every odd shape, names that are markup, no memory. */
#include "flow/profile_html.h"

#include "data/gather.h"
#include "unit.h"

static const char NASTY[] = "<b onclick='x'>&\"";

static const struct gy_gather_column COLUMNS[] = {
    {{NASTY, sizeof NASTY - 1}, GY_TYPE_STRING, GY_ROLE_LABEL, NULL},
    {{"n", 1}, GY_TYPE_FLOAT, GY_ROLE_FEATURE, NULL},
    {{"at", 2}, GY_TYPE_TIME, GY_ROLE_EVENT_TIME, NULL},
    {{"same", 4}, GY_TYPE_INT, GY_ROLE_FEATURE, NULL},
};
static const struct gy_gather_options OPTIONS = {COLUMNS, 4, NULL, 0};

static gy_status gather(const char *const *lines, size_t n, struct gy_statistics **ret,
                        struct gy_err *err)
{
    GY_AUTO(gy_gather_free) struct gy_gather *g = NULL;
    GY_TRY(gy_gather_new(&OPTIONS, &g, err));
    for (size_t i = 0; i < n; i++) {
        struct gy_csv_field fields[4];
        struct gy_str raw = gy_str_c(lines[i]);
        if (gy_csv_split(raw, false, ',', fields, 4) == 4) {
            GY_TRY(gy_gather_fields(g, fields, raw, err));
        } else {
            gy_gather_broken(g);
        }
    }
    return gy_gather_finish(g, ret, err);
}

static const char *const LINES[] = {
    "<i>a</i>,1.5,2011-01-01,7", "b,-2,2011-01-02T10:00:00Z,7", "b,x,,7", "broken", ",1e308,,7",
    "<i>a</i>,-1e308,,7",
};
enum { N_LINES = sizeof LINES / sizeof LINES[0] };

struct job {
    size_t n, n_other; /* lines; n_other SIZE_MAX: no other table */
    struct gy_buf *out;
};

static gy_status make_page(void *ctx, struct gy_err *err)
{
    struct job *j = ctx;
    GY_AUTO(gy_statistics_free) struct gy_statistics *s = NULL;
    GY_AUTO(gy_statistics_free) struct gy_statistics *other = NULL;
    struct gy_remarks remarks;
    gy_buf_reset(j->out);
    GY_TRY(gather(LINES, j->n, &s, err));
    if (j->n_other != SIZE_MAX) {
        GY_TRY(gather(LINES, j->n_other, &other, err));
    }
    GY_TRY(gy_remarks_make(s, &remarks, err));
    const struct gy_profile_page page = {.title = gy_str_c(NASTY),
                                         .statistics = s,
                                         .remarks = &remarks,
                                         .against = other,
                                         .against_title = gy_str_c(NASTY),
                                         .footer = gy_str_c(NASTY)};
    gy_status status = gy_profile_html(&page, j->out, err);
    gy_remarks_done(&remarks);
    return status;
}

static bool has(const struct gy_buf *b, const char *text)
{
    return gy_str_find_str(gy_buf_str(b), gy_str_c(text)) != SIZE_MAX;
}

static void test_tables_of_every_size(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_MIB);
    for (size_t n = 0; n <= N_LINES; n++) {
        for (size_t other = 0; other <= N_LINES + 1; other++) {
            struct job j = {n, other > N_LINES ? SIZE_MAX : other, &out};
            struct gy_err err = GY_ERR_INIT;
            assert_status(GY_OK, make_page(&j, &err), err);
            assert_true(has(&out, "</html>"));
            assert_false(has(&out, "<b ") || has(&out, "<i>") || has(&out, "nan") ||
                         has(&out, "inf"));
        }
    }
    assert_true(has(&out, "&lt;i&gt;a&lt;/i&gt;") && has(&out, "2011-01-01T00:00:00"));
    assert_true(has(&out, "every value is &#39;7&#39;") && has(&out, "1 records can not be read"));
}

static void test_no_memory(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 16 * GY_MIB);
    gy_buf_addc(&out, "x"); /* so that it is not what leaks */
    char *room = gy_buf_reserve(&out, GY_MIB);
    assert_non_null(room);
    struct job j = {N_LINES, 2, &out};
    torture(make_page, &j);
}

static void test_a_ceiling_is_told(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    gy_buf_init(&out, 5000);
    struct job j = {N_LINES, SIZE_MAX, &out};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_E_TOOBIG, make_page(&j, &err), err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_of_every_size),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_a_ceiling_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
