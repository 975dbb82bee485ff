/* SPDX-License-Identifier: Apache-2.0 */
/* A model card as a page (watch/html.h): people's words first, then what was measured. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/limits.h"
#include "flow/model_card.h"
#include "watch/html.h"

#define MAX_ROWS 2000 /* of a table */

/* A page in the making; cells live in the arena. */
struct page {
    struct gy_buf *b;
    struct gy_arena arena;
    yyjson_val *card;
};

static struct gy_str cellf(struct page *p, const char *fmt, ...) GY_PRINTF(2, 3);
static struct gy_str cellf(struct page *p, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return gy_arena_str(&p->arena, gy_str_c(text)); /* without memory: a dash */
}

/* A value of a section as people read it. */
static struct gy_str cell(struct page *p, yyjson_val *v)
{
    if (yyjson_is_str(v)) {
        return gy_json_val_str(v);
    }
    if (yyjson_is_int(v)) {
        return cellf(p, "%lld", (long long)yyjson_get_sint(v));
    }
    if (yyjson_is_num(v)) {
        return cellf(p, "%.6g", yyjson_get_num(v));
    }
    if (yyjson_is_bool(v)) {
        return yyjson_get_bool(v) ? GY_STR("yes") : GY_STR("no");
    }
    return GY_STR_NULL;
}

static struct gy_str number(struct page *p, yyjson_val *object, const char *key)
{
    double v = gy_json_f64(object, key, NAN);
    return isnan(v) ? GY_STR_NULL : cellf(p, "%.4g", v);
}

static void table(struct page *p, const char *const *head, size_t columns, size_t rows,
                  const struct gy_str *cells, const bool *right)
{
    const struct gy_html_table t = {
        .head = head, .n_columns = columns, .n_rows = rows, .cells = cells, .right = right};
    gy_html_table(p->b, &t);
}

static struct gy_str *new_cells(struct page *p, size_t n)
{
    return gy_arena_calloc(&p->arena, n + 1, sizeof(struct gy_str));
}

static size_t rows_of(size_t n)
{
    return n < MAX_ROWS ? n : MAX_ROWS;
}

/* ---- what people state ---- */

static void list_of(struct page *p, const char *title, yyjson_val *list)
{
    const char *const head[] = {title};
    size_t n = rows_of(yyjson_arr_size(list));
    struct gy_str *cells = new_cells(p, n);
    for (size_t i = 0; cells && i < n; i++) {
        cells[i] = gy_json_val_str(yyjson_arr_get(list, i));
    }
    if (cells && n > 0) {
        table(p, head, 1, n, cells, NULL);
    }
}

static void stated_text(struct page *p, const char *key, const char *title)
{
    struct gy_str text = gy_json_str(gy_json_get(p->card, "stated"), key);
    if (text.n > 0) {
        gy_buf_addc(p->b, "<h3>");
        gy_html_text(p->b, gy_str_c(title));
        gy_buf_addc(p->b, "</h3>");
        gy_html_p(p->b, text);
    }
}

static void write_stated(struct page *p)
{
    yyjson_val *stated = gy_json_get(p->card, "stated"), *usecase = gy_json_get(p->card, "usecase");
    yyjson_val *spec = gy_json_get(usecase, "spec");
    gy_html_section(p->b, "What it is for", GY_STR_NULL);
    if (gy_json_str(stated, "intended_use").n == 0) {
        gy_html_note(p->b, GY_TONE_WARN, GY_STR("Nobody has stated what it is intended for."));
    }
    stated_text(p, "intended_use", "Intended use");
    stated_text(p, "out_of_scope", "Not for");
    stated_text(p, "ethics", "Ethics");
    stated_text(p, "notes", "Notes");
    if (usecase && !yyjson_is_null(usecase)) {
        bool approved = gy_str_eqc(gy_json_str(usecase, "state"), "approved");
        GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
        gy_buf_init(&text, GY_MIB);
        gy_buf_addf(&text,
                    "Use case %" GY_STR_F " (%" GY_STR_F ", owner %" GY_STR_F ", risk %" GY_STR_F
                    "): %" GY_STR_F,
                    GY_STR_A(gy_json_str(usecase, "name")), GY_STR_A(gy_json_str(usecase, "state")),
                    GY_STR_A(gy_json_str(spec, "owner")), GY_STR_A(gy_json_str(spec, "risk_class")),
                    GY_STR_A(gy_json_str(spec, "purpose")));
        gy_html_note(p->b, approved ? GY_TONE_GOOD : GY_TONE_WARN, gy_buf_str(&text));
    }
    list_of(p, "Contacts", gy_json_get(stated, "contacts"));
    list_of(p, "Limits, as people state them", gy_json_get(stated, "limits"));
    list_of(p, "Limits, as the package states them", gy_json_get(p->card, "package_limits"));
    gy_html_section_end(p->b);
}

/* ---- what was measured ---- */

static void write_metrics(struct page *p)
{
    static const char *const head[] = {"metric", "value", "95 % low", "95 % high", "rows"};
    static const bool right[] = {false, true, true, true, true};
    yyjson_val *metrics = gy_json_get(gy_json_get(p->card, "sections"), "metrics");
    size_t n = rows_of(yyjson_obj_size(metrics)), i = 0;
    struct gy_str *cells = new_cells(p, n * 5);
    gy_html_section(p->b, "Metrics",
                    GY_STR("Overall, then where a slice holds. Intervals tell the chance of "
                           "sampling, not a change of the population."));
    yyjson_obj_iter it = yyjson_obj_iter_with(metrics);
    for (yyjson_val *key; cells && i < n && (key = yyjson_obj_iter_next(&it)); i++) {
        yyjson_val *m = yyjson_obj_iter_get_val(key);
        struct gy_str *row = cells + i * 5;
        row[0] = gy_json_val_str(key);
        row[1] = number(p, m, "value");
        row[2] = number(p, m, "low");
        row[3] = number(p, m, "high");
        row[4] = cell(p, gy_json_get(m, "rows"));
    }
    table(p, head, 5, cells ? i : 0, cells, right);
    gy_html_section_end(p->b);
}

static void write_pairs(struct page *p, const char *title, const char *section)
{
    static const char *const head[] = {"", ""};
    yyjson_val *object = gy_json_get(gy_json_get(p->card, "sections"), section);
    size_t n = rows_of(yyjson_obj_size(object)), i = 0;
    struct gy_str *cells = new_cells(p, n * 2);
    if (n == 0 || !cells) {
        return;
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(object);
    for (yyjson_val *key; i < n && (key = yyjson_obj_iter_next(&it)); i++) {
        cells[i * 2] = gy_json_val_str(key);
        cells[i * 2 + 1] = cell(p, yyjson_obj_iter_get_val(key));
    }
    gy_html_section(p->b, title, GY_STR_NULL);
    table(p, head, 2, i, cells, NULL);
    gy_html_section_end(p->b);
}

static void write_profile(struct page *p)
{
    static const char *const head[] = {"column", "mean", "sd", "min", "max", "missing", "rows"};
    static const bool right[] = {false, true, true, true, true, true, true};
    yyjson_val *columns = gy_json_get(gy_json_get(p->card, "profile"), "columns");
    size_t n = rows_of(yyjson_arr_size(columns));
    struct gy_str *cells = new_cells(p, n * 7);
    if (n == 0 || !cells) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        yyjson_val *c = yyjson_arr_get(columns, i);
        struct gy_str *row = cells + i * 7;
        row[0] = gy_json_str(c, "name");
        row[1] = number(p, c, "mean");
        row[2] = number(p, c, "sd");
        row[3] = number(p, c, "min");
        row[4] = number(p, c, "max");
        row[5] = cell(p, gy_json_get(c, "missing"));
        row[6] = cell(p, gy_json_get(c, "n"));
    }
    gy_html_section(p->b, "What it was trained on", GY_STR_NULL);
    table(p, head, 7, n, cells, right);
    gy_html_section_end(p->b);
}

/* ---- what was decided, what happened ---- */

static void write_list(struct page *p, const char *title, const char *key, const char *const *keys,
                       const char *const *head, size_t columns)
{
    yyjson_val *list = gy_json_get(p->card, key);
    size_t n = rows_of(yyjson_arr_size(list));
    struct gy_str *cells = new_cells(p, n * columns);
    if (n == 0 || !cells) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < columns; k++) {
            struct gy_str v = cell(p, gy_json_get(yyjson_arr_get(list, i), keys[k]));
            bool time = strcmp(keys[k], "time") == 0 || strcmp(keys[k], "requested") == 0;
            cells[i * columns + k] = time ? gy_str_sub(v, 0, 19) : v;
        }
    }
    gy_html_section(p->b, title, GY_STR_NULL);
    table(p, head, columns, n, cells, NULL);
    gy_html_section_end(p->b);
}

static void write_past(struct page *p)
{
    static const char *const verdict_keys[] = {"time", "verdict", "gate", "actor"};
    static const char *const verdict_head[] = {"time", "verdict", "gate", "by"};
    static const char *const approval_keys[] = {"requested",    "state",      "gate",
                                                "requested_by", "decided_by", "reason"};
    static const char *const approval_head[] = {"asked", "state",      "gate",
                                                "by",    "decided by", "reason"};
    static const char *const history_keys[] = {"time", "kind", "what",  "action",
                                               "from", "to",   "actor", "reason"};
    static const char *const history_head[] = {"time", "what", "",   "action",
                                               "from", "to",   "by", "reason"};
    static const char *const edge_keys[] = {"from", "rel", "to"};
    write_list(p, "Verdicts of gates", "verdicts", verdict_keys, verdict_head, 4);
    write_list(p, "Approvals", "approvals", approval_keys, approval_head, 6);
    write_list(p, "History of the model", "history", history_keys, history_head, 8);
    write_list(p, "Where it comes from", "lineage", edge_keys, edge_keys, 3);
}

static void write_head(struct page *p)
{
    yyjson_val *card = p->card, *stated = gy_json_get(card, "stated");
    yyjson_val *sections = gy_json_get(card, "sections");
    yyjson_val *spec = gy_json_get(gy_json_get(card, "usecase"), "spec");
    struct gy_str owner = gy_json_str(stated, "owner"), risk = gy_json_str(stated, "risk_class");
    struct gy_str servable = gy_json_str(gy_json_get(sections, "model"), "servable");
    long long k = (long long)gy_json_i64(card, "number", 0);
    const struct gy_html_tile tiles[] = {
        {GY_STR("owner"), owner.n ? owner : gy_json_str(spec, "owner"), GY_STR_NULL, GY_TONE_PLAIN},
        {GY_STR("risk class"), risk.n ? risk : gy_json_str(spec, "risk_class"), GY_STR_NULL,
         GY_TONE_PLAIN},
        {GY_STR("servable"), servable, GY_STR_NULL,
         gy_str_eqc(servable, "yes") ? GY_TONE_GOOD : GY_TONE_WARN},
        {GY_STR("card"), k ? cellf(p, "version %lld", k) : GY_STR("not saved"),
         gy_json_str(card, "saved_by"), GY_TONE_PLAIN},
    };
    gy_html_begin(p->b,
                  cellf(p, "Model card: %.*s version %lld",
                        (int)gy_str_sub(gy_json_str(card, "model"), 0, 300).n,
                        gy_json_str(card, "model").p, (long long)gy_json_i64(card, "version", 0)),
                  gy_json_str(card, "digest"));
    gy_html_tiles(p->b, tiles, sizeof tiles / sizeof tiles[0]);
}

void gy_card_html(yyjson_val *card, struct gy_buf *out)
{
    struct page p = {.b = out, .card = card};
    gy_arena_init(&p.arena, GY_MAX_REQUEST_ARENA);
    write_head(&p);
    write_stated(&p);
    write_metrics(&p);
    write_pairs(&p, "Data", "data");
    write_pairs(&p, "Learner", "learner");
    write_profile(&p);
    write_pairs(&p, "Code", "code");
    write_past(&p);
    gy_html_end(out, gy_json_get(card, "saved") ? gy_json_str(card, "saved") : GY_STR_NULL);
    gy_arena_done(&p.arena);
}
