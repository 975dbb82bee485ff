/* SPDX-License-Identifier: Apache-2.0 */
/* gy_python: models that only Python can load (pickles, scikit-learn, MLflow's python_function),
 * answered by a worker process: opt-in, since loading a pickle runs whatever its author put there.
 *
 * The worker is a child of the server in a jail (base/jail.h): it reads its model and its Python,
 * writes nothing, has no network and bounded memory, and answers on a socket that the server holds.
 * One worker a loaded package, whatever number of endpoints and revisions serve it. When it dies it
 * is started again, at once at first, then more and more slowly; requests meanwhile wait until
 * their deadline, then fail with UNAVAILABLE; those that died with it are asked once more. ready
 * says how it is now, so that a dead worker is never a healthy probe.
 *
 * It is ended by its own bound alone, however short the time limits of those who ask: when one call
 * of the model takes GY_PYTHON_TIMEOUT_MS (the worker sees to that itself and tells which request
 * it was; the same rows are refused from then on, so that one input does not take the worker from
 * others again and again), or when after a late answer it does not even say for that long that it
 * is alive.
 *
 * Where environments are: the folder that the environment variable GYRE_PYTHON_RUNTIME names; not
 * set: the runtime is not allowed. `gyre models env` makes one: FOLDER/envs/KEY, by the digest of
 * the package's requirements, so that versions with the same ones share it. Thread safe. */
#ifndef GY_LEARN_RUNTIME_PYTHON_H
#define GY_LEARN_RUNTIME_PYTHON_H

#include "learn/model.h"
#include "learn/runtime/runtime.h"

#define GY_PYTHON_ENV "GYRE_PYTHON_RUNTIME"
#define GY_PYTHON_TIMEOUT_MS 10000 /* of a request, and of a call of the model */
#define GY_PYTHON_MAX_REFUSED 16   /* requests that are not asked again; the oldest is forgotten */
#define GY_PYTHON_MEMORY (8 * GY_GIB) /* address space of a worker */
#define GY_PYTHON_FILES 256           /* open at once */
#define GY_PYTHON_DESCRIBE_MS 300000  /* to load a model and tell what it is */
#define GY_PYTHON_BACKOFF_MAX_MS 30000
#define GY_PYTHON_WORKER_VERB "__worker" /* of the program: enters the jail, becomes Python */

/* The folder, NULL: the runtime is not allowed here. */
const char *gy_python_dir(void);
/* NOTSERVABLE with the hint what to do. */
gy_status gy_python_not_allowed(struct gy_err *err);

/* The digest of a package's requirements (requirements.txt, else conda.yaml, python_env.yaml): the
 * name of its environment. Fails: as files do. */
GY_CHECKED gy_status gy_python_key(const char *dir, char ret[17], struct gy_err *err);
/* The interpreter of that environment: envs/KEY/bin/python, or what envs/KEY/interpreter says. ret
 * of GY_MAX_PATH. Fails: NOTSERVABLE (there is none, with the command that makes it). */
GY_CHECKED gy_status gy_python_interpreter(const char *key, char *ret, struct gy_err *err);

/* Fill task, classes and inputs of an initialised model from a package, by asking a worker; what it
 * said is kept under FOLDER/models/DIGEST.json. Fails: NOTSERVABLE (not allowed, no environment, no
 * model that can be served, with the reason), as files and processes do. */
GY_CHECKED gy_status gy_python_describe(const char *dir, struct gy_model *m, struct gy_err *err);
/* Start the worker of a described model; does not wait for it. Fails: NOTSERVABLE, MISSINGDEP
 * (libcurl), NOMEM, as processes do. */
GY_CHECKED gy_status gy_python_load(const struct gy_model *m, struct gy_runtime *ret,
                                    struct gy_err *err);

/* Of all workers of this process, since its start. */
struct gy_python_stats {
    uint64_t started;
    uint64_t died;   /* by themselves, or killed by somebody else */
    uint64_t slow;   /* ended: a call of the model took too long */
    uint64_t silent; /* ended: they said nothing any more */
};
void gy_python_get_stats(struct gy_python_stats *ret);

/* In the child: limits, no network, no file but those of the model and of Python; then Python takes
 * its place. argv: what, interpreter, model folder ("serve", "describe"). Returns only on failure.
 */
gy_status gy_python_become(const char *what, const char *interpreter, const char *dir,
                           struct gy_err *err);

#endif
