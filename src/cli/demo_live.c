/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/demo_live.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/pool.h"
#include "data/records.h"
#include "net/call.h"
#include "net/http_client.h"

enum { ID, HR, RESP, TEMP, LABEL, N_COLUMNS };
enum { MAX_FIELDS = 64, MAX_FILE = 1 << 30, MAX_ANSWER = 64 * 1024, VERDICTS_A_CALL = 2000 };

/* ---- the file ---- */

static gy_status find_columns(const struct gy_csv_field *head, size_t n, size_t at[N_COLUMNS],
                              struct gy_err *err)
{
    static const char *const names[N_COLUMNS] = {"patient_id", "HR", "Resp", "Temp", "isSepsis"};
    for (size_t c = 0; c < N_COLUMNS; c++) {
        size_t i = 0;
        while (i < n && !gy_str_eqc(gy_str_n(head[i].p, head[i].n), names[c])) {
            i++;
        }
        if (i == n) {
            return gy_err_set(err, GY_E_SCHEMA, "the live patients have no column %s", names[c]);
        }
        at[c] = i;
    }
    return GY_OK;
}

static gy_status read_patient(const struct gy_csv_field *f, const size_t *at,
                              struct gy_demo_patient *p, struct gy_err *err)
{
    double id = 0;
    double label = 0;
    double *const to[N_COLUMNS] = {&id, &p->hr, &p->resp, &p->temp, &label};
    for (size_t c = 0; c < N_COLUMNS; c++) {
        GY_TRY(gy_parse_f64(gy_str_n(f[at[c]].p, f[at[c]].n), to[c], err));
    }
    p->id = (int64_t)id;
    p->septic = label != 0;
    return GY_OK;
}

static gy_status add_patient(struct gy_demo_live *l, size_t *capacity, struct gy_demo_patient **ret,
                             struct gy_err *err)
{
    if (l->n == *capacity) {
        size_t more = *capacity ? *capacity * 2 : 4096;
        if (more > 2 * GY_DEMO_MAX_PATIENTS) {
            return gy_err_set(err, GY_E_TOOBIG, "more than %d live patients", GY_DEMO_MAX_PATIENTS);
        }
        struct gy_demo_patient *p = gy_reallocarray(l->patients, more, sizeof *p);
        if (!p) {
            return gy_err_set(err, GY_E_NOMEM, "out of memory for the live patients");
        }
        l->patients = p;
        *capacity = more;
    }
    *ret = &l->patients[l->n++];
    memset(*ret, 0, sizeof **ret);
    return GY_OK;
}

static gy_status read_all(struct gy_demo_live *l, struct gy_csv *csv, struct gy_err *err)
{
    struct gy_csv_field fields[MAX_FIELDS];
    size_t at[N_COLUMNS] = {0};
    size_t n_head = 0;
    size_t capacity = 0;
    for (;;) {
        struct gy_csv_item item;
        bool more = false;
        GY_TRY(gy_csv_next(csv, &item, &more, err));
        if (!more) {
            return GY_OK;
        }
        if (item.kind == GY_CSV_BLANK) {
            continue;
        }
        size_t n = gy_csv_split(item.raw, item.quotes, gy_csv_delimiter(csv), fields, MAX_FIELDS);
        if (item.kind == GY_CSV_HEADER) {
            n_head = n;
            GY_TRY(find_columns(fields, n < MAX_FIELDS ? n : MAX_FIELDS, at, err));
            continue;
        }
        struct gy_demo_patient *p;
        if (item.fault != GY_CSV_FINE || n != n_head) {
            return gy_err_set(err, GY_E_PARSE, "live patient %lld is damaged", (long long)item.row);
        }
        GY_TRY(add_patient(l, &capacity, &p, err));
        GY_TRY(read_patient(fields, at, p, err));
    }
}

/* Patients come in no order; files have one (Fisher and Yates, by a fixed stream). */
static void shuffle(struct gy_demo_live *l)
{
    struct gy_rng r;
    gy_rng_init(&r, 1);
    for (size_t i = l->n; i > 1; i--) {
        size_t k = (size_t)gy_rng_below(&r, i);
        struct gy_demo_patient swap = l->patients[i - 1];
        l->patients[i - 1] = l->patients[k];
        l->patients[k] = swap;
    }
}

gy_status gy_demo_live_load(const char *file, const char *address, struct gy_demo_live *ret,
                            struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO(gy_csv_free) struct gy_csv *csv = NULL;
    struct gy_mem_reader in;
    gy_buf_init(&text, MAX_FILE);
    memset(ret, 0, sizeof *ret);
    ret->address = address;
    GY_TRY(gy_file_read(file, &text, err));
    GY_TRY(gy_csv_open(gy_mem_reader_init(&in, gy_buf_str(&text)), &(struct gy_csv_options){0},
                       &csv, err));
    gy_status status = read_all(ret, csv, err);
    if (status != GY_OK) {
        gy_demo_live_done(ret);
        return status;
    }
    shuffle(ret);
    return GY_OK;
}

void gy_demo_live_done(struct gy_demo_live *l)
{
    gy_demo_live_stop(l);
    gy_free(l->patients);
    l->patients = NULL;
    l->n = 0;
}

/* ---- asking ---- */

static gy_status read_answer(struct gy_collect *got, struct gy_demo_patient *p, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str id;
    GY_TRY(gy_json_parse(gy_buf_str(&got->body), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    GY_TRY(gy_json_need_str(root, "prediction_id", &id, err));
    (void)snprintf(p->prediction_id, sizeof p->prediction_id, "%" GY_STR_F, GY_STR_A(id));
    int64_t version = 0;
    GY_TRY(gy_parse_i64(gy_json_str(root, "model_version"), 1, INT32_MAX, &version, err));
    p->version = (int)version;
    p->alarm = gy_json_i64(root, "isSepsis", 0) == 1;
    p->by_rule = yyjson_is_str(gy_json_get(gy_json_get(root, "rules"), "name"));
    return GY_OK;
}

/* One patient through the alias route, as the hospital's application would ask: the patient's
 * number is the request's id. */
static gy_status ask(struct gy_caller *c, struct gy_demo_patient *p, double temp_offset,
                     struct gy_collect *got, struct gy_err *err)
{
    char hr[32];
    char resp[32];
    char temp[32];
    char body[256];
    char id[32];
    (void)gy_fmt_f64_trim(p->hr, hr);
    (void)gy_fmt_f64_trim(p->resp, resp);
    /* Thermometers show hundredths. */
    (void)gy_fmt_f64_trim(round((p->temp + temp_offset) * 100) / 100, temp);
    (void)snprintf(body, sizeof body, "{\"hr\": %s, \"resp\": %s, \"temp\": %s}", hr, resp, temp);
    (void)snprintf(id, sizeof id, "%lld", (long long)p->id);
    GY_AUTO_DONE(gy_arena_done) struct gy_arena arena;
    gy_arena_init(&arena, GY_MIB);
    struct gy_mem_reader reader;
    const struct gy_header headers[] = {{GY_STR("Content-Type"), GY_STR("application/json")},
                                        {GY_STR("X-Request-Id"), gy_str_c(id)}};
    struct gy_request req = {.method = GY_STR("POST"),
                             .path = GY_STR("/predictions"),
                             .headers = headers,
                             .n_headers = 2,
                             .body = gy_mem_reader_init(&reader, gy_str_c(body)),
                             .arena = &arena};
    gy_collect_reset(got);
    GY_TRY(gy_call(c, &req, &got->reply, err));
    if (got->status < 200 || got->status > 299) {
        return gy_err_set(err, gy_status_from_http(got->status), "the server answered %d",
                          got->status);
    }
    return read_answer(got, p, err);
}

static void pause_us(int us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
    (void)nanosleep(&t, NULL); /* a signal only shortens it */
}

static void connection_main(void *arg)
{
    struct gy_demo_live *l = arg;
    GY_AUTO(gy_caller_free) struct gy_caller *c = NULL;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect got;
    gy_collect_init(&got, MAX_ANSWER);
    if (gy_http_client_new(l->address, &c, NULL) != GY_OK) {
        atomic_fetch_add(&l->n_failed, 1);
        return;
    }
    while (!atomic_load(&l->stop)) {
        size_t i = atomic_fetch_add(&l->next, 1);
        if (i >= l->n) {
            return;
        }
        struct gy_err err = GY_ERR_INIT;
        bool ok = ask(c, &l->patients[i], l->temp_offset, &got, &err) == GY_OK;
        atomic_store(&l->patients[i].answered, ok);
        atomic_fetch_add(ok ? &l->n_asked : &l->n_failed, 1);
        int pause = atomic_load(&l->pause_us);
        if (pause > 0) {
            pause_us(pause);
        }
    }
}

gy_status gy_demo_live_start(struct gy_demo_live *l, struct gy_err *err)
{
    atomic_store(&l->stop, false);
    GY_TRY(gy_pool_new("patients", GY_DEMO_CONNECTIONS, GY_DEMO_CONNECTIONS, &l->pool, err));
    for (int i = 0; i < GY_DEMO_CONNECTIONS; i++) {
        GY_TRY(gy_pool_run(l->pool, connection_main, l, err));
    }
    return GY_OK;
}

void gy_demo_live_join(struct gy_demo_live *l)
{
    gy_pool_free(l->pool); /* runs what was accepted, then joins */
    l->pool = NULL;
}

void gy_demo_live_stop(struct gy_demo_live *l)
{
    atomic_store(&l->stop, true);
    gy_demo_live_join(l);
    /* Numbers that were taken but not asked do not count as asked. */
    size_t next = atomic_load(&l->next);
    atomic_store(&l->next, next < l->n ? next : l->n);
}

/* ---- the simulated reviewer ---- */

static bool reviewer_errs(const struct gy_demo_patient *p, double error, uint64_t seed)
{
    struct gy_rng r;
    gy_rng_init_stream(&r, seed, (uint64_t)p->id);
    return gy_rng_f64(&r) < error;
}

static void add_verdict(struct gy_jw *w, const struct gy_demo_patient *p, bool wrong)
{
    gy_jw_obj(w);
    gy_jw_kv_strc(w, "prediction_id", p->prediction_id);
    gy_jw_kv_i64(w, "row", 0);
    gy_jw_kv_strc(w, "verdict", p->septic != wrong ? "1" : "0");
    gy_jw_obj_end(w);
}

size_t gy_demo_live_answered(struct gy_demo_live *l)
{
    size_t end = atomic_load(&l->next);
    size_t under_way = l->pool ? (size_t)2 * GY_DEMO_CONNECTIONS : 0;
    end = end > under_way ? end - under_way : 0;
    return end < l->n ? end : l->n;
}

gy_status gy_demo_live_review(struct gy_demo_live *l, size_t end, struct gy_caller *caller,
                              double error, uint64_t seed, struct gy_demo_review *ret,
                              struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO_DONE(gy_collect_done) struct gy_collect answer;
    gy_buf_init(&body, 16 * GY_MIB);
    gy_collect_init(&answer, 16 * GY_MIB);
    while (l->reviewed < end) {
        struct gy_jw w;
        int64_t n = 0;
        gy_buf_reset(&body);
        gy_jw_init(&w, &body);
        gy_jw_obj(&w);
        gy_jw_key(&w, "tags");
        gy_jw_arr(&w);
        gy_jw_strc(&w, "simulated");
        gy_jw_arr_end(&w);
        gy_jw_key(&w, "verdicts");
        gy_jw_arr(&w);
        for (; l->reviewed < end && n < VERDICTS_A_CALL; l->reviewed++) {
            const struct gy_demo_patient *p = &l->patients[l->reviewed];
            if (atomic_load(&p->answered)) {
                bool wrong = reviewer_errs(p, error, seed);
                add_verdict(&w, p, wrong);
                ret->wrong += wrong;
                n++;
            }
        }
        gy_jw_arr_end(&w);
        gy_jw_obj_end(&w);
        GY_TRY(gy_buf_check(&body, "the verdicts", err));
        GY_TRY(gy_call_json(caller, "POST", "/api/gyre/v1/reviews/verdicts", gy_buf_str(&body),
                            &answer, err));
        ret->verdicts += n;
    }
    return GY_OK;
}
