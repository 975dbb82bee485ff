/* SPDX-License-Identifier: Apache-2.0 */
#define GY_ERR_IMPLEMENTATION
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mend.h"

struct status_row {
    const char *name;
    gy_status code;
    int http;
    int exit_code;
    int retryable;
    const char *text;
};

static const struct status_row status_rows[] = {
#define X(code, number, http, exit_code, retryable, text) \
    {#code, GY_E_##code, http, exit_code, retryable, text},
#include "base/errors.def"
#undef X
};

static const struct status_row unknown_row = {"UNKNOWN", GY_E_FAILED, 500, 1, 0, "unknown status"};

static const struct status_row *row_of(gy_status code)
{
    for (size_t i = 0; i < sizeof status_rows / sizeof status_rows[0]; i++) {
        if (status_rows[i].code == code) {
            return &status_rows[i];
        }
    }
    return &unknown_row;
}

const char *gy_status_name(gy_status code)
{
    return row_of(code)->name;
}

const char *gy_status_text(gy_status code)
{
    return row_of(code)->text;
}

int gy_status_http(gy_status code)
{
    return row_of(code)->http;
}

int gy_status_exit(gy_status code)
{
    return row_of(code)->exit_code;
}

int gy_status_retryable(gy_status code)
{
    return row_of(code)->retryable;
}

gy_status gy_status_from_name(const char *name)
{
    for (size_t i = 0; i < sizeof status_rows / sizeof status_rows[0]; i++) {
        if (strcmp(status_rows[i].name, name) == 0) {
            return status_rows[i].code;
        }
    }
    return GY_E_FAILED;
}

/* What hint and wrap answer when there is no err to read it from. */
static _Thread_local gy_status tl_last = GY_E_FAILED;

static void fill(struct gy_err *err, gy_status code, int sys_errno, const char *file, int line)
{
    err->code = code;
    err->sys_errno = sys_errno;
    err->file = file;
    err->line = line;
    err->hint[0] = '\0';
}

gy_status gy_err_set_at(struct gy_err *err, gy_status code, const char *file, int line,
                        const char *fmt, ...)
{
    tl_last = code;
    if (err) {
        /* Formatted aside first: an argument may point into err->msg itself. */
        char msg[sizeof err->msg];
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(msg, sizeof msg, fmt, args); /* a cut message is still a message */
        va_end(args);
        gy_str_mend(msg);
        fill(err, code, 0, file, line);
        memcpy(err->msg, msg, sizeof msg);
    }
    return code;
}

static gy_status status_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return GY_E_NOSPACE;
    case ENOMEM:
        return GY_E_NOMEM;
    case ENOENT:
        return GY_E_NOTFOUND;
    case EACCES:
    case EPERM:
        return GY_E_DENIED;
    default:
        return GY_E_IO;
    }
}

gy_status gy_err_sys_at(struct gy_err *err, int errnum, const char *file, int line, const char *fmt,
                        ...)
{
    gy_status code = status_of_errno(errnum);
    tl_last = code;
    if (err) {
        char msg[sizeof err->msg];
        va_list args;
        va_start(args, fmt);
        int n = vsnprintf(msg, sizeof msg, fmt, args);
        va_end(args);
        size_t used = n < 0 ? 0 : (size_t)n;
        if (used < sizeof msg) {
            char why[128];
            (void)snprintf(msg + used, sizeof msg - used, ": %s",
                           strerror_r(errnum, why, sizeof why));
        }
        gy_str_mend(msg);
        fill(err, code, errnum, file, line);
        memcpy(err->msg, msg, sizeof msg);
    }
    return code;
}

gy_status gy_err_wrap(struct gy_err *err, const char *fmt, ...)
{
    if (!err) {
        return tl_last;
    }
    char msg[sizeof err->msg];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(msg, sizeof msg, fmt, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n;
    if (used < sizeof msg) {
        (void)snprintf(msg + used, sizeof msg - used, ": %s", err->msg);
    }
    gy_str_mend(msg);
    memcpy(err->msg, msg, sizeof msg);
    return err->code;
}

gy_status gy_err_hint(struct gy_err *err, const char *fmt, ...)
{
    if (!err) {
        return tl_last;
    }
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err->hint, sizeof err->hint, fmt, args); /* a cut hint still helps */
    va_end(args);
    gy_str_mend(err->hint);
    return err->code;
}

void gy_require_failed(const char *cond, const char *file, int line)
{
    (void)fprintf(stderr, "gyre: bug: %s does not hold (%s:%d)\n", cond, file, line);
    abort();
}
