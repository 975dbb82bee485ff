/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/endpoint_test.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/time.h"
#include "cli/ask.h"
#include "data/records.h"

#define SEED 20261128
#define MAX_TOLD 10 /* failures and versions that are told apart */
#define MAX_IMAGE (4 << 20)

struct input {
    struct gy_str name, kind;
    bool number, integer, required;
    double min, max;
    yyjson_val *values; /* texts that training saw */
    size_t column;      /* of the file; SIZE_MAX: none */
};

struct told {
    char text[160];
    int64_t n;
};

struct test {
    const struct gy_endpoint_test_opts *o;
    struct gy_caller *caller;
    struct gy_arena *a;
    const char *path;
    yyjson_doc *doc;
    struct input *inputs;
    size_t n_inputs;
    struct gy_str *cells; /* of the file, row by row */
    size_t n_rows, n_columns;
    const char *folder; /* of the file: where its pictures are */
    int64_t start_ns;
    double *ms; /* of each request; NaN: it failed */
    _Atomic int64_t next;
    pthread_mutex_t lock; /* what follows: */
    struct told failures[MAX_TOLD], versions[MAX_TOLD];
    int64_t failed;
};

/* ---- what to send ---- */

static gy_status read_signature(struct test *t, struct gy_str name, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect got;
    gy_buf_init(&path, GY_KIB);
    gy_collect_init(&got, 16 * GY_MIB);
    gy_buf_addc(&path, "/docs/endpoints/");
    gy_url_encode(&path, name, false);
    gy_buf_addc(&path, "/openapi.json");
    GY_TRY(gy_buf_check(&path, "the path", err));
    GY_TRY(gy_call_json(t->caller, "GET", path.p, GY_STR_NULL, &got, err));
    GY_TRY(gy_json_parse(gy_buf_str(&got.body), &t->doc, err));
    yyjson_val *row = yyjson_doc_get_root(t->doc);
    row = gy_json_get(gy_json_get(gy_json_get(row, "components"), "schemas"), "Row");
    yyjson_val *properties = gy_json_get(row, "properties"), *key, *v;
    t->inputs = gy_arena_calloc(t->a, yyjson_obj_size(properties) + 1, sizeof *t->inputs);
    if (!t->inputs) {
        return gy_err_set(err, GY_E_NOMEM, "testing an endpoint");
    }
    size_t i, n;
    yyjson_obj_foreach(properties, i, n, key, v)
    {
        struct gy_str type = gy_json_val_str(yyjson_arr_get(gy_json_get(v, "type"), 0));
        struct gy_str kind = gy_json_str(v, "x-gyre-kind");
        t->inputs[t->n_inputs++] = (struct input){
            .name = gy_json_val_str(key),
            .kind = kind,
            .number = gy_str_eqc(type, "number"),
            .integer = gy_json_bool(v, "x-gyre-integer", false),
            .required = yyjson_arr_size(gy_json_get(v, "type")) == 1,
            .min = gy_json_f64(v, "x-gyre-min", 0),
            .max = gy_json_f64(v, "x-gyre-max", 1),
            .values = gy_json_get(v, "examples"),
            .column = SIZE_MAX,
        };
    }
    return GY_OK;
}

static gy_status take_record(struct test *t, const struct gy_csv_item *item, char delimiter,
                             struct gy_buf *scratch, struct gy_csv_field *fields,
                             struct gy_err *err)
{
    size_t n = item->fault == GY_CSV_FINE && item->raw.p
                   ? gy_csv_split(item->raw, item->quotes, delimiter, fields, t->n_columns)
                   : 0;
    if (n != t->n_columns) {
        return gy_err_set(err, GY_E_INVALID, "record %lld of the file is damaged",
                          (long long)item->row);
    }
    for (size_t i = 0; i < n; i++) {
        struct gy_str text = gy_arena_str(t->a, gy_csv_text(&fields[i], scratch));
        if (!text.p) {
            return gy_err_set(err, GY_E_NOMEM, "reading the file");
        }
        t->cells[t->n_rows * n + i] = text;
    }
    t->n_rows++;
    return GY_OK;
}

static gy_status take_header(struct test *t, const struct gy_csv_item *item, char delimiter,
                             struct gy_buf *scratch, struct gy_csv_field **ret, struct gy_err *err)
{
    size_t n = gy_csv_split(item->raw, item->quotes, delimiter, NULL, 0);
    size_t rows = (size_t)t->o->count;
    struct gy_csv_field *fields = gy_arena_calloc(t->a, n + 1, sizeof *fields);
    t->cells = gy_arena_calloc(t->a, n * rows + 1, sizeof *t->cells);
    if (!fields || !t->cells) {
        return gy_err_set(err, GY_E_NOMEM, "reading the file");
    }
    (void)gy_csv_split(item->raw, item->quotes, delimiter, fields, n);
    for (size_t i = 0; i < n; i++) {
        struct gy_str name = gy_str_trim(gy_csv_text(&fields[i], scratch));
        for (size_t k = 0; k < t->n_inputs; k++) {
            t->inputs[k].column = gy_str_eq(t->inputs[k].name, name) ? i : t->inputs[k].column;
        }
    }
    for (size_t k = 0; k < t->n_inputs; k++) {
        if (t->inputs[k].column == SIZE_MAX && t->inputs[k].required) {
            return gy_err_set(err, GY_E_INVALID, "the file has no column '%" GY_STR_F "'",
                              GY_STR_A(t->inputs[k].name));
        }
    }
    t->n_columns = n;
    *ret = fields;
    return GY_OK;
}

/* At most as many rows as are sent; they are sent again when there are fewer. */
static gy_status read_records(struct test *t, struct gy_reader *in, struct gy_err *err)
{
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf scratch;
    const struct gy_csv_options o = {.delimiter = 0};
    struct gy_csv_field *fields = NULL;
    struct gy_csv_item item;
    bool more = true;
    gy_buf_init(&scratch, GY_TEST_MAX_FILE);
    GY_TRY(gy_csv_open(in, &o, &csv, err));
    while (t->n_rows < (size_t)t->o->count) {
        GY_TRY(gy_csv_next(csv, &item, &more, err));
        if (!more) {
            break;
        }
        if (item.kind == GY_CSV_HEADER) {
            GY_TRY(take_header(t, &item, gy_csv_delimiter(csv), &scratch, &fields, err));
        } else if (item.kind == GY_CSV_RECORD && fields) {
            GY_TRY(take_record(t, &item, gy_csv_delimiter(csv), &scratch, fields, err));
        }
    }
    return t->n_rows ? GY_OK : gy_err_set(err, GY_E_INVALID, "the file has no rows");
}

static gy_status read_file(struct test *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_mem_reader in;
    gy_buf_init(&text, GY_TEST_MAX_FILE);
    GY_TRY(gy_file_read(t->o->file, &text, err));
    gy_status st = read_records(t, gy_mem_reader_init(&in, gy_buf_str(&text)), err);
    return st == GY_OK ? st : gy_err_wrap(err, "%s", t->o->file);
}

/* A cell that names a picture becomes its bytes in base64. */
static void add_picture(const struct test *t, struct gy_jw *w, struct gy_str cell)
{
    char path[GY_MAX_PATH];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    gy_buf_init(&bytes, MAX_IMAGE);
    int n = snprintf(path, sizeof path, "%s/%" GY_STR_F, t->folder, GY_STR_A(cell));
    if (n < 0 || (size_t)n >= sizeof path || gy_file_read(path, &bytes, NULL) != GY_OK) {
        gy_jw_str(w, cell); /* the server says what is wrong with it */
        return;
    }
    GY_AUTO(gy_free) char *text = gy_malloc(gy_base64_size(bytes.n) + 1);
    if (!text) {
        gy_jw_null(w);
        return;
    }
    gy_base64(bytes.p, bytes.n, text);
    gy_jw_strc(w, text);
}

static void add_cell(const struct test *t, struct gy_jw *w, const struct input *in,
                     struct gy_str cell)
{
    double v;
    if (cell.n == 0) {
        gy_jw_null(w);
    } else if (in->number && gy_parse_f64(gy_str_trim(cell), &v, NULL) == GY_OK && isfinite(v)) {
        gy_jw_f64(w, v);
    } else if (gy_str_eqc(in->kind, "image")) {
        add_picture(t, w, cell);
    } else {
        gy_jw_str(w, cell);
    }
}

static void add_made(struct gy_jw *w, const struct input *in, struct gy_rng *rng)
{
    size_t n = yyjson_arr_size(in->values);
    if (in->number && n == 0) {
        double v = in->min + (in->max - in->min) * gy_rng_f64(rng);
        gy_jw_f64(w, in->integer ? floor(v + 0.5) : v);
    } else if (n) {
        struct gy_str text = gy_json_val_str(yyjson_arr_get(in->values, gy_rng_below(rng, n)));
        double v;
        if (in->number && gy_parse_f64(text, &v, NULL) == GY_OK) {
            gy_jw_f64(w, v);
        } else {
            gy_jw_str(w, text);
        }
    } else {
        gy_jw_strc(w, gy_str_eqc(in->kind, "time") ? "2026-01-01T12:00:00Z" : "text");
    }
}

static void make_body(const struct test *t, int64_t i, struct gy_buf *out)
{
    struct gy_jw w;
    struct gy_rng rng;
    gy_rng_init_stream(&rng, SEED, (uint64_t)i);
    gy_buf_reset(out);
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_key(&w, "inputs");
    gy_jw_arr(&w);
    for (size_t k = 0; k < t->n_inputs; k++) {
        const struct input *in = &t->inputs[k];
        if (!in->kind.p && in->column == SIZE_MAX) {
            continue; /* a column that only rules read */
        }
        gy_jw_obj(&w);
        gy_jw_kv_str(&w, "name", in->name);
        gy_jw_key(&w, "shape");
        gy_jw_raw(&w, GY_STR("[1,1]"));
        gy_jw_kv_strc(&w, "datatype", in->number ? "FP64" : "BYTES");
        gy_jw_key(&w, "data");
        gy_jw_arr(&w);
        if (t->n_rows && in->column != SIZE_MAX) {
            add_cell(t, &w, in, t->cells[(size_t)i % t->n_rows * t->n_columns + in->column]);
        } else if (t->n_rows) {
            gy_jw_null(&w);
        } else {
            add_made(&w, in, &rng);
        }
        gy_jw_arr_end(&w);
        gy_jw_obj_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
}

/* ---- sending ---- */

/* Count it among those that are told apart; the last place takes what there is no place for. */
static void count(struct told *list, struct gy_str text)
{
    size_t i = 0, n = text.n < sizeof list->text - 1 ? text.n : sizeof list->text - 1;
    while (i + 1 < MAX_TOLD && list[i].n &&
           !gy_str_eq(gy_str_c(list[i].text), gy_str_n(text.p, n))) {
        i++;
    }
    if (list[i].n == 0) {
        memcpy(list[i].text, text.p, n);
        list[i].text[n] = '\0';
    }
    list[i].n++;
}

/* One row was asked for: is there one prediction? */
static gy_status check_answer(yyjson_val *root, struct gy_err *err)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(gy_json_get(root, "outputs"), i, n, one)
    {
        yyjson_val *data = gy_json_get(one, "data");
        if (gy_str_eqc(gy_json_str(one, "name"), "prediction") && yyjson_arr_size(data) == 1 &&
            !yyjson_is_null(yyjson_arr_get_first(data))) {
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_FAILED, "the answer has not one prediction");
}

static gy_status ask(struct test *t, struct gy_str body, struct gy_collect *got, yyjson_doc **ret,
                     struct gy_err *err)
{
    GY_TRY(gy_call_json(t->caller, "POST", t->path, body, got, err));
    GY_TRY(gy_json_parse(gy_buf_str(&got->body), ret, err));
    return check_answer(yyjson_doc_get_root(*ret), err);
}

/* Open loop: requests have a time of their own, whatever came of those before. */
static int64_t wait_turn(const struct test *t, int64_t i)
{
    int64_t now = gy_mono_ns();
    if (t->o->rate <= 0) {
        return now;
    }
    int64_t due = t->start_ns + (int64_t)((double)i / t->o->rate * 1e9);
    if (due > now) {
        struct timespec left = {(due - now) / 1000000000, (due - now) % 1000000000};
        (void)nanosleep(&left, NULL);
    }
    return due;
}

static void *work(void *arg)
{
    struct test *t = arg;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect got;
    gy_buf_init(&body, 16 * GY_MIB);
    gy_collect_init(&got, GY_MAX_REPLY);
    for (;;) {
        int64_t i = atomic_fetch_add(&t->next, 1);
        if (i >= t->o->count) {
            return NULL;
        }
        GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
        struct gy_err why = GY_ERR_INIT;
        make_body(t, i, &body);
        int64_t start = wait_turn(t, i);
        gy_status st = ask(t, gy_buf_str(&body), &got, &doc, &why);
        t->ms[i] = st == GY_OK ? (double)(gy_mono_ns() - start) / 1e6 : (double)NAN;
        (void)pthread_mutex_lock(&t->lock);
        if (st == GY_OK) {
            struct gy_str version = gy_json_str(yyjson_doc_get_root(doc), "model_version");
            count(t->versions, version.p ? version : GY_STR("-"));
        } else {
            t->failed++;
            count(t->failures, gy_str_c(why.msg));
        }
        (void)pthread_mutex_unlock(&t->lock);
    }
}

static gy_status send_all(struct test *t, struct gy_err *err)
{
    pthread_t threads[GY_TEST_MAX_CONCURRENCY];
    int64_t n = 0, wanted = t->o->concurrency;
    t->start_ns = gy_mono_ns();
    while (n < wanted && pthread_create(&threads[n], NULL, work, t) == 0) {
        n++;
    }
    for (int64_t i = 0; i < n; i++) {
        (void)pthread_join(threads[i], NULL); /* joinable, joined once */
    }
    return n ? GY_OK : gy_err_set(err, GY_E_FAILED, "no thread could be started");
}

/* ---- telling ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ms sorted; the smallest value that this share of them does not pass. */
static double quantile(const double *ms, size_t n, double share)
{
    size_t rank = (size_t)ceil(share * (double)n);
    return n ? ms[rank > 0 ? rank - 1 : 0] : NAN;
}

static void write_told(struct gy_jw *w, const char *key, const char *what, const struct told *list)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; i < MAX_TOLD && list[i].n; i++) {
        gy_jw_obj(w);
        gy_jw_kv_strc(w, what, list[i].text);
        gy_jw_kv_i64(w, "count", list[i].n);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static gy_status tell_json(struct gy_cli *cli, struct gy_str name, const struct test *t, size_t n,
                           double seconds, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_str(&w, "endpoint", name);
    gy_jw_kv_i64(&w, "requests", t->o->count);
    gy_jw_kv_i64(&w, "failed", t->failed);
    gy_jw_kv_f64(&w, "seconds", seconds);
    gy_jw_kv_f64(&w, "p50_ms", quantile(t->ms, n, 0.5));
    gy_jw_kv_f64(&w, "p90_ms", quantile(t->ms, n, 0.9));
    gy_jw_kv_f64(&w, "p99_ms", quantile(t->ms, n, 0.99));
    gy_jw_kv_f64(&w, "max_ms", quantile(t->ms, n, 1));
    write_told(&w, "versions", "version", t->versions);
    write_told(&w, "failures", "error", t->failures);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(cli, &out, err);
}

static gy_status tell(struct gy_cli *cli, struct gy_str name, struct test *t, struct gy_err *err)
{
    double seconds = (double)(gy_mono_ns() - t->start_ns) / 1e9;
    size_t n = 0;
    for (int64_t i = 0; i < t->o->count; i++) {
        if (!isnan(t->ms[i])) {
            t->ms[n++] = t->ms[i];
        }
    }
    qsort(t->ms, n, sizeof *t->ms, by_value);
    cli->exit_code = t->failed ? 1 : 0;
    if (cli->json) {
        return tell_json(cli, name, t, n, seconds, err);
    }
    gy_cli_say(cli, "%lld requests to %" GY_STR_F " in %.2f s: %zu answered, %lld failed\n",
               (long long)t->o->count, GY_STR_A(name), seconds, n, (long long)t->failed);
    if (n) {
        gy_cli_say(cli, "  latency        p50 %.3f ms, p90 %.3f ms, p99 %.3f ms, at most %.3f ms\n",
                   quantile(t->ms, n, 0.5), quantile(t->ms, n, 0.9), quantile(t->ms, n, 0.99),
                   quantile(t->ms, n, 1));
    }
    for (size_t i = 0; i < MAX_TOLD && t->versions[i].n; i++) {
        gy_cli_say(cli, "  version %-6s answered %lld\n", t->versions[i].text,
                   (long long)t->versions[i].n);
    }
    for (size_t i = 0; i < MAX_TOLD && t->failures[i].n; i++) {
        gy_cli_say(cli, "  failed %lld times: %s\n", (long long)t->failures[i].n,
                   t->failures[i].text);
    }
    return GY_OK;
}

static gy_status check(const struct gy_endpoint_test_opts *o, struct gy_err *err)
{
    if (o->count < 1 || o->count > GY_TEST_MAX_COUNT) {
        return gy_err_set(err, GY_E_USAGE, "--count takes 1 to %d", GY_TEST_MAX_COUNT);
    }
    if (o->concurrency < 1 || o->concurrency > GY_TEST_MAX_CONCURRENCY) {
        return gy_err_set(err, GY_E_USAGE, "--concurrency takes 1 to %d", GY_TEST_MAX_CONCURRENCY);
    }
    if (!(o->rate >= 0 && o->rate <= 1e6)) {
        return gy_err_set(err, GY_E_USAGE, "--rate takes requests a second, up to 1000000");
    }
    return GY_OK;
}

static gy_status prepare(struct test *t, struct gy_str name, struct gy_err *err)
{
    char *folder = gy_arena_printf(t->a, "%s", t->o->file ? t->o->file : ".");
    char *path =
        gy_arena_printf(t->a, "/v2/models/%" GY_STR_F "/infer", GY_STR_A(name)); /* was found */
    t->ms = gy_arena_calloc(t->a, (size_t)t->o->count, sizeof *t->ms);
    if (!folder || !path || !t->ms) {
        return gy_err_set(err, GY_E_NOMEM, "testing an endpoint");
    }
    char *slash = strrchr(folder, '/');
    *(slash ? slash : folder) = '\0';
    t->folder = slash ? folder : ".";
    t->path = path;
    GY_TRY(read_signature(t, name, err));
    if (t->o->file) {
        return read_file(t, err);
    }
    for (size_t i = 0; i < t->n_inputs; i++) {
        if (gy_str_eqc(t->inputs[i].kind, "image")) {
            return gy_err_set(err, GY_E_USAGE,
                              "'%" GY_STR_F "' is an image: --file names a CSV of picture files",
                              GY_STR_A(t->inputs[i].name));
        }
    }
    return GY_OK;
}

gy_status gy_endpoint_test(struct gy_cli *cli, struct gy_str name,
                           const struct gy_endpoint_test_opts *o, struct gy_err *err)
{
    GY_TRY(check(o, err));
    GY_AUTO_DONE(gy_arena_done) struct gy_arena a;
    gy_arena_init(&a, 2 * (size_t)GY_TEST_MAX_FILE);
    struct test t = {.o = o, .a = &a};
    GY_TRY(gy_cli_caller(cli, &t.caller, err));
    (void)pthread_mutex_init(&t.lock, NULL); /* can not fail on Linux */
    gy_status st = prepare(&t, name, err);
    st = st == GY_OK ? send_all(&t, err) : st;
    st = st == GY_OK ? tell(cli, name, &t, err) : st;
    (void)pthread_mutex_destroy(&t.lock);
    gy_json_free(t.doc);
    return st;
}
