/* SPDX-License-Identifier: Apache-2.0 */
/* gyre dlq replay: dead letters of a log are checked again; those that are good now become rows of
 * the table, as a new dataset version. Exactly once, as data/replaylog.h says. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/dataset_put.h"
#include "cli/dlq.h"
#include "cli/schema_of.h"
#include "data/deadletter.h"
#include "data/replay.h"
#include "data/replaylog.h"

#define TABLE "data.csv"
#define MAX_TOLD 50               /* refused letters that the answer shows */
#define MAX_EDITED (256 * GY_MIB) /* a file of edited letters */
#define MAX_LINES (64 * GY_MIB)   /* of LOG.replayed, by one replay */

struct replay_opts {
    const char *dlq, *code, *file, *schema, *edited, *output, *name, *environment, *header;
    bool dry_run;
};

/* A letter whose record a person has changed. */
struct edit {
    struct gy_str bytes;
    bool used;
};

struct job {
    struct gy_cli *cli;
    const struct replay_opts *o;
    char table[GY_MAX_PATH], journal[GY_MAX_PATH], dlq[PATH_MAX];
    int folder_fd;
    struct gy_file_appender *log; /* LOG.replayed, locked */
    struct gy_replay_marks marks;
    struct gy_map edits, seen;
    struct gy_replay *replay;
    struct gy_schema *schema;
    /* What the registry knows of the table. */
    struct gy_str name;
    int64_t version, read, dead;
    /* What became of the letters. */
    struct gy_buf ids, lines, told, scratch;
    struct gy_jw ids_writer, told_writer;
    int64_t tried, accepted, refused, before, damaged, left, n_told;
    gy_status status;
    struct gy_err *err;
};

/* ---- the table ---- */

static gy_status open_folder(struct job *j, struct gy_err *err)
{
    GY_TRY(gy_path_join(j->table, sizeof j->table, j->o->output, TABLE, err));
    GY_TRY(gy_path_join(j->journal, sizeof j->journal, j->o->output, GY_REPLAY_JOURNAL, err));
    if (!gy_path_exists(j->table)) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "there is no table '%s' to replay into", j->table);
        return gy_err_hint(err, "-o names the folder that gyre data ingest wrote");
    }
    j->folder_fd = open(j->o->output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->folder_fd < 0) {
        return gy_err_sys(err, errno, "opening '%s'", j->o->output);
    }
    if (flock(j->folder_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return gy_err_set(err, GY_E_BUSY, "another replay, or an ingest, works on '%s'",
                          j->o->output);
    }
    return GY_OK;
}

/* ---- what was begun ---- */

static gy_status put_version(struct job *j, const struct gy_replay_journal *x, int64_t *ret_version,
                             bool *ret_new, struct gy_err *err)
{
    GY_AUTO(gy_schema_free) struct gy_schema *schema = NULL;
    GY_TRY(gy_schema_parse(x->schema_json, "the schema", &schema, err));
    struct gy_ingest_result r = {
        .read = x->read, .accepted = x->rows, .dead = x->dead, .size_bytes = x->size_bytes};
    memcpy(r.sha256, x->after, sizeof r.sha256);
    memcpy(r.md5, x->md5, sizeof r.md5);
    const struct gy_cli_dataset d = {.result = &r,
                                     .path = j->table,
                                     .name = x->dataset,
                                     .schema = schema,
                                     .source = x->source,
                                     .base_version = x->base_version};
    return gy_cli_dataset_put(j->cli, &d, ret_version, ret_new, err);
}

static gy_status drop_journal(struct job *j, struct gy_err *err)
{
    if (unlink(j->journal) != 0 && errno != ENOENT) {
        return gy_err_sys(err, errno, "removing '%s'", j->journal);
    }
    return gy_dir_sync(j->o->output, err);
}

/* The table was replaced and nobody has said so yet. */
static gy_status finish(struct job *j, const struct gy_replay_journal *x, struct gy_err *err)
{
    GY_AUTO_DONE(gy_replay_marks_done) struct gy_replay_marks marks;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf lines;
    char path[GY_MAX_PATH];
    int64_t version = 0;
    bool is_new = false;
    gy_replay_marks_init(&marks);
    gy_buf_init(&lines, 2 * GY_REPLAY_MAX_JOURNAL);
    char *dlq = gy_arena_strdup(&j->cli->arena, x->dlq);
    if (!dlq) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(put_version(j, x, &version, &is_new, err));
    GY_TRY(gy_replay_marks_path(dlq, path, err));
    GY_TRY(gy_replay_marks_read(dlq, &marks, err));
    if (!gy_replay_marks_has(&marks, gy_str_c(x->replay))) {
        gy_buf_add(&lines, x->more);
        gy_replay_add_done(&lines, x, j->table, version);
        GY_TRY(gy_buf_check(&lines, "what was replayed", err));
        GY_TRY(gy_file_append(path, gy_buf_str(&lines), 0666, err));
    }
    gy_cli_note(j->cli, "a replay that was cut off is finished: %" GY_STR_F "@%lld\n",
                GY_STR_A(x->dataset), (long long)version);
    return GY_OK;
}

static gy_status recover(struct job *j, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_replay_journal x;
    char now[GY_SHA256_HEX];
    int64_t size = 0;
    gy_buf_init(&text, 2 * GY_REPLAY_MAX_JOURNAL);
    if (!gy_path_exists(j->journal)) {
        return GY_OK;
    }
    gy_status status = gy_json_read_file(j->journal, 2 * GY_REPLAY_MAX_JOURNAL, &doc, err);
    if (status == GY_OK) {
        status = gy_replay_journal_read(yyjson_doc_get_root(doc), &text, &x, err);
    }
    if (status != GY_OK) {
        return gy_err_wrap(err, "'%s', which an earlier replay left", j->journal);
    }
    GY_TRY(gy_file_digest(j->table, now, NULL, &size, err));
    if (strcmp(now, x.after) == 0) {
        GY_TRY(finish(j, &x, err));
    } else if (strcmp(now, x.before) != 0) {
        gy_cli_note(j->cli, "a replay was cut off, and the table was made anew since then\n");
    }
    return drop_journal(j, err);
}

/* ---- what the registry knows ---- */

static gy_status ask_registry(struct job *j, struct gy_err *err)
{
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    char sha256[GY_SHA256_HEX];
    const char *path = NULL;
    int64_t size = 0;
    GY_TRY(gy_file_digest(j->table, sha256, NULL, &size, err));
    GY_TRY(gy_cli_path(j->cli, "/api/gyre/v1/datasets?sha256={}", gy_str_c(sha256), &path, err));
    GY_TRY(gy_cli_ask(j->cli, "GET", path, GY_STR_NULL, &answer, err));
    yyjson_val *v = yyjson_arr_get_first(gy_json_get(answer.root, "datasets"));
    bool same_name = v && (!j->o->name || gy_str_eqc(gy_json_str(v, "name"), j->o->name));
    if (same_name) {
        j->version = gy_json_i64(v, "version", 0);
        j->read = gy_json_i64(v, "read", 0);
        j->dead = gy_json_i64(v, "dead", 0);
    }
    j->name =
        gy_arena_str(&j->cli->arena, j->o->name ? gy_str_c(j->o->name) : gy_json_str(v, "name"));
    if (j->name.n == 0) {
        (void)gy_err_set(err, GY_E_NOTFOUND, "the bytes of '%s' are no registered version",
                         j->table);
        return gy_err_hint(err, "--name says which dataset gets the new version");
    }
    return GY_OK;
}

/* Given, else the project's, else the version's own. */
static gy_status find_schema(struct job *j, struct gy_err *err)
{
    struct gy_err why = GY_ERR_INIT;
    gy_status status = gy_cli_schema_find_source(j->cli, j->o->schema, NULL, &j->schema, &why);
    if (status == GY_OK || j->o->schema || status != GY_E_NOTFOUND || j->version == 0) {
        return status == GY_OK ? GY_OK : gy_err_set(err, status, "%s", why.msg);
    }
    GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer answer = {.doc = NULL};
    const char *path = NULL;
    char *format = gy_arena_printf(&j->cli->arena, "/api/gyre/v1/datasets/{}/versions/%lld/schema",
                                   (long long)j->version);
    if (!format) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    GY_TRY(gy_cli_path(j->cli, format, j->name, &path, err));
    GY_TRY(gy_cli_ask(j->cli, "GET", path, GY_STR_NULL, &answer, err));
    gy_cli_note(j->cli, "schema: that of %" GY_STR_F "@%lld\n", GY_STR_A(j->name),
                (long long)j->version);
    return gy_schema_parse(gy_buf_str(&answer.collect.body), "the version's schema", &j->schema,
                           err);
}

/* ---- edited letters ---- */

static gy_status add_edit(struct job *j, yyjson_val *json, struct gy_err *err)
{
    struct gy_letter l;
    GY_TRY(gy_letter_read(json, &j->scratch, &l, err));
    struct edit *e = gy_arena_calloc(&j->cli->arena, 1, sizeof *e);
    if (e) {
        e->bytes = gy_arena_str(&j->cli->arena, l.bytes);
    }
    if (!e || !e->bytes.p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for edited letters");
    }
    if (gy_map_has(&j->edits, gy_str_c(l.id))) {
        return gy_err_set(err, GY_E_INVALID, "letter %s is there twice", l.id);
    }
    return gy_map_put(&j->edits, gy_str_c(l.id), e, err);
}

static bool take_edit(void *ctx, int64_t number, struct gy_str line, yyjson_val *letter)
{
    struct job *j = ctx;
    (void)line;
    j->status =
        letter ? add_edit(j, letter, j->err) : gy_err_set(j->err, GY_E_PARSE, "it is not JSON");
    if (j->status != GY_OK) {
        (void)gy_err_wrap(j->err, "line %lld of '%s'", (long long)number + 1, j->o->edited);
    }
    return j->status == GY_OK;
}

/* Lines of letters, or what gyre dlq list --json and gyre dlq show --json print. */
static gy_status read_edits(struct job *j, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (!j->o->edited) {
        return GY_OK;
    }
    if (gy_json_read_file(j->o->edited, MAX_EDITED, &doc, NULL) != GY_OK) {
        j->err = err;
        GY_TRY(gy_dlq_each(j->o->edited, take_edit, j, err));
        return j->status;
    }
    yyjson_val *root = yyjson_doc_get_root(doc), *list = gy_json_get(root, "letters"), *letter;
    if (!list && yyjson_is_obj(root)) {
        return add_edit(j, root, err);
    }
    size_t i, max;
    list = list ? list : root;
    yyjson_arr_foreach(list, i, max, letter)
    {
        gy_status status = add_edit(j, letter, err);
        if (status != GY_OK) {
            return gy_err_wrap(err, "letter %zu of '%s'", i, j->o->edited);
        }
    }
    return GY_OK;
}

static gy_status check_edits_used(struct job *j, struct gy_err *err)
{
    size_t pos = 0;
    for (struct gy_map_entry *e; (e = gy_map_next(&j->edits, &pos)) != NULL;) {
        if (!((struct edit *)e->value)->used) {
            (void)gy_err_set(err, GY_E_NOTFOUND, "'%s' has no letter %" GY_STR_F, j->o->dlq,
                             GY_STR_A(e->key));
            return gy_err_hint(err, "keep source and row, or id, of each letter as gyre dlq list "
                                    "--json gives them");
        }
    }
    return GY_OK;
}

/* ---- letters ---- */

static bool is_wanted(const struct job *j, int64_t number, const struct gy_letter *l,
                      yyjson_val *json)
{
    bool named = j->cli->argc == 0;
    for (int i = 0; i < j->cli->argc; i++) {
        int64_t n = -1;
        named = named || strcmp(j->cli->argv[i], l->id) == 0 ||
                (gy_parse_i64(gy_str_c(j->cli->argv[i]), 0, INT64_MAX, &n, NULL) == GY_OK &&
                 n == number);
    }
    if (!named || (j->o->edited && !gy_map_has(&j->edits, gy_str_c(l->id)))) {
        return false;
    }
    return (!j->o->code || gy_cli_letter_has_code(json, j->o->code)) &&
           (!j->o->file || gy_str_find_str(l->file, gy_str_c(j->o->file)) != SIZE_MAX);
}

static void tell_refused(struct job *j, int64_t number, const struct gy_letter *l,
                         const struct gy_reasons *r)
{
    if (j->n_told++ >= MAX_TOLD) {
        return;
    }
    struct gy_jw *w = &j->told_writer;
    gy_jw_obj(w);
    gy_jw_kv_i64(w, "number", number);
    gy_jw_kv_strc(w, "id", l->id);
    gy_jw_key(w, "codes");
    gy_jw_arr(w);
    for (int code = 0; code < GY_DEAD_N; code++) {
        if (r->codes & (1U << code)) {
            gy_jw_strc(w, gy_dead_name((enum gy_dead_code)code));
        }
    }
    gy_jw_arr_end(w);
    gy_jw_kv_str(w, "error", gy_buf_str(&r->text));
    gy_jw_obj_end(w);
}

static gy_status try_letter(struct job *j, int64_t number, const struct gy_letter *l,
                            struct gy_err *err)
{
    const struct gy_reasons *r = NULL;
    GY_TRY(gy_replay_letter(j->replay, l, &r, err));
    j->tried++;
    if (r->codes == 0) {
        j->accepted++;
        gy_jw_strc(&j->ids_writer, l->id);
        return GY_OK;
    }
    j->refused++;
    tell_refused(j, number, l, r);
    if (gy_replay_is_news(&j->marks, l->id, r) && j->lines.n < MAX_LINES / 2) {
        gy_replay_add_refused(&j->lines, l->id, r);
    }
    return GY_OK;
}

static gy_status take(struct job *j, int64_t number, yyjson_val *json, const char *table,
                      struct gy_err *err)
{
    struct gy_letter l;
    gy_status status = gy_letter_read(json, &j->scratch, &l, NULL);
    if (status == GY_E_INVALID) {
        j->damaged++;
        return GY_OK;
    }
    if (status != GY_OK) {
        return gy_letter_read(json, &j->scratch, &l, err);
    }
    struct edit *e = gy_map_get(&j->edits, gy_str_c(l.id));
    if (e) {
        e->used = true;
    }
    if (!is_wanted(j, number, &l, json)) {
        return GY_OK;
    }
    /* The same record may stand in the log several times: it is tried once, and what was replayed
     * before counts only when no later refusal opens it again. */
    static char BEFORE[] = "before", TRIED[] = "tried"; /* told apart by their places */
    const char *seen = gy_map_get(&j->seen, gy_str_c(l.id));
    if (seen == TRIED) {
        return GY_OK;
    }
    if (!gy_replay_marks_open(&j->marks, l.id, l.time, table)) {
        j->before += seen ? 0 : 1;
        return seen ? GY_OK : gy_map_put(&j->seen, gy_str_c(l.id), BEFORE, err);
    }
    if (j->tried == GY_REPLAY_MAX) {
        j->left++;
        return GY_OK;
    }
    j->before -= seen ? 1 : 0;
    GY_TRY(gy_map_put(&j->seen, gy_str_c(l.id), TRIED, err));
    l.bytes = e ? e->bytes : l.bytes;
    return try_letter(j, number, &l, err);
}

struct walk {
    struct job *j;
    char table[GY_SHA256_HEX];
};

static bool take_line(void *ctx, int64_t number, struct gy_str line, yyjson_val *json)
{
    struct walk *x = ctx;
    struct job *j = x->j;
    (void)line;
    if (!json) {
        j->damaged++;
        return true;
    }
    j->status = take(j, number, json, x->table, j->err);
    return j->status == GY_OK;
}

static gy_status check_letters(struct job *j, struct gy_replay_result *ret, struct gy_err *err)
{
    struct walk x = {.j = j};
    const struct gy_replay_options o = {.schema = j->schema,
                                        .environment = gy_str_c(j->o->environment),
                                        .base = j->table,
                                        .out = j->table,
                                        .header = gy_str_c(j->o->header),
                                        .images = true};
    GY_TRY(gy_replay_open(&o, &j->replay, err));
    int64_t size = 0;
    GY_TRY(gy_file_digest(j->table, x.table, NULL, &size, err));
    j->err = err;
    j->status = GY_OK;
    GY_TRY(gy_dlq_each(j->o->dlq, take_line, &x, err));
    GY_TRY(j->status);
    GY_TRY(check_edits_used(j, err));
    GY_TRY(gy_replay_end(j->replay, ret, err));
    return strcmp(ret->base_sha256, x.table) == 0
               ? GY_OK
               : gy_err_set(err, GY_E_CONFLICT, "'%s' changed while it was read", j->table);
}

/* ---- putting it in place ---- */

static gy_status check_unchanged(struct job *j, const struct gy_replay_result *r,
                                 struct gy_err *err)
{
    char now[GY_SHA256_HEX];
    int64_t size = 0;
    GY_TRY(gy_file_digest(j->table, now, NULL, &size, err));
    return strcmp(now, r->base_sha256) == 0
               ? GY_OK
               : gy_err_set(err, GY_E_CONFLICT, "'%s' changed meanwhile: nothing was replayed",
                            j->table);
}

static gy_status fill_journal(struct job *j, const struct gy_replay_result *r,
                              struct gy_replay_journal *x, struct gy_err *err)
{
    struct gy_uuid_gen gen;
    unsigned char uuid[16];
    GY_TRY(gy_uuid_gen_init(&gen, err));
    gy_uuid7(&gen, uuid);
    gy_uuid_text(uuid, x->replay);
    GY_AUTO_DONE(gy_buf_done) struct gy_buf schema;
    gy_buf_init(&schema, GY_MAX_YAML);
    gy_schema_json(j->schema, &schema);
    GY_TRY(gy_buf_check(&schema, "the schema", err));
    x->schema_json = gy_arena_str(&j->cli->arena, gy_buf_str(&schema));
    if (!x->schema_json.p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory");
    }
    x->dlq = gy_str_c(j->dlq);
    x->dataset = j->name;
    x->source = gy_str_c(j->o->dlq);
    memcpy(x->before, r->base_sha256, sizeof x->before);
    memcpy(x->after, r->sha256, sizeof x->after);
    memcpy(x->md5, r->md5, sizeof x->md5);
    x->size_bytes = r->size_bytes;
    x->rows = r->base_rows + r->accepted;
    /* What was read to make the table stays what it was; fewer of it are dead now. */
    x->dead = j->version ? (j->dead > r->accepted ? j->dead - r->accepted : 0) : r->refused;
    x->read = x->rows + x->dead;
    x->base_version = j->version;
    x->ids = gy_buf_str(&j->ids);
    x->more = gy_buf_str(&j->lines);
    return GY_OK;
}

static gy_status put(struct job *j, const struct gy_replay_result *r, int64_t *ret_version,
                     bool *ret_new, struct gy_err *err)
{
    struct gy_replay_journal x = {.rows = 0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    gy_buf_init(&text, 2 * GY_REPLAY_MAX_JOURNAL);
    gy_buf_init(&line, GY_REPLAY_MAX_JOURNAL);
    GY_TRY(fill_journal(j, r, &x, err));
    gy_replay_journal_write(&x, &text);
    GY_TRY(gy_buf_check(&text, "the journal of the replay", err));
    GY_TRY(check_unchanged(j, r, err));
    GY_TRY(gy_file_write(j->journal, gy_buf_str(&text), 0600, err));
    GY_TRY(gy_replay_commit(j->replay, err));
    GY_TRY(put_version(j, &x, ret_version, ret_new, err));
    gy_replay_add_done(&line, &x, j->table, *ret_version);
    GY_TRY(gy_buf_check(&line, "what was replayed", err));
    GY_TRY(gy_file_appender_write(j->log, gy_buf_str(&j->lines), err));
    GY_TRY(gy_file_appender_write(j->log, gy_buf_str(&line), err));
    GY_TRY(gy_file_appender_commit(j->log, err));
    return drop_journal(j, err);
}

/* Nothing was accepted: only the new reasons are kept. */
static gy_status put_reasons(struct job *j, struct gy_err *err)
{
    if (j->lines.n == 0) {
        return GY_OK;
    }
    GY_TRY(gy_buf_check(&j->lines, "the reasons", err));
    GY_TRY(gy_file_appender_write(j->log, gy_buf_str(&j->lines), err));
    return gy_file_appender_commit(j->log, err);
}

/* ---- telling ---- */

struct outcome {
    struct gy_replay_result r;
    int64_t version;
    bool is_new, put;
};

static gy_status print_json(struct job *j, const struct outcome *x, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    struct gy_jw w;
    gy_buf_init(&out, GY_MAX_REPLY);
    gy_jw_init(&w, &out);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "tried", j->tried);
    gy_jw_kv_i64(&w, "accepted", j->accepted);
    gy_jw_kv_i64(&w, "refused", j->refused);
    gy_jw_kv_i64(&w, "replayed_before", j->before);
    gy_jw_kv_i64(&w, "left", j->left);
    gy_jw_kv_i64(&w, "damaged", j->damaged);
    gy_jw_kv_bool(&w, "dry_run", j->o->dry_run);
    gy_jw_kv_str(&w, "dataset", j->name);
    gy_jw_key(&w, "version");
    x->put ? gy_jw_i64(&w, x->version) : gy_jw_null(&w);
    gy_jw_kv_bool(&w, "new", x->is_new);
    gy_jw_kv_i64(&w, "rows", x->r.base_rows + x->r.accepted);
    gy_jw_kv_strc(&w, "sha256", x->r.sha256);
    gy_jw_kv_strc(&w, "md5", x->r.md5);
    gy_jw_kv_strc(&w, "path", j->table);
    gy_jw_key(&w, "letters");
    gy_jw_raw(&w, gy_buf_str(&j->told));
    gy_jw_obj_end(&w);
    return gy_cli_print_json(j->cli, &out, err);
}

static void say(struct job *j, const struct outcome *x)
{
    struct gy_cli *cli = j->cli;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    gy_cli_say(cli, "%lld tried, %lld accepted, %lld still dead", (long long)j->tried,
               (long long)j->accepted, (long long)j->refused);
    if (j->before > 0) {
        gy_cli_say(cli, "; %lld were replayed before", (long long)j->before);
    }
    gy_cli_say(cli, "\n");
    if (gy_json_parse(gy_buf_str(&j->told), &doc, NULL) == GY_OK) {
        yyjson_val *root = yyjson_doc_get_root(doc), *letter;
        size_t i, max;
        yyjson_arr_foreach(root, i, max, letter)
        {
            gy_cli_say(cli, "  letter %lld: %" GY_STR_F "\n",
                       (long long)gy_json_i64(letter, "number", 0),
                       GY_STR_A(gy_str_sub(gy_json_str(letter, "error"), 0, 160)));
        }
    }
    if (j->left > 0) {
        gy_cli_say(cli, "%lld letters are left for another replay\n", (long long)j->left);
    }
    if (x->put) {
        gy_cli_say(cli, "%s: dataset %" GY_STR_F "@%lld%s, %lld rows\n  sha256 %s\n", j->table,
                   GY_STR_A(j->name), (long long)x->version,
                   x->is_new ? "" : " (known already: same bytes)",
                   (long long)(x->r.base_rows + x->r.accepted), x->r.sha256);
    } else {
        gy_cli_say(cli, "nothing was changed\n");
    }
}

/* ---- the command ---- */

static gy_status run_job(struct job *j, struct outcome *x, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    if (!gy_path_exists(j->o->dlq)) {
        return gy_err_set(err, GY_E_NOTFOUND, "there is no log of dead letters '%s'", j->o->dlq);
    }
    if (!realpath(j->o->dlq, j->dlq)) {
        return gy_err_sys(err, errno, "finding '%s'", j->o->dlq);
    }
    GY_TRY(open_folder(j, err));
    GY_TRY(recover(j, err));
    GY_TRY(ask_registry(j, err));
    GY_TRY(find_schema(j, err));
    GY_TRY(read_edits(j, err));
    GY_TRY(gy_replay_marks_path(j->dlq, path, err));
    GY_TRY(gy_file_appender_open(path, 0666, &j->log, err));
    GY_TRY(gy_replay_marks_read(j->dlq, &j->marks, err));
    GY_TRY(check_letters(j, &x->r, err));
    gy_jw_arr_end(&j->ids_writer);
    gy_jw_arr_end(&j->told_writer);
    GY_TRY(gy_buf_check(&j->ids, "the ids of letters", err));
    GY_TRY(gy_buf_check(&j->lines, "the reasons", err));
    if (j->o->dry_run) {
        return GY_OK;
    }
    if (j->accepted == 0) {
        return put_reasons(j, err);
    }
    GY_TRY(put(j, &x->r, &x->version, &x->is_new, err));
    x->put = true;
    return GY_OK;
}

static gy_status run_replay(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    struct job j = {.cli = cli, .o = opts, .folder_fd = -1};
    struct outcome x = {.put = false};
    gy_replay_marks_init(&j.marks);
    gy_map_init(&j.edits, GY_REPLAY_MAX);
    gy_map_init(&j.seen, GY_REPLAY_MAX_KNOWN);
    gy_buf_init(&j.ids, GY_REPLAY_MAX_JOURNAL);
    gy_buf_init(&j.lines, MAX_LINES);
    gy_buf_init(&j.told, GY_MAX_REPLY / 2);
    gy_buf_init(&j.scratch, GY_DLQ_MAX_LINE);
    gy_jw_init(&j.ids_writer, &j.ids);
    gy_jw_arr(&j.ids_writer);
    gy_jw_init(&j.told_writer, &j.told);
    gy_jw_arr(&j.told_writer);
    gy_status status = run_job(&j, &x, err);
    if (status == GY_OK) {
        status = gy_buf_check(&j.told, "the answer", err);
    }
    if (status == GY_OK && cli->json) {
        status = print_json(&j, &x, err);
    } else if (status == GY_OK) {
        say(&j, &x);
    }
    gy_replay_free(j.replay);
    gy_schema_free(j.schema);
    gy_file_appender_free(j.log);
    gy_replay_marks_done(&j.marks);
    gy_map_done(&j.edits);
    gy_map_done(&j.seen);
    gy_buf_done(&j.ids);
    gy_buf_done(&j.lines);
    gy_buf_done(&j.told);
    gy_buf_done(&j.scratch);
    if (j.folder_fd >= 0) {
        (void)close(j.folder_fd); /* the lock goes with it */
    }
    return status;
}

static const struct gy_opt replay_opts[] = {
    {"dlq", 0, GY_OPT_STR, offsetof(struct replay_opts, dlq), "FILE", "./dlq.log",
     "the log of dead letters"},
    {"code", 0, GY_OPT_STR, offsetof(struct replay_opts, code), "CODE", NULL,
     "only those that were refused with this code"},
    {"file", 0, GY_OPT_STR, offsetof(struct replay_opts, file), "TEXT", NULL,
     "only those of files whose name has this text"},
    {"schema", 0, GY_OPT_STR, offsetof(struct replay_opts, schema), "FILE", NULL,
     "default: the project's schema.yaml, else that of the table's version"},
    {"edited", 0, GY_OPT_STR, offsetof(struct replay_opts, edited), "FILE", NULL,
     "letters whose data was corrected: lines, or what gyre dlq list --json prints"},
    {"output-path", 'o', GY_OPT_STR, offsetof(struct replay_opts, output), "DIR", "data",
     "folder whose data.csv gets the rows"},
    {"name", 0, GY_OPT_STR, offsetof(struct replay_opts, name), "DATASET", NULL,
     "default: the dataset whose version data.csv is"},
    {"environment", 0, GY_OPT_STR, offsetof(struct replay_opts, environment), "NAME", NULL,
     "columns with not_in: [NAME] may be absent"},
    {"header", 0, GY_OPT_STR, offsetof(struct replay_opts, header), "LINE", NULL,
     "header of CSV letters that have none and whose file is gone"},
    {"dry-run", 0, GY_OPT_FLAG, offsetof(struct replay_opts, dry_run), NULL, NULL,
     "only tell what would become of them"},
};

static const struct gy_verb verbs[] = {
    {.noun = "dlq",
     .verb = "replay",
     .args = "[NUMBER|ID...]",
     .max_args = -1,
     .summary = "check dead letters again, and add those that are good now to the table",
     .details =
         "By a corrected schema, or after --edited corrected the records. What is accepted is\n"
         "appended to DIR/data.csv, which becomes a new version of its dataset; values of unique\n"
         "columns that are in already are refused. Each letter is replayed at most once, whatever\n"
         "ends the command: LOG.replayed remembers. What stays dead gets its new reasons there.",
     .examples = "  gyre dlq replay --schema schema.yaml -o data\n"
                 "  gyre dlq list --json --code TYPE > fix.json  # correct \"data\", then:\n"
                 "  gyre dlq replay --edited fix.json -o data",
     .opts = replay_opts,
     .n_opts = sizeof replay_opts / sizeof replay_opts[0],
     .opts_bytes = sizeof(struct replay_opts),
     .run = run_replay},
};

const struct gy_verb_table gy_cmd_dlq_replay = GY_VERB_TABLE(verbs);
