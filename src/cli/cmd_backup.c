/* SPDX-License-Identifier: Apache-2.0 */
/* gyre backup, gyre restore: serve/archive.h for people. A backup is made by the running server, or
 * here when there is none; what else is done with an archive needs no home. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/time.h"
#include "cli/ask.h"
#include "serve/archive.h"

#define MAX_LINE (64 * GY_KIB)

/* ---- the answer of a backup: lines as they come ---- */

struct lines {
    struct gy_reply reply;
    struct gy_cli *cli;
    int status;
    struct gy_buf line; /* of an answer >= 400: all of it */
    struct gy_progress progress;
    char phase[64];
    struct gy_buf last; /* the snapshot or the error */
};

static gy_status lines_begin(struct gy_reply *self, int status, const struct gy_header *headers,
                             size_t n_headers, int64_t body_bytes, struct gy_err *err)
{
    (void)headers;
    (void)n_headers;
    (void)body_bytes;
    (void)err;
    ((struct lines *)self)->status = status;
    return GY_OK;
}

static void show_progress(struct lines *l, yyjson_val *said)
{
    struct gy_str phase = gy_json_str(said, "phase");
    if (!gy_str_eqc(phase, l->phase)) {
        if (l->phase[0]) {
            gy_progress_end(&l->progress);
        }
        (void)snprintf(l->phase, sizeof l->phase, "%" GY_STR_F, GY_STR_A(phase));
        gy_progress_start(&l->progress, l->cli, l->phase, gy_json_i64(said, "total", 0));
    }
    gy_progress_at(&l->progress, gy_json_i64(said, "done", 0));
}

static gy_status take_line(struct lines *l, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(gy_buf_str(&l->line), &doc, err));
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (gy_json_str(root, "phase").p) {
        show_progress(l, root);
    } else {
        gy_buf_reset(&l->last);
        gy_buf_add(&l->last, gy_buf_str(&l->line));
    }
    gy_buf_reset(&l->line);
    return gy_buf_check(&l->last, "the answer", err);
}

static gy_status lines_write(struct gy_reply *self, struct gy_str bytes, struct gy_err *err)
{
    struct lines *l = (struct lines *)self;
    for (size_t i = 0; i < bytes.n; i++) {
        if (bytes.p[i] == '\n' && l->status < 400) {
            GY_TRY(gy_buf_check(&l->line, "a line of the answer", err));
            GY_TRY(take_line(l, err));
        } else {
            gy_buf_add_char(&l->line, bytes.p[i]);
        }
    }
    return gy_buf_check(&l->line, "the answer", err);
}

static gy_status lines_end(struct gy_reply *self, struct gy_err *err)
{
    (void)self;
    (void)err;
    return GY_OK;
}

static const struct gy_reply_ops lines_ops = {lines_begin, lines_write, lines_end};

/* What the last line says: the snapshot in *ret_doc, or the error. */
static gy_status conclude(struct lines *l, yyjson_doc **ret_doc, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    if (l->status >= 400) {
        return gy_error_of_answer(l->status, gy_buf_str(&l->line), err);
    }
    if (l->last.n == 0) {
        gy_err_set(err, GY_E_NETWORK, "the server broke off the backup");
        return gy_err_hint(err, "its log says why; what was begun is removed by the next prune");
    }
    GY_TRY(gy_json_parse(gy_buf_str(&l->last), &doc, err));
    if (!gy_json_get(yyjson_doc_get_root(doc), "snapshot")) {
        return gy_error_of_answer(500, gy_buf_str(&l->last), err);
    }
    *ret_doc = GY_TAKE(doc);
    return GY_OK;
}

static gy_status ask_for_backup(struct gy_cli *cli, struct gy_str body, yyjson_doc **ret_doc,
                                struct gy_err *err)
{
    static const struct gy_header type = {{"Content-Type", 12}, {"application/json", 16}};
    struct gy_caller *caller = NULL;
    struct gy_mem_reader reader;
    GY_TRY(gy_cli_caller(cli, &caller, err));
    struct gy_request req = {.method = GY_STR("POST"),
                             .path = GY_STR("/api/gyre/v1/backup"),
                             .headers = &type,
                             .n_headers = 1,
                             .body = gy_mem_reader_init(&reader, body)};
    struct lines l = {.reply = {.ops = &lines_ops}, .cli = cli};
    gy_buf_init(&l.line, MAX_LINE);
    gy_buf_init(&l.last, MAX_LINE);
    gy_status status = gy_call(caller, &req, &l.reply, err);
    if (l.phase[0]) {
        gy_progress_end(&l.progress);
    }
    if (status == GY_OK) {
        status = conclude(&l, ret_doc, err);
    }
    gy_buf_done(&l.line);
    gy_buf_done(&l.last);
    return status;
}

/* ---- texts ---- */

static gy_status absolute(const char *given, char out[GY_MAX_PATH], struct gy_err *err)
{
    char cwd[GY_MAX_PATH];
    if (given[0] == '/') {
        return snprintf(out, GY_MAX_PATH, "%s", given) < GY_MAX_PATH
                   ? GY_OK
                   : gy_err_set(err, GY_E_INVALID, "the path is too long");
    }
    if (!getcwd(cwd, sizeof cwd)) {
        return gy_err_sys(err, errno, "asking for the working folder");
    }
    return gy_path_join(out, GY_MAX_PATH, cwd, given, err);
}

static void write_info(struct gy_jw *w, const struct gy_archive_info *i)
{
    char time[32];
    (void)gy_time_iso(i->point_us, time);
    gy_jw_obj(w);
    gy_jw_kv_str(w, "id", i->id);
    gy_jw_kv_strc(w, "point", time);
    gy_jw_kv_i64(w, "schema", i->schema);
    gy_jw_kv_i64(w, "rows", i->rows);
    gy_jw_kv_i64(w, "objects", i->objects);
    gy_jw_kv_i64(w, "object_bytes", i->object_bytes);
    gy_jw_kv_i64(w, "segments", i->segments);
    gy_jw_kv_i64(w, "log_bytes", i->log_bytes);
    gy_jw_obj_end(w);
}

static gy_status print_info(struct gy_cli *cli, const struct gy_archive_info *i, const char *done,
                            struct gy_err *err)
{
    char bytes[32];
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_jw w;
        gy_buf_init(&out, 64 * GY_KIB);
        gy_jw_init(&w, &out);
        write_info(&w, i);
        return gy_cli_print_json(cli, &out, err);
    }
    gy_cli_say(cli,
               "%s %" GY_STR_F ": %lld rows, %lld objects (%s), %lld segments of the prediction "
               "log\n",
               done, GY_STR_A(i->id), (long long)i->rows, (long long)i->objects,
               gy_cli_bytes(i->object_bytes, bytes), (long long)i->segments);
    return GY_OK;
}

/* Progress of what is done here. */
struct local_progress {
    struct gy_cli *cli;
    struct gy_progress bar;
    char phase[64];
};

static gy_status local_tell(void *ctx, const char *phase, int64_t done, int64_t total,
                            struct gy_err *err)
{
    struct local_progress *p = ctx;
    (void)err;
    if (strcmp(p->phase, phase) != 0) {
        if (p->phase[0]) {
            gy_progress_end(&p->bar);
        }
        (void)snprintf(p->phase, sizeof p->phase, "%s", phase);
        gy_progress_start(&p->bar, p->cli, p->phase, total);
    }
    gy_progress_at(&p->bar, done);
    return GY_OK;
}

static void local_end(struct local_progress *p)
{
    if (p->phase[0]) {
        gy_progress_end(&p->bar);
    }
}

/* ---- verbs ---- */

static gy_status run_backup(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    (void)opts;
    char dir[GY_MAX_PATH], bytes[32], fresh[32];
    GY_AUTO_DONE(gy_buf_done) struct gy_buf body;
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_jw w;
    gy_buf_init(&body, 64 * GY_KIB);
    GY_TRY(absolute(cli->argv[0], dir, err));
    gy_jw_init(&w, &body);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "dir", dir);
    gy_jw_obj_end(&w);
    GY_TRY(ask_for_backup(cli, gy_buf_str(&body), &doc, err));
    yyjson_val *s = gy_json_get(yyjson_doc_get_root(doc), "snapshot");
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        gy_buf_init(&out, 64 * GY_KIB);
        gy_jw_init(&w, &out);
        gy_jw_val(&w, s);
        return gy_cli_print_json(cli, &out, err);
    }
    gy_cli_say(cli,
               "snapshot %" GY_STR_F " in %s: %lld rows, %lld objects (%s; %lld of them new, %s), "
               "%lld segments of the prediction log\n",
               GY_STR_A(gy_json_str(s, "id")), dir, (long long)gy_json_i64(s, "rows", 0),
               (long long)gy_json_i64(s, "objects", 0),
               gy_cli_bytes(gy_json_i64(s, "object_bytes", 0), bytes),
               (long long)gy_json_i64(s, "new_objects", 0),
               gy_cli_bytes(gy_json_i64(s, "new_bytes", 0), fresh),
               (long long)gy_json_i64(s, "segments", 0));
    return GY_OK;
}

static gy_status run_list(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    static const char *const head[] = {"snapshot", "rows", "objects", "bytes", "log"};
    static const bool right[] = {false, true, true, true, true};
    enum { N = 5 };
    struct gy_archive_info *list = NULL;
    size_t n = 0;
    (void)opts;
    GY_TRY(gy_archive_list(cli->argv[0], &cli->arena, &list, &n, err));
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_jw w;
        gy_buf_init(&out, 16 * GY_MIB);
        gy_jw_init(&w, &out);
        gy_jw_obj(&w);
        gy_jw_key(&w, "snapshots");
        gy_jw_arr(&w);
        for (size_t i = 0; i < n; i++) {
            write_info(&w, &list[i]);
        }
        gy_jw_arr_end(&w);
        gy_jw_obj_end(&w);
        return gy_cli_print_json(cli, &out, err);
    }
    struct gy_str *cells = gy_arena_calloc(&cli->arena, n * N + 1, sizeof *cells);
    if (!cells) {
        return gy_err_set(err, GY_E_NOMEM, "listing snapshots");
    }
    for (size_t i = 0; i < n; i++) {
        char objects[32], log[32];
        cells[i * N] = list[i].id;
        cells[i * N + 1] = gy_cli_cellf(cli, "%lld", (long long)list[i].rows);
        cells[i * N + 2] = gy_cli_cellf(cli, "%lld", (long long)list[i].objects);
        cells[i * N + 3] = gy_cli_cellf(cli, "%s", gy_cli_bytes(list[i].object_bytes, objects));
        cells[i * N + 4] = gy_cli_cellf(cli, "%s", gy_cli_bytes(list[i].log_bytes, log));
    }
    gy_cli_table(cli, head, N, cells, n, right);
    return GY_OK;
}

static struct gy_str id_given(const struct gy_cli *cli)
{
    return cli->argc > 1 ? gy_str_c(cli->argv[1]) : GY_STR_NULL;
}

static gy_status run_verify(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    struct gy_archive_info info;
    struct local_progress p = {.cli = cli};
    (void)opts;
    gy_status status =
        gy_archive_verify(cli->argv[0], id_given(cli), local_tell, &p, &cli->arena, &info, err);
    local_end(&p);
    return status == GY_OK ? print_info(cli, &info, "whole:", err) : status;
}

struct prune_opts {
    int64_t keep;
    bool yes;
};

static gy_status run_prune(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct prune_opts *o = opts;
    int64_t snapshots = 0, objects = 0, bytes = 0;
    char text[32];
    if (o->keep < 1) {
        return gy_err_set(err, GY_E_USAGE, "--keep takes 1 or more");
    }
    GY_TRY(gy_archive_prune(cli->argv[0], (size_t)o->keep, !o->yes, &snapshots, &objects, &bytes,
                            err));
    if (cli->json) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
        struct gy_jw w;
        gy_buf_init(&out, 4 * GY_KIB);
        gy_jw_init(&w, &out);
        gy_jw_obj(&w);
        gy_jw_kv_bool(&w, "removed", o->yes);
        gy_jw_kv_i64(&w, "snapshots", snapshots);
        gy_jw_kv_i64(&w, "objects", objects);
        gy_jw_kv_i64(&w, "bytes", bytes);
        gy_jw_obj_end(&w);
        return gy_cli_print_json(cli, &out, err);
    }
    gy_cli_say(cli, "%s %lld snapshots and %lld objects (%s)%s\n",
               o->yes ? "removed" : "would remove", (long long)snapshots, (long long)objects,
               gy_cli_bytes(bytes, text), o->yes ? "" : "; --yes does it");
    return GY_OK;
}

struct restore_opts {
    const char *snapshot;
};

static gy_status run_restore(struct gy_cli *cli, void *opts, struct gy_err *err)
{
    const struct restore_opts *o = opts;
    char home[GY_MAX_PATH];
    if (!cli->home) {
        gy_err_set(err, GY_E_USAGE, "--home names the new home");
        return gy_err_hint(err, "gyre restore %s --home DIR", cli->argv[0]);
    }
    GY_TRY(absolute(cli->home, home, err));
    const struct gy_archive_target to = {.home_dir = home,
                                         .store_url = cli->store,
                                         .objects_url = cli->objects,
                                         .s3_endpoint = cli->s3_endpoint};
    struct gy_archive_info info;
    struct local_progress p = {.cli = cli};
    gy_status status =
        gy_archive_restore(cli->argv[0], o->snapshot ? gy_str_c(o->snapshot) : GY_STR_NULL, &to,
                           local_tell, &p, &cli->arena, &info, err);
    local_end(&p);
    GY_TRY(status);
    GY_TRY(print_info(cli, &info, "restored", err));
    bool elsewhere =
        cli->store || cli->objects; /* URLs are not repeated: they may hold passwords */
    gy_cli_note(cli, "next: gyre server --home %s%s\n", home,
                elsewhere ? " with the same --store and --objects" : "");
    return GY_OK;
}

static const struct gy_opt prune_opts[] = {
    {"keep", 0, GY_OPT_INT, offsetof(struct prune_opts, keep), "N", "7", "the newest so many stay"},
    {"yes", 0, GY_OPT_FLAG, offsetof(struct prune_opts, yes), NULL, NULL,
     "remove; without it only say what would go"},
};
static const struct gy_opt restore_opts[] = {
    {"snapshot", 0, GY_OPT_STR, offsetof(struct restore_opts, snapshot), "ID", NULL,
     "which; else the newest"},
};

static const struct gy_verb verbs[] = {
    {.noun = "backup",
     .args = "DIR",
     .min_args = 1,
     .max_args = 1,
     .summary = "add a snapshot of database, objects and prediction log to an archive",
     .details = "One point for all three, without stopping anything. DIR is new, empty or an "
                "archive: what earlier snapshots brought is not copied again. A running server "
                "makes it, so DIR is a folder of its machine.",
     .examples = "  gyre backup /backups/gyre\n  gyre backup /backups/gyre --json",
     .run = run_backup},
    {.noun = "backup",
     .verb = "list",
     .args = "DIR",
     .min_args = 1,
     .max_args = 1,
     .summary = "the snapshots of an archive",
     .examples = "  gyre backup list /backups/gyre",
     .run = run_list},
    {.noun = "backup",
     .verb = "verify",
     .args = "DIR [SNAPSHOT]",
     .min_args = 1,
     .max_args = 2,
     .summary = "read a snapshot (the newest) whole and compare every byte",
     .examples = "  gyre backup verify /backups/gyre",
     .run = run_verify},
    {.noun = "backup",
     .verb = "prune",
     .args = "DIR",
     .min_args = 1,
     .max_args = 1,
     .summary = "remove old snapshots and the objects that only they have",
     .examples = "  gyre backup prune /backups/gyre --keep 14\n"
                 "  gyre backup prune /backups/gyre --keep 14 --yes",
     .opts = prune_opts,
     .n_opts = sizeof prune_opts / sizeof prune_opts[0],
     .opts_bytes = sizeof(struct prune_opts),
     .run = run_prune},
    {.noun = "restore",
     .args = "DIR --home NEW",
     .min_args = 1,
     .max_args = 1,
     .summary = "make a new home of a snapshot, verified",
     .details = "The home must not exist or be empty; --store and --objects restore into a "
                "database and an object store elsewhere. At the end rows are counted and every "
                "object that is named is looked for.",
     .examples = "  gyre restore /backups/gyre --home ./restored\n"
                 "  gyre restore /backups/gyre --home ./h --store postgresql:///gyre",
     .opts = restore_opts,
     .n_opts = sizeof restore_opts / sizeof restore_opts[0],
     .opts_bytes = sizeof(struct restore_opts),
     .run = run_restore},
};

const struct gy_verb_table gy_cmd_backup = GY_VERB_TABLE(verbs);
