/* SPDX-License-Identifier: Apache-2.0 */
/* gy_err: how everything in Gyre fails. A fallible function returns a gy_status and, as its last
 * argument, takes a `struct gy_err *err` (NULL allowed) that it fills on failure and leaves
 * untouched on success. A lower function that filled err must not be answered by gy_err_set again:
 * add context with gy_err_wrap. Libraries return errors and never log them; cli/ and api/ log once.
 * Thread rule: one gy_err belongs to one caller. */
#ifndef GY_BASE_ERR_H
#define GY_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define GY_CHECKED __attribute__((warn_unused_result))
#define GY_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define GY_UNUSED __attribute__((unused))

typedef enum gy_status {
#define X(code, number, http, exit_code, retryable, text) GY_E_##code = (number),
#include "base/errors.def"
#undef X
} gy_status;

/* Success; the other codes are GY_E_<NAME> of errors.def. */
#define GY_OK GY_E_OK

struct gy_err {
    gy_status code;
    int sys_errno;    /* errno at the time, 0 when none was involved */
    const char *file; /* where it was set, for debug output */
    int line;
    char msg[512];  /* complete enough to print as it is */
    char hint[256]; /* what the user can do; may be empty */
};

#define GY_ERR_INIT   \
    {                 \
        .code = GY_OK \
    }

/* Fill err (NULL allowed) and return code, so that `return gy_err_set(err, GY_E_NOTFOUND, "run
 * '%s'", id);` works. */
gy_status gy_err_set_at(struct gy_err *err, gy_status code, const char *file, int line,
                        const char *fmt, ...) GY_PRINTF(5, 6);
#define gy_err_set(err, code, ...) gy_err_set_at((err), (code), __FILE__, __LINE__, __VA_ARGS__)

/* As gy_err_set with ": <strerror(errnum)>" appended and sys_errno kept. ENOSPC/EDQUOT become
 * NOSPACE, ENOMEM NOMEM, ENOENT NOTFOUND, EACCES/EPERM DENIED, anything else IO. */
gy_status gy_err_sys_at(struct gy_err *err, int errnum, const char *file, int line, const char *fmt,
                        ...) GY_PRINTF(5, 6);
#define gy_err_sys(err, errnum, ...) gy_err_sys_at((err), (errnum), __FILE__, __LINE__, __VA_ARGS__)

/* Prefix the message with context: "<context>: <message>". Returns err->code; with a NULL err the
 * code that this thread gave to gy_err_set or gy_err_sys last, which is the failure at hand. */
gy_status gy_err_wrap(struct gy_err *err, const char *fmt, ...) GY_PRINTF(2, 3);

/* Set the hint; returns as gy_err_wrap does, so that it can end a return statement. */
gy_status gy_err_hint(struct gy_err *err, const char *fmt, ...) GY_PRINTF(2, 3);

#if defined(__clang_analyzer__) && !defined(GY_ERR_IMPLEMENTATION)
/* The analyzer does not see into err.c: tell it that these never return GY_OK, else every caller
 * looks as if it went on with an out-parameter that was not set. */
#define gy_err_analyzed(call, code) \
    ({                              \
        (void)(call);               \
        (gy_status)(code);          \
    })
#undef gy_err_set
#undef gy_err_sys
#define gy_err_set(err, code, ...) \
    gy_err_analyzed(gy_err_set_at((err), (code), __FILE__, __LINE__, __VA_ARGS__), (code))
#define gy_err_sys(err, errnum, ...) \
    gy_err_analyzed(gy_err_sys_at((err), (errnum), __FILE__, __LINE__, __VA_ARGS__), GY_E_IO)
#define gy_err_wrap(...) gy_err_analyzed(gy_err_wrap(__VA_ARGS__), GY_E_FAILED)
#define gy_err_hint(...) gy_err_analyzed(gy_err_hint(__VA_ARGS__), GY_E_FAILED)
#endif

/* Table look-ups; code may be any value (unknown: "UNKNOWN", 500, 1). Never fail, thread safe. */
const char *gy_status_name(gy_status code); /* "NOTFOUND" */
const char *gy_status_text(gy_status code);
int gy_status_http(gy_status code);
int gy_status_exit(gy_status code);
int gy_status_retryable(gy_status code);
/* The status for a name such as "NOTFOUND"; GY_E_FAILED when unknown. */
gy_status gy_status_from_name(const char *name);

/* Return early when expr fails; the callee filled err. */
#define GY_TRY(expr)                       \
    do {                                   \
        gy_status gy_try_status_ = (expr); \
        if (gy_try_status_ != GY_OK) {     \
            return gy_try_status_;         \
        }                                  \
    } while (0)

/* A status that does not matter here; say why beside it. */
#define GY_IGNORE(expr)        \
    do {                       \
        if ((expr) != GY_OK) { \
        }                      \
    } while (0)

/* Run `fn(pointer)` at the end of the scope: GY_AUTO(gy_run_free) struct gy_run *run = NULL;
 * GY_AUTO_DONE is for values in caller storage: GY_AUTO_DONE(gy_buf_done) struct gy_buf b; calls
 * gy_buf_done(&b). Each fn needs GY_DEFINE_AUTO(type, fn) or GY_DEFINE_AUTO_DONE(type, fn) once, in
 * its header. fn accepts NULL. */
#define GY_AUTO(fn) __attribute__((cleanup(fn##_autop_)))
#define GY_AUTO_DONE(fn) __attribute__((cleanup(fn##_autod_)))
#define GY_DEFINE_AUTO(type, fn)                      \
    GY_UNUSED static inline void fn##_autop_(type *p) \
    {                                                 \
        if (*p) {                                     \
            fn(*p);                                   \
        }                                             \
    }                                                 \
    struct gy_auto_semicolon_
#define GY_DEFINE_AUTO_DONE(type, fn)                 \
    GY_UNUSED static inline void fn##_autod_(type *p) \
    {                                                 \
        fn(p);                                        \
    }                                                 \
    struct gy_auto_semicolon_

/* Hand a pointer over: evaluates to p and leaves p NULL, so that its GY_AUTO does nothing. */
#define GY_TAKE(p)                     \
    __extension__({                    \
        __typeof__(p) gy_taken_ = (p); \
        (p) = NULL;                    \
        gy_taken_;                     \
    })

/* Programmer errors only (never bad input); on in release. Prints and aborts. */
#define GY_REQUIRE(cond)                                  \
    do {                                                  \
        if (__builtin_expect(!(cond), 0)) {               \
            gy_require_failed(#cond, __FILE__, __LINE__); \
        }                                                 \
    } while (0)
__attribute__((noreturn)) void gy_require_failed(const char *cond, const char *file, int line);

#endif
