/* SPDX-License-Identifier: Apache-2.0 */
/* What a batch writes: the answers beside their place, the dead letters, and how far both are. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/time.h"
#include "data/duck.h"
#include "flow/batch_internal.h"

#define SAVE_NS 1000000000 /* how often what is there is made durable, at most */

static gy_status name_of(const char *base, const char *end, char out[GY_MAX_PATH],
                         struct gy_err *err)
{
    int n = snprintf(out, GY_MAX_PATH, "%s%s", base, end);
    return n > 0 && n < GY_MAX_PATH ? GY_OK : gy_err_set(err, GY_E_TOOBIG, "the path is too long");
}

/* What a resumed run must have in common with the one that was killed. */
static void describe(struct batch_files *f)
{
    const struct gy_batch_options *o = f->o;
    struct stat s = {0};
    struct gy_str digest = o->predictor ? gy_predictor_info(o->predictor)->digest : GY_STR_NULL;
    (void)stat(o->source->name, &s); /* what is no file has no size */
    (void)snprintf(f->who, sizeof f->who, "%lld %lld.%09ld %d %.*s%.64s %d", (long long)s.st_size,
                   (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec, (int)o->format,
                   (int)(digest.n < 64 ? digest.n : 64), digest.p ? digest.p : "",
                   o->endpoint ? o->endpoint : "", o->logged);
}

static gy_status open_part(const char *path, bool keep, int *ret, struct gy_err *err)
{
    *ret = open(path, O_RDWR | O_CREAT | O_CLOEXEC | (keep ? 0 : O_TRUNC), 0666);
    return *ret < 0 ? gy_err_sys(err, errno, "'%s'", path) : GY_OK;
}

/* ---- how far it is ---- */

struct counter {
    const char *name;
    size_t offset;
};
static const struct counter counters[] = {
    {"rows", offsetof(struct gy_batch_result, rows)},
    {"predicted", offsetof(struct gy_batch_result, predicted)},
    {"dead", offsetof(struct gy_batch_result, dead)},
    {"positive", offsetof(struct gy_batch_result, positive)},
    {"unseen", offsetof(struct gy_batch_result, unseen)},
    {"first_dead", offsetof(struct gy_batch_result, first_dead)},
    {"first_unseen", offsetof(struct gy_batch_result, first_unseen)},
};
#define N_COUNTERS (sizeof counters / sizeof counters[0])

static int64_t *counter_of(struct gy_batch_result *r, size_t i)
{
    return (int64_t *)(void *)((char *)r + counters[i].offset);
}

static gy_status save(struct batch_files *f, const struct gy_batch_result *result,
                      struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf text;
    struct gy_batch_result r = *result;
    struct gy_jw w;
    if (fdatasync(f->out) != 0 || fdatasync(f->dead) != 0) {
        return gy_err_sys(err, errno, "syncing '%s'", f->part);
    }
    gy_buf_init(&text, 64 * GY_KIB);
    gy_jw_init(&w, &text);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "of", f->who);
    gy_jw_kv_strc(&w, "time", f->run_time);
    gy_jw_kv_i64(&w, "blocks", f->blocks);
    gy_jw_kv_i64(&w, "out_bytes", f->out_bytes);
    gy_jw_kv_i64(&w, "dead_bytes", f->dead_bytes);
    for (size_t i = 0; i < N_COUNTERS; i++) {
        gy_jw_kv_i64(&w, counters[i].name, *counter_of(&r, i));
    }
    gy_jw_kv_strc(&w, "why", r.why);
    gy_jw_kv_strc(&w, "unseen_what", r.unseen_what);
    gy_jw_obj_end(&w);
    GY_TRY(gy_buf_check(&text, "how far the batch is", err));
    f->saved_ns = gy_mono_ns();
    return gy_file_write(f->state, gy_buf_str(&text), 0666, err);
}

static void copy_text(struct gy_str from, char *to, size_t size)
{
    size_t n = from.n < size - 1 ? from.n : size - 1;
    memcpy(to, from.p ? from.p : "", n);
    to[n] = '\0';
}

/* *ret: there is a run to go on with. */
static gy_status load(struct batch_files *f, struct gy_batch_result *result, bool *ret,
                      struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    *ret = false;
    if (!gy_path_exists(f->state)) {
        return GY_OK;
    }
    GY_TRY(gy_json_read_file(f->state, 64 * GY_KIB, &doc, err));
    yyjson_val *v = yyjson_doc_get_root(doc);
    if (!gy_str_eqc(gy_json_str(v, "of"), f->who)) {
        gy_err_set(err, GY_E_CONFLICT, "'%s' was begun with another input, model or format",
                   f->part);
        return gy_err_hint(err, "without --resume it is begun anew");
    }
    f->blocks = gy_json_i64(v, "blocks", 0);
    f->out_bytes = gy_json_i64(v, "out_bytes", 0);
    f->dead_bytes = gy_json_i64(v, "dead_bytes", 0);
    for (size_t i = 0; i < N_COUNTERS; i++) {
        *counter_of(result, i) = gy_json_i64(v, counters[i].name, 0);
    }
    copy_text(gy_json_str(v, "why"), result->why, sizeof result->why);
    copy_text(gy_json_str(v, "unseen_what"), result->unseen_what, sizeof result->unseen_what);
    copy_text(gy_json_str(v, "time"), f->run_time, sizeof f->run_time);
    result->resumed = result->rows;
    *ret = true;
    return GY_OK;
}

/* What was written after the state was saved is written again. */
static gy_status cut(struct batch_files *f, struct gy_err *err)
{
    if (gy_file_size(f->part) < f->out_bytes || gy_file_size(f->dead_part) < f->dead_bytes) {
        gy_err_set(err, GY_E_CORRUPT, "'%s' is shorter than its state says", f->part);
        return gy_err_hint(err, "without --resume it is begun anew");
    }
    if (ftruncate(f->out, f->out_bytes) != 0 || ftruncate(f->dead, f->dead_bytes) != 0 ||
        lseek(f->out, 0, SEEK_END) < 0 || lseek(f->dead, 0, SEEK_END) < 0) {
        return gy_err_sys(err, errno, "'%s'", f->part);
    }
    return GY_OK;
}

/* ---- open, add, end ---- */

gy_status gy_batch_files_open(struct batch_files *f, const struct gy_batch_options *o,
                              struct gy_batch_result *result, struct gy_err *err)
{
    bool keep = false;
    *f = (struct batch_files){.o = o, .out = -1, .dead = -1, .saved_ns = gy_mono_ns()};
    (void)gy_time_iso(gy_now_us(), f->run_time);
    describe(f);
    if (o->dead_letter) {
        GY_TRY(name_of(o->dead_letter, "", result->dead_path, err));
    } else {
        GY_TRY(name_of(o->out ? o->out : "predict", ".dead.jsonl", result->dead_path, err));
    }
    GY_TRY(name_of(result->dead_path, ".part", f->dead_part, err));
    GY_TRY(gy_dir_make_for(result->dead_path, err));
    if (!o->out) {
        f->out = STDOUT_FILENO;
        return open_part(f->dead_part, false, &f->dead, err);
    }
    GY_TRY(name_of(o->out, ".part", f->part, err));
    GY_TRY(name_of(f->part, ".state", f->state, err));
    GY_TRY(gy_dir_make_for(o->out, err));
    if (o->resume) {
        GY_TRY(load(f, result, &keep, err));
    } else {
        (void)unlink(f->state); /* of a run that nobody goes on with */
    }
    GY_TRY(open_part(f->part, keep, &f->out, err));
    GY_TRY(open_part(f->dead_part, keep, &f->dead, err));
    return keep ? cut(f, err) : GY_OK;
}

gy_status gy_batch_files_head(struct batch_files *f, struct gy_str line, struct gy_err *err)
{
    f->out_bytes += (int64_t)line.n;
    return gy_fd_write(f->out, f->o->out ? f->part : "standard output", line, err);
}

gy_status gy_batch_files_add(struct batch_files *f, const struct batch_block *b,
                             const struct gy_batch_result *result, struct gy_err *err)
{
    GY_TRY(gy_batch_files_head(f, gy_buf_str(&b->out), err));
    GY_TRY(gy_fd_write(f->dead, f->dead_part, gy_buf_str(&b->dead), err));
    f->dead_bytes += (int64_t)b->dead.n;
    f->blocks++;
    return f->o->out && gy_mono_ns() - f->saved_ns > SAVE_NS ? save(f, result, err) : GY_OK;
}

/* The table of answers as Parquet, in its order. */
static gy_status to_parquet(const struct batch_files *f, const char *to, struct gy_err *err)
{
    const struct gy_duck_options options = {.files = true};
    GY_AUTO(gy_duck_free) struct gy_duck *d = NULL;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf sql;
    gy_buf_init(&sql, GY_DUCK_MAX_SQL);
    gy_buf_addc(&sql, "COPY (SELECT * FROM read_csv(");
    gy_duck_quote(&sql, gy_str_c(f->part));
    gy_buf_addc(&sql, ", header = true, delim = ',', quote = '\"', escape = '\"', "
                      "sample_size = -1)) TO ");
    gy_duck_quote(&sql, gy_str_c(to));
    gy_buf_addc(&sql, " (FORMAT parquet)");
    GY_TRY(gy_buf_check(&sql, "a statement", err));
    GY_TRY(gy_duck_open(&options, &d, err));
    return gy_duck_run(d, gy_buf_str(&sql), err);
}

static gy_status give_name(const char *from, const char *to, int fd, struct gy_err *err)
{
    if (fsync(fd) != 0 || rename(from, to) != 0) {
        return gy_err_sys(err, errno, "'%s'", to);
    }
    return GY_OK;
}

static gy_status end_parquet(struct batch_files *f, struct gy_err *err)
{
    char path[GY_MAX_PATH];
    int fd = -1;
    GY_TRY(name_of(f->part, ".parquet", path, err));
    GY_TRY(to_parquet(f, path, err));
    GY_TRY(open_part(path, true, &fd, err));
    gy_status status = give_name(path, f->o->out, fd, err);
    (void)close(fd);
    (void)unlink(f->part); /* the answers are in the other one */
    return status;
}

gy_status gy_batch_files_end(struct batch_files *f, const struct gy_batch_result *result,
                             struct gy_err *err)
{
    if (result->dead > 0) {
        GY_TRY(give_name(f->dead_part, result->dead_path, f->dead, err));
    } else {
        (void)unlink(f->dead_part); /* letters of an earlier run are not of this one */
        (void)unlink(result->dead_path);
    }
    if (!f->o->out) {
        return GY_OK;
    }
    GY_TRY(f->o->format == GY_BATCH_PARQUET ? end_parquet(f, err)
                                            : give_name(f->part, f->o->out, f->out, err));
    (void)unlink(f->state); /* there is nothing to go on with */
    return GY_OK;
}

void gy_batch_files_close(struct batch_files *f)
{
    if (f->o && f->o->out && f->out >= 0) {
        (void)close(f->out);
    }
    if (f->dead >= 0) {
        (void)close(f->dead);
    }
}
