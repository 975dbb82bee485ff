/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of tables: against sums made the plain way, merged against whole, and any number of
 * threads against one. */
#include "unit.h"

#include <math.h>

#include "base/id.h"
#include "data/gather.h"
#include "data/statistics.h"
#include "data/tally.h"

#define ROWS 3000
#define COLUMNS 4

static const struct gy_gather_column COLUMNS_OF[COLUMNS] = {
    {{"n", 1}, GY_TYPE_INT, GY_ROLE_FEATURE},
    {{"x", 1}, GY_TYPE_FLOAT, GY_ROLE_FEATURE},
    {{"y", 1}, GY_TYPE_FLOAT, GY_ROLE_LABEL},
    {{"word", 4}, GY_TYPE_STRING, GY_ROLE_FEATURE},
};
static const struct gy_str MISSING[] = {{"NaN", 3}, {"?", 1}};
static const struct gy_gather_options OPTIONS = {COLUMNS_OF, COLUMNS, MISSING, 2};

struct table {
    double v[3][ROWS]; /* NaN: missing */
    char lines[ROWS][96];
};
static struct table g_table;

static void make_table(void)
{
    struct gy_rng r;
    gy_rng_init(&r, 42);
    static const char *const words[] = {"red", "green", "blue", "\"a,b\""};
    for (int i = 0; i < ROWS; i++) {
        double base = gy_rng_normal(&r);
        double v[3] = {(double)gy_rng_below(&r, 50) - 10, 1e6 + base,
                       2 * base + gy_rng_normal(&r) - 7};
        char text[3][32];
        for (int c = 0; c < 3; c++) {
            bool gap = gy_rng_below(&r, 10) == 0;
            text[c][gy_fmt_f64_trim(v[c], text[c])] = '\0';
            if (gap) {
                (void)snprintf(text[c], sizeof text[c], "%s", i % 2 ? "NaN" : "");
            }
            g_table.v[c][i] = gap ? NAN : v[c];
        }
        (void)snprintf(g_table.lines[i], sizeof g_table.lines[i], "%s,%s,%s,%s", text[0], text[1],
                       text[2], words[gy_rng_below(&r, 4)]);
    }
}

static void add_line(struct gy_gather *g, const char *line)
{
    struct gy_csv_field fields[COLUMNS];
    struct gy_str raw = gy_str_c(line);
    assert_int_equal(gy_csv_split(raw, true, ',', fields, COLUMNS), COLUMNS);
    assert_int_equal(gy_gather_fields(g, fields, raw, NULL), GY_OK);
}

static struct gy_statistics *finish(struct gy_gather *g)
{
    struct gy_statistics *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_gather_finish(g, &s, &err), err);
    return s;
}

static struct gy_gather *gather_lines(int from, int to)
{
    struct gy_gather *g = NULL;
    assert_int_equal(gy_gather_new(&OPTIONS, &g, NULL), GY_OK);
    for (int i = from; i < to; i++) {
        add_line(g, g_table.lines[i]);
    }
    return g;
}

/* In long double, two passes. */
static void plain_moments(const double *v, double *mean, double *sd, int64_t *count)
{
    long double sum = 0, squares = 0;
    *count = 0;
    for (int i = 0; i < ROWS; i++) {
        sum += isnan(v[i]) ? 0 : v[i];
        *count += !isnan(v[i]);
    }
    long double m = sum / *count;
    for (int i = 0; i < ROWS; i++) {
        squares += isnan(v[i]) ? 0 : (v[i] - m) * (v[i] - m);
    }
    *mean = (double)m;
    *sd = sqrt((double)(squares / (*count - 1)));
}

static double plain_r(const double *x, const double *y)
{
    long double sx = 0, sy = 0, xx = 0, yy = 0, xy = 0, n = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < ROWS; i++) {
            if (isnan(x[i]) || isnan(y[i])) {
                continue;
            }
            if (pass == 0) {
                sx += x[i];
                sy += y[i];
                n++;
            } else {
                xx += (x[i] - sx / n) * (x[i] - sx / n);
                yy += (y[i] - sy / n) * (y[i] - sy / n);
                xy += (x[i] - sx / n) * (y[i] - sy / n);
            }
        }
    }
    return (double)(xy / sqrtl(xx * yy));
}

static void assert_close(double a, double b, double relative)
{
    if (!(fabs(a - b) <= relative * (fabs(b) + 1e-300)) && !(isnan(a) && isnan(b))) {
        fail_msg("%.17g is not %.17g", a, b);
    }
}

static void test_moments_and_correlations_are_the_plain_ones(void **state)
{
    (void)state;
    GY_AUTO(gy_gather_free) struct gy_gather *g = gather_lines(0, ROWS);
    GY_AUTO(gy_statistics_free) struct gy_statistics *s = finish(g);
    assert_int_equal(s->rows, ROWS);
    assert_int_equal(s->n_columns, COLUMNS);
    assert_int_equal(s->n_numbers, 3);
    for (int c = 0; c < 3; c++) {
        double mean, sd, low = INFINITY, high = -INFINITY;
        int64_t count, zeros = 0, negative = 0, binned = 0;
        const struct gy_statistics_column *column = &s->columns[c];
        plain_moments(g_table.v[c], &mean, &sd, &count);
        for (int i = 0; i < ROWS; i++) {
            low = fmin(low, g_table.v[c][i]);
            high = fmax(high, g_table.v[c][i]);
            zeros += g_table.v[c][i] == 0;
            negative += g_table.v[c][i] < 0;
        }
        for (int i = 0; i < GY_STATISTICS_BINS; i++) {
            binned += column->bins[i];
        }
        assert_int_equal(column->count, count);
        assert_int_equal(column->count + column->missing + column->invalid, ROWS);
        assert_int_equal(column->invalid, 0);
        assert_close(column->mean, mean, 1e-14);
        assert_close(column->sd, sd, 1e-11); /* though the mean of x is a million deviations */
        assert_true(column->min == low && column->max == high);
        assert_int_equal(column->zeros, zeros);
        assert_int_equal(column->negative, negative);
        assert_int_equal(binned, count);
        assert_true(column->quantiles[0] == low && column->quantiles[10] == high);
        for (int k = 0; k < 3; k++) {
            assert_close(s->correlations[c * 3 + k], plain_r(g_table.v[c], g_table.v[k]), 1e-10);
        }
    }
    const struct gy_statistics_column *word = gy_statistics_find(s, GY_STR("word"));
    assert_true(word && !word->numeric && word->top_is_all);
    assert_int_equal(word->distinct, 4);
    assert_true(word->top[0].count >= word->top[3].count);
    assert_int_equal(word->max_length, 5);
    assert_null(gy_statistics_find(s, GY_STR("no")));
}

static void test_merged_parts_are_the_whole(void **state)
{
    (void)state;
    static const int cuts[] = {0, 1, 255, 256, 1500, 2999, ROWS};
    GY_AUTO(gy_gather_free) struct gy_gather *g = gather_lines(0, ROWS);
    GY_AUTO(gy_statistics_free) struct gy_statistics *whole = finish(g);
    for (size_t k = 0; k < sizeof cuts / sizeof cuts[0]; k++) {
        GY_AUTO(gy_gather_free) struct gy_gather *a = gather_lines(0, cuts[k]);
        GY_AUTO(gy_gather_free) struct gy_gather *b = gather_lines(cuts[k], ROWS);
        assert_int_equal(gy_gather_merge(a, b, NULL), GY_OK);
        GY_AUTO(gy_statistics_free) struct gy_statistics *s = finish(a);
        assert_int_equal(s->rows, ROWS);
        assert_int_equal(s->distinct_rows, whole->distinct_rows);
        for (size_t c = 0; c < COLUMNS; c++) {
            const struct gy_statistics_column *x = &s->columns[c], *y = &whole->columns[c];
            assert_int_equal(x->count, y->count);
            assert_int_equal(x->missing, y->missing);
            assert_int_equal(x->distinct, y->distinct);
            assert_int_equal(x->n_top, y->n_top);
            for (size_t i = 0; i < x->n_top; i++) {
                assert_true(gy_str_eq(x->top[i].value, y->top[i].value));
                assert_int_equal(x->top[i].count, y->top[i].count);
            }
            assert_close(x->mean, y->mean, 1e-14);
            assert_close(x->sd, y->sd, 1e-11);
            assert_memory_equal(x->bins, y->bins, sizeof x->bins);
            for (size_t i = 0; i < GY_STATISTICS_QUANTILES; i++) {
                assert_close(x->quantiles[i], y->quantiles[i], 0);
            }
        }
        for (size_t i = 0; i < 9; i++) {
            assert_close(s->correlations[i], whole->correlations[i], 1e-10);
        }
    }
}

static void test_an_empty_gather_says_so(void **state)
{
    (void)state;
    GY_AUTO(gy_gather_free) struct gy_gather *g = gather_lines(0, 0);
    gy_gather_broken(g);
    GY_AUTO(gy_statistics_free) struct gy_statistics *s = finish(g);
    assert_int_equal(s->rows, 1);
    assert_int_equal(s->broken, 1);
    assert_int_equal(s->columns[0].invalid, 1);
    assert_true(isnan(s->columns[0].mean) && isnan(s->columns[1].quantiles[5]));
    assert_true(isnan(s->correlations[0]));
    assert_int_equal(s->columns[3].n_top, 0);
    assert_true(s->columns[3].top_is_all);
}

/* ---- values of each type ---- */

static struct gy_statistics *of_text(const char *csv, const char *schema, unsigned threads)
{
    char path[] = "/tmp/gyre-statistics-XXXXXX";
    int fd = mkstemp(path);
    struct gy_err err = GY_ERR_INIT;
    GY_AUTO(gy_schema_free) struct gy_schema *parsed = NULL;
    struct gy_statistics *s = NULL;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, csv, strlen(csv)), strlen(csv));
    (void)close(fd);
    if (schema) {
        assert_status(GY_OK, gy_schema_parse(gy_str_c(schema), "schema", &parsed, &err), err);
    }
    const struct gy_statistics_options o = {.schema = parsed, .threads = threads};
    assert_status(GY_OK, gy_statistics_file(path, &o, &s, &err), err);
    (void)unlink(path);
    return s;
}

static void test_values_by_type(void **state)
{
    (void)state;
    GY_AUTO(gy_statistics_free)
    struct gy_statistics *s = of_text(
        "b,t,i,f,s\r\n"
        "true,2011-01-01,007,-0.0,a\r\n"
        "0,2011-01-01T00:00:01Z,7,0, \r\n"
        "x,2011-13-01,9007199254740993,1e3,NaN\r\n"
        "?,,9007199254740992,abc,\r\n"
        "one field too few,2011-01-01,1,1\r\n",
        "columns:\n  - {name: b, type: bool}\n  - {name: t, type: time, role: event_time}\n"
        "  - {name: i, type: int}\n  - {name: f, type: float}\n  - {name: s, type: string}\n"
        "missing: ['', NaN, '?']\n",
        1);
    const struct gy_statistics_column *b = &s->columns[0], *t = &s->columns[1], *i = &s->columns[2],
                                      *f = &s->columns[3], *text = &s->columns[4];
    assert_int_equal(s->rows, 5);
    assert_int_equal(s->broken, 1);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->missing, 1);
    assert_int_equal(b->invalid, 2);
    assert_true(b->mean == 0.5);
    assert_str(b->top[0].value, "false");
    assert_int_equal(t->count, 2);
    assert_int_equal(t->missing, 1);
    assert_int_equal(t->role, GY_ROLE_EVENT_TIME);
    assert_true(t->min == 1293840000 && t->max == 1293840001);
    assert_int_equal(i->count, 4);
    assert_int_equal(i->distinct, 3); /* 007 is 7; the two large ones share a double */
    assert_str(i->top[0].value, "7");
    assert_int_equal(i->top[0].count, 2);
    assert_int_equal(f->count, 3);
    assert_int_equal(f->zeros, 2);
    assert_int_equal(f->distinct, 2); /* -0 is 0 */
    assert_int_equal(text->count, 2);
    assert_int_equal(text->missing, 2);
    assert_str(text->top[0].value, " "); /* blanks are a text */
}

static void test_lists_and_zones(void **state)
{
    (void)state;
    GY_AUTO(gy_statistics_free)
    struct gy_statistics *s =
        of_text("tags,sizes,at,naive\n"
                "a|b|a,1|02,2024-07-01T12:00:00,2024-07-01T12:00:00\n"
                ",3,2024-07-01T12:00:00Z,2024-07-01\n"
                "c,1||2,2024-01-01T12:00:00,2024-07-01T12:00:00Z\n",
                "columns:\n  - {name: tags, type: string, list: '|'}\n"
                "  - {name: sizes, type: int, list: '|'}\n"
                "  - {name: at, type: time, zone: Europe/Berlin}\n  - {name: naive, type: time}\n",
                1);
    const struct gy_statistics_column *tags = &s->columns[0], *sizes = &s->columns[1],
                                      *at = &s->columns[2], *naive = &s->columns[3];
    assert_true(tags->list && !tags->numeric && sizes->list && !sizes->numeric);
    assert_int_equal(tags->count, 2);
    assert_int_equal(tags->missing, 1);
    assert_int_equal(tags->n_values, 4);
    assert_int_equal(tags->min_values, 1);
    assert_int_equal(tags->max_values, 3);
    assert_int_equal(tags->distinct, 3);
    assert_str(tags->top[0].value, "a");
    assert_int_equal(tags->top[0].count, 2);
    assert_int_equal(sizes->count, 2);
    assert_int_equal(sizes->invalid, 1); /* a list with a gap */
    assert_str(sizes->top[1].value, "2");
    assert_int_equal(at->count, 3);
    assert_true(at->min == 1704106800 && at->max == 1719835200); /* winter and summer time */
    assert_int_equal(naive->count, 2);
    assert_int_equal(naive->invalid, 1); /* no zone is named */
}

static void test_ascending_columns_are_counted_though_they_are_long(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    gy_buf_init(&csv, 64 * GY_MIB);
    gy_buf_addc(&csv, "up,down,mixed\n");
    for (int i = 0; i < GY_STATISTICS_EXACT + 50000; i++) {
        gy_buf_addf(&csv, "%d,%d,%d\n", i, -i, (i * 7919) % (GY_STATISTICS_EXACT + 50000));
    }
    GY_AUTO(gy_statistics_free) struct gy_statistics *s = of_text(csv.p, NULL, 2);
    for (size_t i = 0; i < 3; i++) {
        const struct gy_statistics_column *c = &s->columns[i];
        assert_int_equal(c->count, GY_STATISTICS_EXACT + 50000);
        assert_int_equal(c->distinct_exact, i < 2);
        assert_true(fabs((double)c->distinct / (GY_STATISTICS_EXACT + 50000) - 1) < 0.04);
        assert_false(c->top_is_all);
        assert_true(c->n_top == 0 || c->top[0].count == 1); /* none is frequent */
    }
    assert_int_equal(s->columns[0].distinct, s->rows);
    assert_int_equal(s->distinct_rows, s->rows);
    assert_true(s->distinct_rows_exact);
}

/* ---- files ---- */

static void add_json(const struct gy_statistics *s, struct gy_buf *out)
{
    gy_buf_reset(out);
    gy_statistics_json(s, out);
    assert_int_equal(out->failed, GY_OK);
}

/* Larger than several shards, with quoted newlines, broken quotes and short records. */
static void make_file(struct gy_buf *csv)
{
    struct gy_rng r;
    gy_rng_init(&r, 9);
    gy_buf_addc(csv, "id,x,y,word\n");
    for (int i = 0; i < 220000; i++) {
        gy_buf_addf(csv, "%d,%.6f,", i % 150001, gy_rng_normal(&r));
        switch (gy_rng_below(&r, 2000)) {
        case 0:
            gy_buf_addc(csv, "\"never closed,1\n");
            break;
        case 1:
            gy_buf_addc(csv, "1\n");
            break;
        case 2:
            gy_buf_addf(csv, "%d,\"two\nlines \"\"%d\"\"\"\n", i, i % 3);
            break;
        case 3:
            gy_buf_addc(csv, "abc,\xff\n");
            break;
        default:
            gy_buf_addf(csv, "%d,w%d\n", (int)gy_rng_below(&r, 300), (int)gy_rng_below(&r, 120000));
        }
    }
}

static void test_any_number_of_threads_gives_the_same_bytes(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf csv;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf one;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf other;
    gy_buf_init(&csv, 64 * GY_MIB);
    gy_buf_init(&one, GY_STATISTICS_MAX_BYTES);
    gy_buf_init(&other, GY_STATISTICS_MAX_BYTES);
    make_file(&csv);
    static const unsigned threads[] = {1, 2, 7};
    for (size_t i = 0; i < 3; i++) {
        GY_AUTO(gy_statistics_free) struct gy_statistics *s = of_text(csv.p, NULL, threads[i]);
        add_json(s, i ? &other : &one);
        if (i) {
            assert_int_equal(one.n, other.n);
            assert_memory_equal(one.p, other.p, one.n);
        } else {
            assert_true(s->broken > 0 && s->columns[3].max_length > 8);
            assert_int_equal(s->columns[2].count + s->columns[2].missing + s->columns[2].invalid,
                             s->rows);
            assert_true(s->columns[2].type == GY_TYPE_STRING || s->columns[2].invalid > s->broken);
            assert_false(s->columns[1].distinct_exact);
        }
    }
}

static void test_json_is_read_back_and_written_again(void **state)
{
    (void)state;
    GY_AUTO(gy_gather_free) struct gy_gather *g = gather_lines(0, ROWS);
    GY_AUTO(gy_statistics_free) struct gy_statistics *s = finish(g);
    GY_AUTO(gy_statistics_free) struct gy_statistics *back = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf one;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf other;
    struct gy_err err = GY_ERR_INIT;
    gy_buf_init(&one, GY_STATISTICS_MAX_BYTES);
    gy_buf_init(&other, GY_STATISTICS_MAX_BYTES);
    add_json(s, &one);
    assert_status(GY_OK, gy_statistics_parse(gy_buf_str(&one), &back, &err), err);
    add_json(back, &other);
    assert_string_equal(one.p, other.p);
    assert_int_equal(back->columns[2].role, GY_ROLE_LABEL);
    assert_true(back->correlations[1] == s->correlations[1]);
}

static void test_parse_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"format\":\"gyre.statistics/2\"}",
        "{\"format\":\"gyre.statistics/1\",\"rows\":-1}",
        "{\"format\":\"gyre.statistics/1\",\"rows\":1.5}",
        "{\"format\":\"gyre.statistics/1\",\"columns\":[{}]}",
        "{\"format\":\"gyre.statistics/1\",\"columns\":[{\"name\":\"a\"}]}",
        "{\"format\":\"gyre.statistics/1\",\"columns\":[{\"name\":\"a\",\"role\":\"id\"}]}",
        "{\"format\":\"gyre.statistics/1\",\"columns\":[{\"name\":\"a\",\"type\":\"int\"}]}",
        "{\"format\":\"gyre.statistics/1\",\"columns\":[{\"name\":\"a\",\"type\":\"odd\"}]}",
        "{\"format\":\"gyre.statistics/1\",\"columns\":[{\"name\":\"a\",\"type\":\"string\"},"
        "{\"name\":\"a\",\"type\":\"string\"}]}",
        "{\"format\":\"gyre.statistics/1\",\"columns\":[{\"name\":\"a\",\"type\":\"string\","
        "\"top\":[[1,2]]}]}",
        "{\"format\":\"gyre.statistics/1\",\"numbers\":[\"a\"],\"correlations\":[[1]]}",
        "{\"format\":\"gyre.statistics/1\",\"columns\":[{\"name\":\"a\",\"type\":\"string\"}],"
        "\"numbers\":[\"a\"],\"correlations\":[[1]]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct gy_statistics *s = NULL;
        struct gy_err err = GY_ERR_INIT;
        gy_status status = gy_statistics_parse(gy_str_c(bad[i]), &s, &err);
        if (status != GY_E_PARSE && status != GY_E_CORRUPT) {
            fail_msg("%s gave %s", bad[i], gy_status_name(status));
        }
        assert_null(s);
        assert_true(err.msg[0] != '\0');
    }
}

static void test_files_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        gy_status status;
    } cases[] = {{"", GY_E_PARSE},
                 {"\n\n", GY_E_PARSE},
                 {"a,a\n1,2\n", GY_E_SCHEMA},
                 {"a,\n1,2\n", GY_E_PARSE}};
    struct gy_statistics *s = NULL;
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_E_NOTFOUND, gy_statistics_file("/nowhere/at.csv", NULL, &s, &err), err);
    assert_status(GY_E_IO, gy_statistics_file("/", NULL, &s, &err), err);
    for (size_t i = 0; i < 4; i++) {
        char path[] = "/tmp/gyre-statistics-XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, cases[i].text, strlen(cases[i].text)), strlen(cases[i].text));
        (void)close(fd);
        err = (struct gy_err)GY_ERR_INIT;
        assert_status(cases[i].status, gy_statistics_file(path, NULL, &s, &err), err);
        (void)unlink(path);
    }
}

static void test_json_records(void **state)
{
    (void)state;
    GY_AUTO(gy_statistics_free)
    struct gy_statistics *s =
        of_text("{\"a\": 1, \"b\": \"x\"}\n{\"a\": \"1\", \"b\": null}\n{\"a\": 2.5}\n{broken\n"
                "{\"a\": 3, \"b\": \"x\", \"c\": [1]}\n",
                "columns:\n  - {name: a, type: float}\n  - {name: b, type: string}\n", 1);
    assert_int_equal(s->rows, 5);
    assert_int_equal(s->broken, 1);
    assert_int_equal(s->columns[0].count, 3);
    assert_int_equal(s->columns[0].invalid, 2); /* a text is no number */
    assert_close(s->columns[0].mean, 6.5 / 3, 1e-15);
    assert_int_equal(s->columns[1].count, 2);
    assert_int_equal(s->columns[1].missing, 2);
}

static gy_status all_of_it(void *ctx, struct gy_err *err)
{
    GY_AUTO(gy_statistics_free) struct gy_statistics *s = NULL;
    GY_AUTO(gy_statistics_free) struct gy_statistics *back = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf json;
    gy_buf_init(&json, GY_MIB);
    const struct gy_statistics_options o = {.threads = 1};
    GY_TRY(gy_statistics_file(ctx, &o, &s, err));
    gy_statistics_json(s, &json);
    GY_TRY(gy_buf_check(&json, "statistics", err));
    return gy_statistics_parse(gy_buf_str(&json), &back, err);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char text[] = "id,x,t,s\n1,2.5,2011-01-01,a\n2,,2011-01-02,\"b\"\"c\"\n3,4.5,,b\n";
    char path[] = "/tmp/gyre-statistics-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    torture(all_of_it, path);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments_and_correlations_are_the_plain_ones),
        cmocka_unit_test(test_merged_parts_are_the_whole),
        cmocka_unit_test(test_an_empty_gather_says_so),
        cmocka_unit_test(test_values_by_type),
        cmocka_unit_test(test_lists_and_zones),
        cmocka_unit_test(test_ascending_columns_are_counted_though_they_are_long),
        cmocka_unit_test(test_any_number_of_threads_gives_the_same_bytes),
        cmocka_unit_test(test_json_is_read_back_and_written_again),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_files_that_are_none),
        cmocka_unit_test(test_json_records),
        cmocka_unit_test(test_no_memory),
    };
    make_table();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
