/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_diff_versions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"
#include "cli/dataset_get.h"
#include "data/schema_diff.h"
#include "data/table_diff.h"

#define MAX_KEY 16     /* columns */
#define MAX_SHOWN 1000 /* rows of each kind */

/* One of the two. */
struct side {
    struct gy_cli_answer answer;
    struct gy_schema *schema; /* NULL: it has none */
    char path[GY_MAX_PATH];
};

struct comparing {
    struct gy_cli *cli;
    const struct gy_cli_diff_versions *o;
    char dir[GY_MAX_PATH];
    struct side before, after;
    struct gy_str key[MAX_KEY];
    size_t n_key;
    struct gy_schema_change *changes;
    size_t n_changes;
    struct gy_table_diff *diff;
};

static gy_status fetch(struct comparing *c, const char *ref, const char *name, struct side *s,
                       struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_jw w;
    gy_buf_init(&text, GY_MAX_YAML);
    GY_TRY(gy_path_join(s->path, sizeof s->path, c->dir, name, err));
    GY_TRY(gy_cli_dataset_get(c->cli, ref, s->path, &s->answer, err));
    yyjson_val *schema = gy_json_get(s->answer.root, "schema");
    if (!yyjson_is_obj(schema)) {
        return GY_OK;
    }
    gy_jw_init(&w, &text);
    gy_jw_val(&w, schema);
    GY_TRY(gy_buf_check(&text, "a schema", err));
    return gy_schema_parse(gy_buf_str(&text), ref, &s->schema, err);
}

/* Given, else a column that is unique in both. */
static gy_status find_key(struct comparing *c, struct gy_err *err)
{
    struct gy_str rest = gy_str_c(c->o->key);
    while (rest.n > 0) {
        struct gy_str name, after;
        (void)gy_str_cut(rest, ',', &name, &after);
        if (c->n_key == MAX_KEY) {
            return gy_err_set(err, GY_E_USAGE, "--key takes at most %d columns", MAX_KEY);
        }
        c->key[c->n_key++] = gy_str_trim(name);
        rest = after;
    }
    if (c->n_key > 0 || !c->before.schema || !c->after.schema) {
        return GY_OK;
    }
    for (size_t i = 0; i < c->after.schema->n_columns; i++) {
        const struct gy_column *mine = &c->after.schema->columns[i];
        const struct gy_column *theirs = gy_schema_column(c->before.schema, mine->name);
        if (mine->unique && theirs && theirs->unique) {
            c->key[c->n_key++] = mine->name;
            break;
        }
    }
    return GY_OK;
}

/* ---- as JSON ---- */

static void write_side(struct gy_jw *w, const char *key, yyjson_val *v)
{
    static const char *const members[] = {"name", "version", "sha256", "rows", "created"};
    gy_jw_key(w, key);
    gy_jw_obj(w);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        gy_jw_key(w, members[i]);
        gy_jw_val(w, gy_json_get(v, members[i]));
    }
    gy_jw_obj_end(w);
}

static void write_row(struct gy_jw *w, const struct gy_table_row *row, const struct gy_str *columns,
                      size_t n)
{
    gy_jw_obj(w);
    for (size_t i = 0; i < n; i++) {
        gy_jw_keys(w, columns[i]);
        gy_jw_str(w, row->values[i]);
    }
    gy_jw_obj_end(w);
}

static bool has_column(const struct gy_str *columns, size_t n, struct gy_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (gy_str_eq(columns[i], name)) {
            return true;
        }
    }
    return false;
}

/* Columns of one that the other does not have. */
static void write_only(struct gy_jw *w, const char *key, const struct gy_str *columns, size_t n,
                       const struct gy_str *others, size_t n_others)
{
    gy_jw_key(w, key);
    gy_jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        if (!has_column(others, n_others, columns[i])) {
            gy_jw_str(w, columns[i]);
        }
    }
    gy_jw_arr_end(w);
}

static void write_counts(struct gy_jw *w, const struct gy_table_diff *d)
{
    gy_jw_key(w, "rows");
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "added", d->added);
    gy_jw_kv_i64(w, "removed", d->removed);
    gy_jw_kv_i64(w, "changed", d->changed);
    gy_jw_kv_i64(w, "same", d->same);
    gy_jw_obj_end(w);
    gy_jw_key(w, "changed_by_column");
    gy_jw_obj(w);
    for (size_t i = 0; i < d->n_before_columns; i++) {
        if (d->changed_by[i] > 0) {
            gy_jw_keys(w, d->before_columns[i]);
            gy_jw_i64(w, d->changed_by[i]);
        }
    }
    gy_jw_obj_end(w);
}

static void write_samples(struct gy_jw *w, const struct gy_table_diff *d)
{
    gy_jw_key(w, "added");
    gy_jw_arr(w);
    for (size_t i = 0; i < d->n_added; i++) {
        write_row(w, &d->added_rows[i], d->after_columns, d->n_after_columns);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "removed");
    gy_jw_arr(w);
    for (size_t i = 0; i < d->n_removed; i++) {
        write_row(w, &d->removed_rows[i], d->before_columns, d->n_before_columns);
    }
    gy_jw_arr_end(w);
    gy_jw_key(w, "changed");
    gy_jw_arr(w);
    for (size_t i = 0; i < d->n_changed; i++) {
        gy_jw_obj(w);
        gy_jw_key(w, "before");
        write_row(w, &d->changed_before[i], d->before_columns, d->n_before_columns);
        gy_jw_key(w, "after");
        write_row(w, &d->changed_after[i], d->after_columns, d->n_after_columns);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static void write_schema(struct gy_jw *w, const struct comparing *c)
{
    gy_jw_key(w, "schema");
    gy_jw_arr(w);
    for (size_t i = 0; i < c->n_changes; i++) {
        const struct gy_schema_change *s = &c->changes[i];
        gy_jw_obj(w);
        gy_jw_kv_str(w, "column", s->column);
        gy_jw_kv_strc(w, "what", s->what);
        gy_jw_kv_str(w, "before", s->before);
        gy_jw_kv_str(w, "after", s->after);
        gy_jw_kv_bool(w, "breaking", s->breaking);
        gy_jw_obj_end(w);
    }
    gy_jw_arr_end(w);
}

static gy_status print_json(const struct comparing *c, struct gy_err *err)
{
    const struct gy_table_diff *d = c->diff;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_GIB);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    write_side(&w, "from", c->before.answer.root);
    write_side(&w, "to", c->after.answer.root);
    gy_jw_key(&w, "key");
    gy_jw_arr(&w);
    for (size_t i = 0; i < c->n_key; i++) {
        gy_jw_str(&w, c->key[i]);
    }
    gy_jw_arr_end(&w);
    write_counts(&w, d);
    gy_jw_key(&w, "columns");
    gy_jw_obj(&w);
    write_only(&w, "added", d->after_columns, d->n_after_columns, d->before_columns,
               d->n_before_columns);
    write_only(&w, "removed", d->before_columns, d->n_before_columns, d->after_columns,
               d->n_after_columns);
    gy_jw_obj_end(&w);
    write_schema(&w, c);
    write_samples(&w, d);
    gy_jw_obj_end(&w);
    return gy_cli_print_json(c->cli, &out, err);
}

/* ---- for people ---- */

static void say_row(const struct gy_cli *cli, const char *sign, const struct gy_table_row *row,
                    const struct gy_str *columns, size_t n)
{
    gy_cli_say(cli, "%s ", sign);
    for (size_t i = 0; i < n; i++) {
        gy_cli_say(cli, "%s%" GY_STR_F "=%" GY_STR_F, i ? "  " : "", GY_STR_A(columns[i]),
                   GY_STR_A(gy_str_sub(row->values[i], 0, 60)));
    }
    gy_cli_say(cli, "\n");
}

static void say_schema(const struct comparing *c)
{
    for (size_t i = 0; i < c->n_changes; i++) {
        const struct gy_schema_change *s = &c->changes[i];
        gy_cli_say(c->cli, "  schema %" GY_STR_F ": %s %" GY_STR_F " -> %" GY_STR_F "%s\n",
                   GY_STR_A(s->column.p ? s->column : GY_STR("(table)")), s->what,
                   GY_STR_A(s->before.p ? s->before : GY_STR("-")),
                   GY_STR_A(s->after.p ? s->after : GY_STR("-")), s->breaking ? " (stricter)" : "");
    }
}

static void say(const struct comparing *c)
{
    const struct gy_table_diff *d = c->diff;
    struct gy_cli *cli = c->cli;
    gy_cli_say(cli, "%s -> %s: %lld added, %lld removed, %lld changed, %lld the same\n",
               c->o->before, c->o->after, (long long)d->added, (long long)d->removed,
               (long long)d->changed, (long long)d->same);
    if (c->n_key == 0) {
        gy_cli_say(cli, "  no column is unique in both: a row is known by all of its columns\n");
    }
    for (size_t i = 0; i < d->n_before_columns; i++) {
        if (d->changed_by[i] > 0) {
            gy_cli_say(cli, "  %" GY_STR_F " changed in %lld rows\n",
                       GY_STR_A(d->before_columns[i]), (long long)d->changed_by[i]);
        }
    }
    say_schema(c);
    for (size_t i = 0; i < d->n_removed; i++) {
        say_row(cli, "-", &d->removed_rows[i], d->before_columns, d->n_before_columns);
    }
    for (size_t i = 0; i < d->n_added; i++) {
        say_row(cli, "+", &d->added_rows[i], d->after_columns, d->n_after_columns);
    }
    for (size_t i = 0; i < d->n_changed; i++) {
        say_row(cli, "<", &d->changed_before[i], d->before_columns, d->n_before_columns);
        say_row(cli, ">", &d->changed_after[i], d->after_columns, d->n_after_columns);
    }
}

/* ---- all of it ---- */

static gy_status compare(struct comparing *c, struct gy_err *err)
{
    GY_TRY(gy_path_join(c->dir, sizeof c->dir, gy_temp_dir(), "gyre-diff-XXXXXX", err));
    if (!mkdtemp(c->dir)) {
        gy_status status = gy_err_sys(err, errno, "making a folder for the tables");
        c->dir[0] = '\0';
        return status;
    }
    GY_TRY(fetch(c, c->o->before, "before.csv", &c->before, err));
    GY_TRY(fetch(c, c->o->after, "after.csv", &c->after, err));
    GY_TRY(find_key(c, err));
    if (c->before.schema && c->after.schema) {
        GY_TRY(gy_schema_diff(c->before.schema, c->after.schema, &c->cli->arena, &c->changes,
                              &c->n_changes, err));
    }
    const struct gy_table_diff_options o = {.before = c->before.path,
                                            .after = c->after.path,
                                            .key = c->key,
                                            .n_key = c->n_key,
                                            .samples = c->o->limit};
    return gy_table_diff_make(&o, &c->diff, err);
}

gy_status gy_cli_diff_versions(struct gy_cli *cli, const struct gy_cli_diff_versions *d,
                               struct gy_err *err)
{
    struct comparing c = {.cli = cli, .o = d};
    if (d->limit < 0 || d->limit > MAX_SHOWN) {
        return gy_err_set(err, GY_E_USAGE, "--limit takes 0 to %d", MAX_SHOWN);
    }
    gy_status status = compare(&c, err);
    if (status == GY_OK && cli->json) {
        status = print_json(&c, err);
    } else if (status == GY_OK) {
        say(&c);
    }
    gy_table_diff_free(c.diff);
    gy_schema_free(c.before.schema);
    gy_schema_free(c.after.schema);
    gy_cli_answer_done(&c.before.answer);
    gy_cli_answer_done(&c.after.answer);
    if (c.dir[0] && gy_dir_remove(c.dir, NULL) != GY_OK) {
        gy_cli_note(cli, "'%s' could not be removed\n", c.dir);
    }
    return status;
}
