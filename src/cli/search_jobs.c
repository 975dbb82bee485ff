/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/search_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"

#define CHILD "GYRE_SEARCH_CHILD"
#define MAX_LINE (64 * GY_KIB)
#define MAX_WORDS 1024
#define MAX_COMMAND (256 * GY_KIB)
#define END_MS 2000 /* for a child to end by itself */

struct job {
    struct gy_proc proc;
    int to, from;          /* pipes; -1: not running */
    struct gy_buf read;    /* what came and is no whole line yet */
    struct gy_trial *busy; /* NULL: idle */
    size_t sent_rung;
};

struct gy_search_jobs {
    struct gy_cli *cli;
    const struct gy_metrics *names;
    const char *argv[MAX_WORDS];
    struct gy_buf command;
    struct job jobs[GY_SEARCH_MAX_JOBS];
    size_t n;
    uint8_t owner[GY_SEARCH_MAX_TRIALS + 1]; /* 1 + job that holds a trial, by its number */
};

/* ---- lines ---- */

static gy_status write_all(int fd, struct gy_str s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno != EINTR) {
            return GY_E_IO;
        }
        s = n > 0 ? gy_str_sub(s, (size_t)n, s.n) : s;
    }
    return GY_OK;
}

/* The next line of fd, kept in `read` until it is taken off; *ret_ended at its end. */
static gy_status next_line(int fd, struct gy_buf *read_so_far, struct gy_str *ret, bool *ret_ended,
                           struct gy_err *err)
{
    *ret = GY_STR_NULL;
    *ret_ended = false;
    for (;;) {
        struct gy_str rest;
        struct gy_str all = gy_buf_str(read_so_far);
        if (gy_str_find(all, '\n') != SIZE_MAX) {
            (void)gy_str_cut(all, '\n', ret, &rest);
            return GY_OK;
        }
        char bytes[4096];
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            *ret_ended = true;
            return GY_OK;
        }
        gy_buf_add_bytes(read_so_far, bytes, (size_t)n);
        GY_TRY(gy_buf_check(read_so_far, "a line", err));
    }
}

/* Take the first line off. */
static void drop_line(struct gy_buf *b)
{
    gy_buf_drop_front(b, gy_str_find(gy_buf_str(b), '\n') + 1);
}

/* ---- the child ---- */

bool gy_search_jobs_child(void)
{
    return getenv(CHILD) != NULL;
}

struct child {
    struct gy_bench *bench;
    struct gy_arena arena; /* the keys of settings */
    struct gy_trial trials[GY_SEARCH_BATCH];
    bool used[GY_SEARCH_BATCH];
};

static struct gy_trial *begin_trial(struct child *c, size_t slot, yyjson_val *work)
{
    struct gy_trial *t = &c->trials[slot];
    struct gy_str learner = gy_json_str(work, "learner");
    size_t i, max;
    yyjson_val *key, *value;
    *t = (struct gy_trial){.number = (size_t)gy_json_i64(work, "trial", 0)};
    c->used[slot] = true;
    if (gy_learner_parse(learner, &t->learner, NULL) != GY_OK) {
        return NULL;
    }
    yyjson_obj_foreach(gy_json_get(work, "settings"), i, max, key, value)
    {
        struct gy_trial_setting *s = &t->settings[t->n_settings];
        struct gy_str text = gy_json_val_str(value);
        s->key = gy_arena_strdup(&c->arena, gy_json_val_str(key));
        if (!s->key || ++t->n_settings == GY_TRIAL_MAX_SETTINGS) {
            return NULL;
        }
        (void)snprintf(s->value, sizeof s->value, "%.*s", (int)text.n, text.p);
    }
    return t;
}

static struct gy_trial *trial_of(struct child *c, yyjson_val *work, size_t *ret_slot)
{
    size_t number = (size_t)gy_json_i64(work, "trial", 0);
    size_t empty = GY_SEARCH_BATCH;
    for (size_t i = 0; i < GY_SEARCH_BATCH; i++) {
        *ret_slot = i;
        if (c->used[i] && c->trials[i].number == number) {
            return &c->trials[i];
        }
        empty = c->used[i] ? empty : i;
    }
    *ret_slot = empty;
    return empty < GY_SEARCH_BATCH ? begin_trial(c, empty, work) : NULL;
}

static gy_status answer(const struct gy_trial *t, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    struct gy_jw w;
    gy_buf_init(&line, MAX_LINE);
    gy_jw_init(&w, &line);
    gy_jw_obj(&w);
    gy_trial_write(&w, t);
    gy_jw_obj_end(&w);
    gy_buf_add_char(&line, '\n');
    GY_TRY(gy_buf_check(&line, "an answer", err));
    return write_all(STDOUT_FILENO, gy_buf_str(&line)) == GY_OK
               ? GY_OK
               : gy_err_set(err, GY_E_IO, "whoever searches is gone");
}

static gy_status do_piece(struct child *c, struct gy_str line, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    size_t slot = 0;
    GY_TRY(gy_json_parse(line, &doc, err));
    yyjson_val *work = yyjson_doc_get_root(doc);
    struct gy_trial *t = trial_of(c, work, &slot);
    size_t rung = (size_t)gy_json_i64(work, "rung", 0);
    if (!t || rung > GY_SEARCH_RUNGS) {
        return gy_err_set(err, GY_E_INVALID, "a piece of work can not be read");
    }
    if (rung == GY_SEARCH_RUNGS && !t->begun) { /* its process died: measured anew first */
        int64_t n = gy_json_i64(work, "rungs", 1);
        GY_TRY(gy_bench_run(c->bench, t, n > 1 ? (size_t)n - 1 : 0, 0, err));
    }
    if (rung < GY_SEARCH_RUNGS || t->ok) {
        GY_TRY(gy_bench_run(c->bench, t, rung, gy_json_i64(work, "deadline_ns", 0), err));
    }
    GY_TRY(answer(t, err));
    c->used[slot] = t->begun && (t->ok || !t->whole) && rung < GY_SEARCH_RUNGS;
    return GY_OK;
}

gy_status gy_search_jobs_work(const struct gy_table *t, const struct gy_train_params *base,
                              const struct gy_search_options *o, struct gy_err *err)
{
    GY_AUTO_DONE(gy_search_done) struct gy_search about = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf in;
    GY_AUTO(gy_free) char *room = gy_calloc(1, sizeof(struct child));
    struct child *c = (struct child *)(void *)room;
    bool ended = false;
    /* Nobody wants the numbers of a child whose parent is gone. Gone already: stdin has ended. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    gy_buf_init(&in, MAX_LINE);
    gy_arena_init(&about.arena, 64 * GY_MIB);
    if (!c) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a search");
    }
    gy_arena_init(&c->arena, 16 * GY_MIB);
    gy_status status = gy_bench_open(t, base, o, &about, &c->bench, err);
    while (status == GY_OK && !ended) {
        struct gy_str line;
        status = next_line(STDIN_FILENO, &in, &line, &ended, err);
        if (status == GY_OK && !ended) {
            status = do_piece(c, line, err);
            drop_line(&in);
        }
    }
    gy_bench_free(c->bench);
    gy_arena_done(&c->arena);
    return status;
}

/* ---- the parent ---- */

static gy_status open_pipe(int fds[2], struct gy_err *err)
{
    return pipe2(fds, O_CLOEXEC) == 0 ? GY_OK : gy_err_sys(err, errno, "a pipe");
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

static gy_status start_job(struct gy_search_jobs *j, struct job *job, struct gy_err *err)
{
    static const char *const env[] = {CHILD "=1", "OMP_WAIT_POLICY=passive", NULL};
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    gy_status status = open_pipe(in, err);
    if (status == GY_OK) {
        status = open_pipe(out, err);
    }
    if (status == GY_OK) {
        const struct gy_proc_options o = {.argv = j->argv,
                                          .env_add = env,
                                          .stdin_fd = in[0],
                                          .stdout_fd = out[1],
                                          .stderr_fd = -1};
        status = gy_proc_start(&o, &job->proc, err);
    }
    close_fd(&in[0]);
    close_fd(&out[1]);
    if (status != GY_OK) {
        close_fd(&in[1]);
        close_fd(&out[0]);
        return status;
    }
    job->to = in[1];
    job->from = out[0];
    gy_buf_reset(&job->read);
    return GY_OK;
}

static int end_job(struct job *job)
{
    int code = 0;
    bool ended = false;
    close_fd(&job->to);
    close_fd(&job->from);
    if (job->proc.pid > 0) {
        if (gy_proc_wait_ms(&job->proc, END_MS, &ended, &code, NULL) != GY_OK || !ended) {
            gy_proc_kill(&job->proc, SIGKILL);
            GY_IGNORE(gy_proc_wait(&job->proc, &code, NULL)); /* it was killed: there is nothing
                                                                 else to do about it */
        }
        job->proc.pid = 0;
    }
    return code;
}

/* The command line of this process, with the absolute path of the program. */
static gy_status own_command(struct gy_search_jobs *j, struct gy_err *err)
{
    size_t n = 0;
    gy_buf_init(&j->command, MAX_COMMAND);
    GY_TRY(gy_file_read("/proc/self/cmdline", &j->command, err));
    for (size_t at = 0; at < j->command.n && n + 1 < MAX_WORDS;) {
        j->argv[n++] = j->command.p + at;
        at += strlen(j->command.p + at) + 1;
    }
    j->argv[0] = j->cli->program;
    return n > 1 ? GY_OK : gy_err_set(err, GY_E_FAILED, "the own command line is not known");
}

gy_status gy_search_jobs_start(struct gy_cli *cli, size_t n, const struct gy_metrics *names,
                               struct gy_search_jobs **ret, struct gy_err *err)
{
    struct gy_search_jobs *j = gy_calloc(1, sizeof *j);
    if (!j) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for a search");
    }
    j->cli = cli;
    j->names = names;
    j->n = n;
    for (size_t i = 0; i < GY_SEARCH_MAX_JOBS; i++) {
        j->jobs[i].to = j->jobs[i].from = -1;
        gy_buf_init(&j->jobs[i].read, MAX_LINE);
    }
    gy_status status = own_command(j, err);
    for (size_t i = 0; i < n && status == GY_OK; i++) {
        status = start_job(j, &j->jobs[i], err);
    }
    if (status != GY_OK) {
        gy_search_jobs_free(j);
        return status;
    }
    *ret = j;
    return GY_OK;
}

static gy_status send(struct job *job, struct gy_trial *t, size_t rung, int64_t deadline_ns,
                      struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    struct gy_jw w;
    gy_buf_init(&line, MAX_LINE);
    gy_jw_init(&w, &line);
    gy_jw_obj(&w);
    gy_jw_kv_i64(&w, "trial", (int64_t)t->number);
    gy_jw_kv_i64(&w, "rung", (int64_t)rung);
    gy_jw_kv_i64(&w, "rungs", (int64_t)t->n_rungs);
    gy_jw_kv_i64(&w, "deadline_ns", deadline_ns);
    gy_jw_kv_strc(&w, "learner", gy_learner_name(t->learner));
    gy_jw_key(&w, "settings");
    gy_jw_obj(&w);
    for (size_t i = 0; i < t->n_settings; i++) {
        gy_jw_kv_strc(&w, t->settings[i].key, t->settings[i].value);
    }
    gy_jw_obj_end(&w);
    gy_jw_obj_end(&w);
    gy_buf_add_char(&line, '\n');
    GY_TRY(gy_buf_check(&line, "a piece of work", err));
    job->busy = t;
    GY_IGNORE(write_all(job->to, gy_buf_str(&line))); /* a dead child is seen when it is read */
    return GY_OK;
}

/* The next trial of the list that this job may take: its own, or one that nobody holds. */
static gy_status feed(struct gy_search_jobs *j, size_t k, struct gy_trial *const *in, size_t n,
                      bool *given, size_t rung, int64_t deadline_ns, struct gy_err *err)
{
    for (size_t i = 0; i < n && !j->jobs[k].busy; i++) {
        uint8_t *owner = &j->owner[in[i]->number];
        if (!given[i] && (*owner == 0 || *owner == k + 1)) {
            given[i] = true;
            *owner = (uint8_t)(k + 1);
            GY_TRY(send(&j->jobs[k], in[i], rung, deadline_ns, err));
        }
    }
    return GY_OK;
}

/* It died: its trial failed, what else it held is begun anew by whoever comes first. */
static gy_status bury(struct gy_search_jobs *j, size_t k, struct gy_err *err)
{
    struct job *job = &j->jobs[k];
    struct gy_trial *t = job->busy;
    int code = end_job(job);
    t->begun = t->whole = true;
    t->ok = false;
    t->score = t->loss = NAN;
    t->metrics.n = 0;
    (void)snprintf(t->error, sizeof t->error, "the process that measured it ended (code %d)", code);
    for (size_t i = 0; i <= GY_SEARCH_MAX_TRIALS; i++) {
        j->owner[i] = j->owner[i] == k + 1 ? 0 : j->owner[i];
    }
    return start_job(j, job, err);
}

/* One answer of a child. */
static gy_status take(struct gy_search_jobs *j, size_t k, struct gy_trial **ret, struct gy_err *err)
{
    struct job *job = &j->jobs[k];
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    struct gy_str line;
    bool ended = false;
    *ret = job->busy;
    GY_TRY(next_line(job->from, &job->read, &line, &ended, err));
    if (ended) {
        GY_TRY(bury(j, k, err));
    } else {
        GY_TRY(gy_json_parse(line, &doc, err));
        GY_TRY(gy_trial_read(yyjson_doc_get_root(doc), j->names, *ret, err));
        drop_line(&job->read);
    }
    job->busy = NULL;
    return GY_OK;
}

static gy_status wait_any(struct gy_search_jobs *j, struct pollfd *polled, struct gy_err *err)
{
    for (size_t k = 0; k < j->n; k++) {
        polled[k] = (struct pollfd){.fd = j->jobs[k].busy ? j->jobs[k].from : -1, .events = POLLIN};
    }
    while (poll(polled, j->n, -1) < 0) {
        if (errno != EINTR) {
            return gy_err_sys(err, errno, "waiting for the trials");
        }
    }
    return GY_OK;
}

gy_status gy_search_jobs_run(void *ctx, struct gy_trial *const *in, size_t n, size_t rung,
                             int64_t deadline_ns, void (*done)(void *done_ctx, struct gy_trial *t),
                             void *done_ctx, struct gy_err *err)
{
    struct gy_search_jobs *j = ctx;
    struct pollfd polled[GY_SEARCH_MAX_JOBS];
    bool given[GY_SEARCH_BATCH] = {false};
    for (size_t ended = 0; ended < n;) {
        for (size_t k = 0; k < j->n; k++) {
            GY_TRY(feed(j, k, in, n, given, rung, deadline_ns, err));
        }
        GY_TRY(wait_any(j, polled, err));
        for (size_t k = 0; k < j->n; k++) {
            struct gy_trial *t = NULL;
            if (j->jobs[k].busy && polled[k].revents) {
                GY_TRY(take(j, k, &t, err));
                ended++;
                done(done_ctx, t);
            }
        }
    }
    return GY_OK;
}

void gy_search_jobs_free(struct gy_search_jobs *j)
{
    if (j) {
        for (size_t k = 0; k < GY_SEARCH_MAX_JOBS; k++) {
            close_fd(&j->jobs[k].to); /* all are told before the first is waited for */
        }
        for (size_t k = 0; k < GY_SEARCH_MAX_JOBS; k++) {
            (void)end_job(&j->jobs[k]);
            gy_buf_done(&j->jobs[k].read);
        }
        gy_buf_done(&j->command);
        gy_free(j);
    }
}
