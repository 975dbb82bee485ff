/* SPDX-License-Identifier: Apache-2.0 */
#include "api/prover.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/time.h"
#include "store/scope.h"
#include "track/registry.h"

enum { POLL_MS = 200, MAX_REF = 1024 };

struct gy_prover {
    struct gy_app *app;
    char program[GY_MAX_PATH];
    pthread_t thread;
    pthread_mutex_t lock; /* guards the two below */
    pthread_cond_t changed;
    bool pending, stopping;
};

/* One version to prove, or what became of it. */
struct subject {
    struct gy_arena arena;
    struct gy_unproven version;
    int64_t after;
    bool found;
    char reason[256];
};

static gy_status find_next(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct subject *s = ctx;
    return gy_registry_unproven(db, s->after, &s->arena, &s->found, &s->version, err);
}

/* The child may have recorded its finding by now: only what is still unknown is written. */
static gy_status record_failure(struct gy_db *db, void *ctx, struct gy_err *err)
{
    struct subject *s = ctx;
    struct gy_unproven now;
    bool found = false;
    GY_TRY(gy_registry_unproven(db, s->version.id - 1, &s->arena, &found, &now, err));
    if (!found || now.id != s->version.id) {
        return GY_OK;
    }
    return gy_registry_set_proof(db, s->version.name, s->version.version, false,
                                 gy_str_c(s->reason), err);
}

static bool is_stopping(struct gy_prover *p)
{
    (void)pthread_mutex_lock(&p->lock); /* an error-free default mutex, here and below */
    bool stopping = p->stopping;
    (void)pthread_mutex_unlock(&p->lock);
    return stopping;
}

/* Wait for the child, for its time to run out, or for the end of the server (*ret_stopped). */
static gy_status watch(struct gy_prover *p, struct gy_proc *child, int *ret_code, bool *ret_stopped,
                       struct gy_err *err)
{
    int64_t end = gy_mono_ns() + (int64_t)GY_PROVER_TIMEOUT_MS * 1000000;
    bool ended = false;
    while (!ended) {
        GY_TRY(gy_proc_wait_ms(child, POLL_MS, &ended, ret_code, err));
        *ret_stopped = is_stopping(p);
        if (!ended && (*ret_stopped || gy_mono_ns() > end)) {
            gy_proc_kill(child, SIGKILL);
            return gy_proc_wait(child, ret_code, err);
        }
    }
    return GY_OK;
}

static gy_status run_child(struct gy_prover *p, struct subject *s, bool *ret_stopped,
                           struct gy_err *err)
{
    char ref[MAX_REF];
    int n = snprintf(ref, sizeof ref, "%.*s/%lld", (int)s->version.name.n, s->version.name.p,
                     (long long)s->version.version);
    if (n < 0 || (size_t)n >= sizeof ref) {
        (void)snprintf(s->reason, sizeof s->reason,
                       "the name of the model is too long to prove it");
        return GY_OK;
    }
    const char *argv[] = {p->program,       "models", "prove", "--quiet", "--home",
                          p->app->home.dir, "--",     ref,     NULL};
    char workspace[GY_MAX_NAME + sizeof "GYRE_WORKSPACE="];
    /* Set in any case: what the server itself was started with says nothing of this version. */
    (void)snprintf(workspace, sizeof workspace, "GYRE_WORKSPACE=%" GY_STR_F,
                   GY_STR_A(gy_str_eqc(s->version.workspace, GY_WORKSPACE_DEFAULT)
                                ? GY_STR("")
                                : s->version.workspace));
    const char *env[] = {"GYRE_SERVER=", workspace, NULL};
    struct gy_proc child = {0};
    struct gy_proc_options o = {
        .argv = argv, .env_add = env, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    int code = 0;
    GY_TRY(gy_proc_start(&o, &child, err));
    GY_TRY(watch(p, &child, &code, ret_stopped, err));
    if (code != 0) {
        (void)snprintf(s->reason, sizeof s->reason,
                       code > 128 ? "the proof was ended by signal %d"
                                  : "the proof failed with exit code %d",
                       code > 128 ? code - 128 : code);
    }
    return GY_OK;
}

/* Prove one version; false when there is none left, or the server ends. */
static bool prove_next(struct gy_prover *p, int64_t *after)
{
    struct gy_err err = GY_ERR_INIT;
    struct subject s = {.after = *after};
    gy_arena_init(&s.arena, GY_MIB);
    bool stopped = false;
    gy_status status = gy_store_read(p->app->store, find_next, &s, &err);
    if (status == GY_OK && s.found) {
        *after = s.version.id;
        status = run_child(p, &s, &stopped, &err);
    }
    if (status == GY_OK && s.reason[0] && !stopped) {
        struct gy_scope scope = {.workspace = s.version.workspace};
        gy_scope_enter(&scope);
        status = gy_store_write(p->app->store, record_failure, &s, &err);
        gy_scope_leave(&scope);
    }
    if (status != GY_OK) {
        gy_log_err(GY_LOG_WARN, "prover", "a version could not be proven", &err);
    }
    bool more = status == GY_OK && s.found && !stopped;
    gy_arena_done(&s.arena);
    return more;
}

/* Wait until something was registered and the grace has passed; false at the end. */
static bool wait_for_work(struct gy_prover *p)
{
    (void)pthread_mutex_lock(&p->lock);
    struct timespec until;
    /* What was registered with a server that died before it proved it is for the one that leads. */
    while (!p->pending && !p->stopping) {
        (void)clock_gettime(CLOCK_MONOTONIC, &until); /* can not fail for this clock */
        until.tv_sec += GY_PROVER_LOOK_S;
        if (pthread_cond_timedwait(&p->changed, &p->lock, &until) == ETIMEDOUT) {
            p->pending = gy_store_is_shared(p->app->store) && gy_store_leads(p->app->store);
        }
    }
    p->pending = false;
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* can not fail for this clock */
    until.tv_sec += GY_PROVER_GRACE_MS / 1000;
    int rc = 0;
    while (!p->stopping && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&p->changed, &p->lock, &until);
    }
    bool go = !p->stopping;
    (void)pthread_mutex_unlock(&p->lock);
    return go;
}

static void *prover_main(void *arg)
{
    struct gy_prover *p = arg;
    while (wait_for_work(p)) {
        int64_t after = 0;
        while (!is_stopping(p) && prove_next(p, &after)) {
        }
    }
    return NULL;
}

gy_status gy_prover_start(struct gy_app *app, const char *program, struct gy_prover **ret,
                          struct gy_err *err)
{
    struct gy_prover *p = gy_calloc(1, sizeof *p);
    if (!p) {
        return gy_err_set(err, GY_E_NOMEM, "out of memory for the prover");
    }
    p->app = app;
    p->pending = true; /* versions may wait from before */
    (void)snprintf(p->program, sizeof p->program, "%s", program);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr); /* can not fail on Linux, nor the next ones */
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    int rc = pthread_create(&p->thread, NULL, prover_main, p);
    if (rc != 0) {
        gy_free(p);
        return gy_err_sys(err, rc, "starting the prover");
    }
    (void)pthread_setname_np(p->thread, "gyre-prover"); /* only a label */
    *ret = p;
    return GY_OK;
}

void gy_prover_wake(struct gy_prover *p)
{
    if (!p) {
        return;
    }
    (void)pthread_mutex_lock(&p->lock);
    p->pending = true;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
}

void gy_prover_stop(struct gy_prover *p)
{
    if (!p) {
        return;
    }
    (void)pthread_mutex_lock(&p->lock);
    p->stopping = true;
    (void)pthread_cond_broadcast(&p->changed);
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL); /* joinable, joined once */
    (void)pthread_cond_destroy(&p->changed);
    (void)pthread_mutex_destroy(&p->lock);
    gy_free(p);
}
