/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/time.h"

#define MAX_LINE (64 * GY_KIB)
#define MAX_RULES 64
#define MAX_COMPONENT 32

struct rule {
    char component[MAX_COMPONENT];
    enum gy_log_level level;
};

/* Written by gy_log_setup before threads start, then only read. */
static struct rule g_rules[MAX_RULES];
static size_t g_n_rules;
static enum gy_log_level g_level = GY_LOG_INFO;
static int g_fd = STDERR_FILENO;
static enum gy_log_format g_format = GY_LOG_AUTO;

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

bool gy_log_on(enum gy_log_level level, const char *component)
{
    enum gy_log_level least = g_level;
    for (size_t i = 0; i < g_n_rules; i++) {
        if (strcmp(g_rules[i].component, component) == 0) {
            least = g_rules[i].level;
        }
    }
    return level >= least && level < GY_LOG_OFF;
}

static gy_status parse_level(struct gy_str name, enum gy_log_level *ret, struct gy_err *err)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (gy_str_ieq(name, gy_str_c(level_names[i]))) {
            *ret = (enum gy_log_level)i;
            return GY_OK;
        }
    }
    return gy_err_set(err, GY_E_INVALID,
                      "'%" GY_STR_F "' is no log level: debug, info, warn, error or off",
                      GY_STR_A(name));
}

gy_status gy_log_setup(struct gy_str spec, struct gy_err *err)
{
    struct rule rules[MAX_RULES];
    size_t n_rules = 0;
    enum gy_log_level level = GY_LOG_INFO;
    struct gy_str rest = spec;
    struct gy_str part;
    while (gy_str_next(&rest, ',', &part)) {
        struct gy_str component;
        struct gy_str name;
        part = gy_str_trim(part);
        if (!gy_str_cut(part, '=', &component, &name)) {
            GY_TRY(parse_level(part, &level, err));
            continue;
        }
        if (component.n == 0 || component.n >= MAX_COMPONENT) {
            return gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' names no component",
                              GY_STR_A(part));
        }
        if (n_rules == MAX_RULES) {
            return gy_err_set(err, GY_E_INVALID, "more than %d components at '%" GY_STR_F "'",
                              MAX_RULES, GY_STR_A(part));
        }
        GY_TRY(parse_level(name, &rules[n_rules].level, err));
        memcpy(rules[n_rules].component, component.p, component.n);
        rules[n_rules].component[component.n] = '\0';
        n_rules++;
    }
    memcpy(g_rules, rules, n_rules * sizeof rules[0]);
    g_n_rules = n_rules;
    g_level = level;
    return GY_OK;
}

void gy_log_set_output(int fd, enum gy_log_format format)
{
    g_fd = fd;
    g_format = format;
}

static void write_json(struct gy_buf *out, enum gy_log_level level, const char *component,
                       const char *message, const struct gy_kv *kvs, size_t n)
{
    char when[32];
    (void)gy_time_iso(gy_now_us(), when);
    struct gy_jw w;
    gy_jw_init(&w, out);
    gy_jw_obj(&w);
    gy_jw_kv_strc(&w, "time", when);
    gy_jw_kv_strc(&w, "level", level_names[level]);
    gy_jw_kv_strc(&w, "component", component);
    gy_jw_kv_strc(&w, "message", message);
    for (size_t i = 0; i < n; i++) {
        if (kvs[i].kind == 's') {
            gy_jw_kv_str(&w, kvs[i].key, kvs[i].s);
        } else if (kvs[i].kind == 'i') {
            gy_jw_kv_i64(&w, kvs[i].key, kvs[i].i);
        } else {
            gy_jw_kv_f64(&w, kvs[i].key, kvs[i].f);
        }
    }
    gy_jw_obj_end(&w);
}

/* A terminal must not be driven by what came from outside: control bytes are shown as \xNN, one
 * event stays one line. */
static void add_visible(struct gy_buf *out, struct gy_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f) {
            gy_buf_addf(out, "\\x%02x", c);
        } else {
            gy_buf_add_char(out, (char)c);
        }
    }
}

static void write_text(struct gy_buf *out, enum gy_log_level level, const char *component,
                       const char *message, const struct gy_kv *kvs, size_t n)
{
    char when[32];
    (void)gy_time_iso(gy_now_us(), when);
    gy_buf_addf(out, "%.12s %-5s %s: %s", when + 11, level_names[level], component, message);
    for (size_t i = 0; i < n; i++) {
        gy_buf_addf(out, "  %s=", kvs[i].key);
        if (kvs[i].kind == 's') {
            add_visible(out, kvs[i].s.p ? kvs[i].s : GY_STR("-"));
        } else if (kvs[i].kind == 'i') {
            gy_buf_addf(out, "%lld", (long long)kvs[i].i);
        } else {
            char number[32];
            (void)gy_fmt_f64(kvs[i].f, number);
            gy_buf_addc(out, number);
        }
    }
}

void gy_log_write(enum gy_log_level level, const char *component, const char *message,
                  const struct gy_kv *kvs, size_t n)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf line;
    gy_buf_init(&line, MAX_LINE);
    bool as_json = g_format == GY_LOG_JSON || (g_format == GY_LOG_AUTO && !isatty(g_fd));
    for (;;) {
        if (as_json) {
            write_json(&line, level, component, message, kvs, n);
        } else {
            write_text(&line, level, component, message, kvs, n);
        }
        gy_buf_add_char(&line, '\n');
        if (line.failed == GY_OK || n == 0) {
            break;
        }
        n = 0; /* fields too long or no memory for them: the event itself still counts */
        gy_buf_reset(&line);
    }
    if (line.failed != GY_OK) {
        static const char last_resort[] = "log: out of memory\n";
        (void)!write(g_fd, last_resort, sizeof last_resort - 1);
        return;
    }
    /* A log that can not be written has nowhere to say so. */
    (void)!write(g_fd, line.p, line.n);
}

void gy_log_err(enum gy_log_level level, const char *component, const char *message,
                const struct gy_err *err)
{
    if (!gy_log_on(level, component)) {
        return;
    }
    struct gy_kv kvs[3] = {GY_KV_C("code", gy_status_name(err->code)), GY_KV_C("error", err->msg),
                           GY_KV_C("hint", err->hint)};
    gy_log_write(level, component, message, kvs, err->hint[0] ? 3 : 2);
}
