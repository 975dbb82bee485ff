/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/append.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "cli/dataset_get.h"

#define BASE "/api/gyre/v1/datasets/"
#define PAGE 10000
#define READ_BYTES (256 * GY_KIB)
#define MAX_BEFORE 10000000 /* objects that were taken of a source */

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for what was taken");
}

void gy_cli_append_done(struct gy_cli_append *a)
{
    if (a && a->on) {
        gy_cli_answer_done(&a->state);
        gy_cli_answer_done(&a->of_base);
        gy_map_done(&a->before);
        gy_free(a->now);
        if (a->fd >= 0) {
            (void)close(a->fd); /* it was only read */
        }
        a->on = false;
    }
}

/* ---- what was taken before ---- */

static gy_status ask_state(struct gy_cli_append *a, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 16 * GY_KIB);
    gy_buf_addc(&path, BASE);
    gy_url_encode(&path, a->name, false);
    gy_buf_addc(&path, "/taken?source=");
    gy_url_encode(&path, gy_str_c(a->source), false);
    GY_TRY(gy_buf_check(&path, "a path", err));
    GY_TRY(gy_cli_ask(a->cli, "GET", path.p, GY_STR_NULL, &a->state, err));
    GY_TRY(gy_json_need_i64(a->state.root, "newest", &a->newest, err));
    GY_TRY(gy_json_need_i64(a->state.root, "version", &a->from_version, err));
    a->from_watermark = gy_json_str(a->state.root, "watermark");
    return GY_OK;
}

/* Rows that come twice, or that are lost, are what this is about: whatever is not clear is asked
 * for. */
static gy_status check_state(const struct gy_cli_append *a, const struct gy_cli_append_options *o,
                             struct gy_err *err)
{
    yyjson_val *sources = gy_json_get(a->state.root, "sources");
    const size_t n = yyjson_arr_size(sources);
    if (a->restart) {
        return GY_OK;
    }
    if (!gy_json_bool(a->state.root, "continues", false)) {
        (void)gy_err_set(err, GY_E_CONFLICT,
                         "the newest version of '%" GY_STR_F
                         "' was not made from the one that holds what was taken so far",
                         GY_STR_A(a->name));
        return gy_err_hint(err, "delete the versions in between, or read all again with "
                                "--restart");
    }
    if (a->from_version > 0 || a->newest == 0 || o->new_source) {
        return GY_OK;
    }
    if (n > 0) {
        (void)gy_err_set(
            err, GY_E_USAGE, "'%" GY_STR_F "' was read from '%s' so far, not from '%s'",
            GY_STR_A(a->name), yyjson_get_str(yyjson_arr_get_first(sources)), a->source);
    } else {
        (void)gy_err_set(err, GY_E_USAGE,
                         "'%" GY_STR_F "' has versions, and nothing is known of what was taken",
                         GY_STR_A(a->name));
    }
    return gy_err_hint(err,
                       "--new-source appends all of it to the rows there are; --restart makes a "
                       "version of it alone");
}

static gy_status take_page(struct gy_cli_append *a, yyjson_val *page, struct gy_str *ret_last,
                           struct gy_err *err)
{
    yyjson_val *pair;
    yyjson_arr_iter it;
    if (!yyjson_is_arr(page)) {
        return gy_err_set(err, GY_E_PARSE, "an answer without objects");
    }
    it = yyjson_arr_iter_with(page);
    while ((pair = yyjson_arr_iter_next(&it))) {
        yyjson_val *object = yyjson_arr_get_first(pair), *mark = yyjson_arr_get(pair, 1);
        if (!yyjson_is_str(object) || !yyjson_is_str(mark)) {
            return gy_err_set(err, GY_E_PARSE, "an object is [name, mark]");
        }
        char *copy = gy_arena_strdup(&a->cli->arena, gy_str_c(yyjson_get_str(mark)));
        *ret_last = gy_arena_str(&a->cli->arena, gy_str_c(yyjson_get_str(object)));
        if (!copy || !ret_last->p) {
            return no_memory(err);
        }
        GY_TRY(gy_map_put(&a->before, *ret_last, copy, err));
    }
    return GY_OK;
}

static gy_status ask_objects(struct gy_cli_append *a, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    struct gy_str last = GY_STR("");
    gy_buf_init(&path, 64 * GY_KIB);
    for (bool more = true; more;) {
        GY_AUTO_DONE(gy_cli_answer_done) struct gy_cli_answer page = {.doc = NULL};
        gy_buf_reset(&path);
        gy_buf_addc(&path, BASE);
        gy_url_encode(&path, a->name, false);
        gy_buf_addc(&path, "/taken/objects?source=");
        gy_url_encode(&path, gy_str_c(a->source), false);
        gy_buf_addf(&path, "&limit=%d&after=", PAGE);
        gy_url_encode(&path, last, false);
        GY_TRY(gy_buf_check(&path, "a path", err));
        GY_TRY(gy_cli_ask(a->cli, "GET", path.p, GY_STR_NULL, &page, err));
        GY_TRY(take_page(a, gy_json_get(page.root, "objects"), &last, err));
        more = gy_json_bool(page.root, "more", false);
    }
    return GY_OK;
}

static gy_status ask_base(struct gy_cli_append *a, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf path;
    gy_buf_init(&path, 16 * GY_KIB);
    gy_buf_addc(&path, BASE);
    gy_url_encode(&path, a->name, false);
    gy_buf_addf(&path, "/versions/%lld", (long long)a->newest);
    GY_TRY(gy_buf_check(&path, "a path", err));
    GY_TRY(gy_cli_ask(a->cli, "GET", path.p, GY_STR_NULL, &a->of_base, err));
    GY_TRY(gy_json_need_str(a->of_base.root, "sha256", &a->base_sha256, err));
    GY_TRY(gy_json_need_i64(a->of_base.root, "rows", &a->base_rows, err));
    a->base = a->newest;
    return GY_OK;
}

static gy_status look(struct gy_cli_append *a, const struct gy_cli_append_options *o,
                      struct gy_err *err)
{
    GY_TRY(ask_state(a, err));
    GY_TRY(check_state(a, o, err));
    if (a->restart) {
        return GY_OK;
    }
    if (a->from_version > 0) {
        GY_TRY(ask_objects(a, err));
    }
    return a->newest > 0 ? ask_base(a, err) : GY_OK;
}

gy_status gy_cli_append_open(struct gy_cli *cli, const struct gy_cli_append_options *o,
                             struct gy_str name, const char *source, struct gy_cli_append *ret,
                             struct gy_err *err)
{
    *ret = (struct gy_cli_append){
        .on = true, .cli = cli, .name = name, .restart = o->restart, .source = source, .fd = -1};
    gy_map_init(&ret->before, MAX_BEFORE);
    if (strlen(source) > GY_TAKEN_MAX_SOURCE) {
        return gy_err_set(err, GY_E_TOOBIG, "the source's name is too long");
    }
    return look(ret, o, err);
}

/* ---- the rows of the base ---- */

gy_status gy_cli_append_base(struct gy_cli_append *a, const char *folder,
                             struct gy_source_list *list, struct gy_err *err)
{
    struct gy_source *s = NULL;
    if (a->base == 0) {
        return GY_OK;
    }
    GY_TRY(gy_dir_make(folder, err));
    GY_TRY(gy_file_aside(folder, &a->fd, err));
    GY_TRY(gy_cli_dataset_get_fd(a->cli, a->base_sha256, a->fd, err));
    if (lseek(a->fd, 0, SEEK_SET) != 0) {
        return gy_err_sys(err, errno, "reading a dataset version back");
    }
    const char *name = gy_arena_printf(&a->cli->arena, "dataset:%" GY_STR_F "@%lld",
                                       GY_STR_A(a->name), (long long)a->base);
    if (!name) {
        return no_memory(err);
    }
    GY_TRY(gy_source_fd(a->fd, name, &s, err));
    s->format = GY_INGEST_CSV;
    return gy_source_list_add(list, s, err);
}

static void base_schema_text(const struct gy_cli_append *a, struct gy_buf *out)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_val(&w, gy_json_get(a->of_base.root, "schema"));
}

gy_status gy_cli_append_schema(const struct gy_cli_append *a, struct gy_schema **ret,
                               struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    gy_buf_init(&text, GY_MAX_YAML);
    base_schema_text(a, &text);
    GY_TRY(gy_buf_check(&text, "a schema", err));
    return gy_schema_parse(gy_buf_str(&text), "the version's schema", ret, err);
}

gy_status gy_cli_append_check_schema(const struct gy_cli_append *a, const struct gy_schema *s,
                                     struct gy_err *err)
{
    GY_AUTO(gy_schema_free) struct gy_schema *theirs = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf before, now;
    gy_buf_init(&before, GY_MAX_YAML);
    gy_buf_init(&now, GY_MAX_YAML);
    if (a->base == 0) {
        return GY_OK;
    }
    /* Through the same writer: an older program may have written it otherwise. */
    GY_TRY(gy_cli_append_schema(a, &theirs, err));
    gy_schema_json(theirs, &before);
    gy_schema_json(s, &now);
    GY_TRY(gy_buf_check(&before, "a schema", err));
    GY_TRY(gy_buf_check(&now, "a schema", err));
    if (gy_str_eq(gy_buf_str(&before), gy_buf_str(&now))) {
        return GY_OK;
    }
    (void)gy_err_set(err, GY_E_SCHEMA,
                     "the schema is not that of version %lld of '%" GY_STR_F
                     "', whose rows are appended to",
                     (long long)a->base, GY_STR_A(a->name));
    return gy_err_hint(err, "--restart reads all rows again by the new schema; `gyre data show` "
                            "tells the old one");
}

/* ---- what is taken now ---- */

/* *ret: the mark of an object that was taken before, NULL: it was not. What is kept of a name is
 * its digest: names of files may be those of persons, whom an erasure could not take out without
 * taking their file for a new one. */
static gy_status mark_before(const struct gy_cli_append *a, struct gy_str name, const char **ret,
                             struct gy_err *err)
{
    char digest[GY_SHA256_HEX];
    GY_TRY(gy_sha256_hex(name, digest, err));
    *ret = gy_map_get(&a->before, gy_str_c(digest));
    return GY_OK;
}

static gy_status note_now(struct gy_cli_append *a, struct gy_str object, struct gy_str mark,
                          struct gy_err *err)
{
    if (a->n_now == GY_TAKEN_MAX_OBJECTS) {
        (void)gy_err_set(err, GY_E_TOOBIG, "more than %d new files or objects at once",
                         GY_TAKEN_MAX_OBJECTS);
        return gy_err_hint(err, "take them in parts: by narrower prefixes or folders");
    }
    if (a->n_now == a->cap_now) {
        size_t cap = a->cap_now ? 2 * a->cap_now : 64;
        struct gy_taken_object *more = gy_reallocarray(a->now, cap, sizeof *more);
        if (!more) {
            return no_memory(err);
        }
        a->now = more;
        a->cap_now = cap;
    }
    char digest[GY_SHA256_HEX];
    GY_TRY(gy_sha256_hex(object, digest, err));
    struct gy_taken_object o = {gy_arena_str(&a->cli->arena, object),
                                gy_arena_str(&a->cli->arena, mark)};
    if (!o.object.p || !o.mark.p) {
        return no_memory(err);
    }
    a->now[a->n_now++] = o;
    /* Who names it twice means it once. */
    return gy_map_put(&a->before, gy_str_c(digest), (void *)(uintptr_t)o.mark.p, err);
}

static gy_status changed(struct gy_str object, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_CONFLICT,
                     "'%" GY_STR_F "' was taken before, and has another content now",
                     GY_STR_A(object));
    return gy_err_hint(err, "rows of it would come twice: put new rows into new files, or read all "
                            "again with --restart");
}

gy_status gy_cli_append_pick(struct gy_cli_append *a, struct gy_str object, struct gy_str mark,
                             bool *ret_take, struct gy_err *err)
{
    const char *before = NULL;
    GY_TRY(mark_before(a, object, &before, err));
    *ret_take = !before;
    if (before) {
        return gy_str_eqc(mark, before) ? GY_OK : changed(object, err);
    }
    return note_now(a, object, mark, err);
}

/* ---- files: the mark is "SIZE MTIME_NS SHA256" ---- */

static gy_status digest_file(const char *path, char ret[GY_SHA256_HEX], struct gy_err *err)
{
    GY_AUTO(gy_hash_free) struct gy_hash *h = NULL;
    GY_AUTO(gy_free) char *buf = gy_malloc(READ_BYTES);
    GY_TRY(gy_hash_new(GY_HASH_SHA256, &h, err));
    if (!buf) {
        return no_memory(err);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 || (n < 0 && fd >= 0 && errno == EINTR)) {
        n = read(fd, buf, READ_BYTES);
        gy_hash_add(h, gy_str_n(buf, n > 0 ? (size_t)n : 0));
    }
    gy_status status = n < 0 ? gy_err_sys(err, errno, "reading '%s'", path) : GY_OK;
    if (fd >= 0) {
        (void)close(fd); /* it was only read */
    }
    gy_hash_hex(h, ret);
    return status;
}

/* What a stat says: the first part of a mark. */
static gy_status stat_mark(const char *path, char out[64], struct gy_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return gy_err_sys(err, errno, "looking at '%s'", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return gy_err_set(err, GY_E_USAGE,
                          "'%s' is no regular file: what was taken of it can not "
                          "be told",
                          path);
    }
    (void)snprintf(out, 64, "%lld %lld", (long long)st.st_size,
                   (long long)st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec);
    return GY_OK;
}

static gy_status pick_file(struct gy_cli_append *a, const char *path, bool *ret_take,
                           struct gy_err *err)
{
    char real[PATH_MAX], quick[64], digest[GY_SHA256_HEX], mark[64 + GY_SHA256_HEX + 1];
    if (!realpath(path, real)) {
        return gy_err_sys(err, errno, "looking at '%s'", path);
    }
    struct gy_str object = gy_str_c(real);
    const char *before = NULL;
    GY_TRY(stat_mark(real, quick, err));
    GY_TRY(mark_before(a, object, &before, err));
    *ret_take = !before;
    struct gy_str same = gy_str_c(before);
    if (before && gy_str_starts(same, gy_str_c(quick)) && same.p[strlen(quick)] == ' ') {
        return GY_OK;
    }
    GY_TRY(digest_file(real, digest, err));
    if (before) { /* only touched? */
        return gy_str_ends(same, gy_str_c(digest)) ? GY_OK : changed(object, err);
    }
    (void)snprintf(mark, sizeof mark, "%s %s", quick, digest);
    return note_now(a, object, gy_str_c(mark), err);
}

gy_status gy_cli_append_files(struct gy_cli_append *a, struct gy_source_list *list,
                              struct gy_err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        bool take = false;
        struct gy_source *s = list->items[i];
        GY_TRY(s->folder ? pick_file(a, s->name, &take, err)
                         : gy_err_set(err, GY_E_USAGE,
                                      "what was taken of '%s' can not be told: files are wanted",
                                      s->name));
        list->items[i] = list->items[kept]; /* those left out go to the end */
        list->items[kept] = s;
        kept += take ? 1 : 0;
    }
    while (list->n > kept) {
        gy_source_free(list->items[--list->n]);
    }
    return GY_OK;
}

gy_status gy_cli_append_files_check(const struct gy_cli_append *a, struct gy_err *err)
{
    for (size_t i = 0; i < a->n_now; i++) {
        char quick[64];
        GY_TRY(stat_mark(a->now[i].object.p, quick, err));
        if (!gy_str_starts(a->now[i].mark, gy_str_c(quick))) {
            return gy_err_set(err, GY_E_CONFLICT, "'%s' changed while it was read",
                              a->now[i].object.p);
        }
    }
    return GY_OK;
}

/* ---- what the version tells ---- */

gy_status gy_cli_append_taken(const struct gy_cli_append *a, struct gy_str watermark,
                              struct gy_buf *out, struct gy_err *err)
{
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "source", a->source);
    gy_jw_kv_i64(&w, "newest", a->newest);
    gy_jw_kv_bool(&w, "restart", a->restart);
    gy_jw_key(&w, "from");
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "version", a->from_version);
    gy_jw_kv_str(&w, "watermark", a->from_watermark);
    gy_jw_obj_end(&w);
    gy_jw_kv_str(&w, "watermark", watermark);
    gy_jw_key(&w, "objects");
    gy_jw_arr(&w);
    for (size_t i = 0; i < a->n_now; i++) {
        char digest[GY_SHA256_HEX];
        GY_TRY(gy_sha256_hex(a->now[i].object, digest, err));
        gy_jw_arr(&w);
        gy_jw_strc(&w, digest);
        gy_jw_str(&w, a->now[i].mark);
        gy_jw_arr_end(&w);
    }
    gy_jw_arr_end(&w);
    gy_jw_obj_end(&w);
    return gy_buf_check(out, "what was taken", err);
}
