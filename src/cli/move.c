/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources share (cli/move.h): the report, and places of artifacts on this machine. */
#include "cli/move.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/file.h"
#include "base/limits.h"

/* ---- the report ---- */

void gy_move_report_init(struct gy_move_report *r)
{
    *r = (struct gy_move_report){.n_rejected = 0};
    gy_arena_init(&r->arena, 64 * GY_MIB);
    r->rejected = gy_arena_calloc(&r->arena, GY_MOVE_MAX_LISTED, sizeof *r->rejected);
    r->notes = gy_arena_calloc(&r->arena, GY_MOVE_MAX_LISTED, sizeof *r->notes);
}

void gy_move_report_done(struct gy_move_report *r)
{
    gy_arena_done(&r->arena);
}

void gy_move_reject(struct gy_move_report *r, const char *where, const char *error)
{
    r->n_rejected++;
    if (r->rejected && r->n_listed < GY_MOVE_MAX_LISTED) {
        char *w = gy_arena_strdup(&r->arena, gy_str_c(where));
        char *e = gy_arena_strdup(&r->arena, gy_str_c(error));
        if (w && e) { /* else it is counted, though not named */
            r->rejected[r->n_listed++] = (struct gy_move_rejected){w, e};
        }
    }
}

void gy_move_note(struct gy_move_report *r, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (size_t i = 0; i < r->n_notes; i++) {
        if (strcmp(r->notes[i], text) == 0) {
            return;
        }
    }
    char *kept = gy_arena_strdup(&r->arena, gy_str_c(text));
    if (kept && r->notes && r->n_notes < GY_MOVE_MAX_LISTED) {
        r->notes[r->n_notes++] = kept;
    }
}

void gy_move_source_close(struct gy_move_source *s)
{
    if (s->ops) {
        s->ops->free(s->self);
        s->ops = NULL;
    }
}

/* ---- times ---- */

int64_t gy_move_us(int64_t ms)
{
    const int64_t most = INT64_MAX / 1000;
    return (ms > most ? most : ms < -most ? -most : ms) * 1000;
}

/* ---- places ---- */

struct gy_str gy_move_plain(struct gy_str uri)
{
    if (gy_str_starts(uri, GY_STR("file:"))) {
        uri = gy_str_sub(uri, 5, SIZE_MAX);
    }
    while (gy_str_starts(uri, GY_STR("//"))) {
        uri = gy_str_sub(uri, 1, SIZE_MAX);
    }
    while (uri.n > 1 && uri.p[uri.n - 1] == '/') {
        uri.n--;
    }
    return uri;
}

/* dir + "/" + tail (decode: %-escapes of a file URI); false: too long, or it holds a NUL. */
static bool place_at(const char *dir, struct gy_str tail, bool decode, char out[GY_MAX_PATH])
{
    size_t n = 0;
    for (; dir && dir[n] && n + 2 < GY_MAX_PATH; n++) {
        out[n] = dir[n];
    }
    if (dir) {
        out[n++] = '/';
    }
    for (size_t i = 0; i < tail.n; i++) {
        char c = tail.p[i];
        if (decode && c == '%' && i + 2 < tail.n && gy_hex_digit(tail.p[i + 1]) >= 0 &&
            gy_hex_digit(tail.p[i + 2]) >= 0) {
            c = (char)(gy_hex_digit(tail.p[i + 1]) * 16 + gy_hex_digit(tail.p[i + 2]));
            i += 2;
        }
        if (c == '\0' || n + 1 >= GY_MAX_PATH) {
            return false;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0;
}

bool gy_move_local(struct gy_str uri, const char *base, const char *root, char out[GY_MAX_PATH])
{
    static const char proxied[] = "mlflow-artifacts:";
    if (gy_str_starts(uri, GY_STR("file:"))) {
        struct gy_str path = gy_str_sub(uri, 5, SIZE_MAX);
        if (gy_str_starts(path, GY_STR("//")) && !gy_str_starts(path, GY_STR("///"))) {
            size_t slash = gy_str_find(gy_str_sub(path, 2, SIZE_MAX), '/'); /* file://host/a */
            path = slash == SIZE_MAX ? GY_STR_NULL : gy_str_sub(path, 2 + slash, SIZE_MAX);
        }
        return path.n > 0 && path.p[0] == '/' && place_at(NULL, gy_move_plain(path), true, out);
    }
    if (gy_str_starts(uri, GY_STR("mlflow-artifacts:"))) {
        struct gy_str rest = gy_str_sub(uri, sizeof proxied - 1, SIZE_MAX);
        if (gy_str_starts(rest, GY_STR("//"))) {
            size_t slash = gy_str_find(gy_str_sub(rest, 2, SIZE_MAX), '/');
            rest = slash == SIZE_MAX ? GY_STR("") : gy_str_sub(rest, 2 + slash, SIZE_MAX);
        }
        while (rest.n > 0 && rest.p[0] == '/') {
            rest = gy_str_sub(rest, 1, SIZE_MAX);
        }
        return root && gy_path_check_relative(rest, NULL) == GY_OK &&
               place_at(root, rest, false, out);
    }
    size_t colon = gy_str_find(uri, ':');
    if (uri.n == 0 || (colon != SIZE_MAX && gy_str_find(uri, '/') > colon)) {
        return false; /* another scheme */
    }
    return place_at(uri.p[0] == '/' ? NULL : base, uri, false, out);
}

/* ---- files below a folder ---- */

enum { MAX_DEPTH = 64 };

struct walk {
    struct gy_move_report *report;
    gy_move_file_fn fn;
    void *ctx;
    char dir[GY_MAX_PATH], path[GY_MAX_PATH]; /* where it is, and its name so far with a slash */
    size_t depth;
};

static gy_status walk_entry(void *ctx, const char *name, bool is_dir, struct gy_err *err)
{
    struct walk *w = ctx;
    struct stat st;
    char full[GY_MAX_PATH], path[GY_MAX_PATH], dir[GY_MAX_PATH], outer[GY_MAX_PATH];
    GY_TRY(gy_path_join(full, sizeof full, w->dir, name, err));
    int n = snprintf(path, sizeof path, "%s%s", w->path, name);
    if (n < 0 || (size_t)n + 2 > sizeof path || w->depth >= MAX_DEPTH) {
        gy_move_reject(w->report, full, "the path of the artifact is too long");
        return GY_OK;
    }
    if (lstat(full, &st) != 0) {
        gy_move_reject(w->report, full, strerror(errno));
        return GY_OK;
    }
    if (!is_dir) {
        if (S_ISREG(st.st_mode)) {
            return w->fn(w->ctx, gy_str_c(path), (int64_t)st.st_size, err);
        }
        gy_move_reject(w->report, full, "a link or a special file is no artifact");
        return GY_OK;
    }
    (void)snprintf(dir, sizeof dir, "%s", w->dir);
    (void)snprintf(outer, sizeof outer, "%s", w->path);
    (void)snprintf(w->dir, sizeof w->dir, "%s", full);
    (void)snprintf(w->path, sizeof w->path, "%s/", path);
    w->depth++;
    gy_status status = gy_dir_each(full, walk_entry, w, err);
    w->depth--;
    (void)snprintf(w->dir, sizeof w->dir, "%s", dir);
    (void)snprintf(w->path, sizeof w->path, "%s", outer);
    return status;
}

gy_status gy_move_walk(const char *dir, struct gy_move_report *report, gy_move_file_fn fn,
                       void *ctx, struct gy_err *err)
{
    struct walk w = {.report = report, .fn = fn, .ctx = ctx};
    if (!gy_path_is_dir(dir)) {
        return GY_OK;
    }
    (void)snprintf(w.dir, sizeof w.dir, "%s", dir);
    return gy_dir_each(dir, walk_entry, &w, err);
}
