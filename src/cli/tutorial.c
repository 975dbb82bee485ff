/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tutorial.h"

#include "base/embed.h"

extern const struct gy_embedded gy_tutorial_files[];
extern const size_t gy_tutorial_files_count;

size_t gy_tutorial_pages(void)
{
    return gy_tutorial_files_count;
}

/* What stands behind `key` on the first line that begins with it. */
static struct gy_str line_after(struct gy_str text, const char *key)
{
    struct gy_str line;
    while (gy_str_next(&text, '\n', &line)) {
        if (gy_str_starts(line, gy_str_c(key))) {
            return gy_str_trim(gy_str_sub(line, strlen(key), SIZE_MAX));
        }
    }
    return GY_STR_NULL;
}

struct gy_tutorial_page gy_tutorial_page(size_t i)
{
    const struct gy_embedded *f = &gy_tutorial_files[i];
    struct gy_tutorial_page page = {.text = gy_str_n(f->bytes, f->size)};
    struct gy_str title = line_after(page.text, "# ");
    struct gy_str number;
    page.number = f->name[0] - '0';
    page.title = gy_str_cut(title, '.', &number, &page.title) ? gy_str_trim(page.title) : title;
    page.time = line_after(page.text, "Time: ");
    page.time.n -= gy_str_ends(page.time, GY_STR(".")) ? 1 : 0;
    return page;
}

/* ---- the commands ---- */

struct reading {
    struct gy_tutorial_command *list;
    size_t n;
    struct gy_str section;
    bool console;
};

static gy_status read_console(struct reading *r, struct gy_str line, struct gy_err *err)
{
    struct gy_tutorial_command *c = r->n ? &r->list[r->n - 1] : NULL;
    if (gy_str_starts(line, GY_STR("$ "))) {
        if (r->n == GY_TUTORIAL_MAX_COMMANDS) {
            return gy_err_set(err, GY_E_INVALID, "a page with more than %d commands",
                              GY_TUTORIAL_MAX_COMMANDS);
        }
        r->list[r->n++] = (struct gy_tutorial_command){
            .section = r->section, .command = gy_str_trim(gy_str_sub(line, 2, SIZE_MAX))};
        return GY_OK;
    }
    struct gy_str promise = gy_str_trim(line);
    if (promise.n == 0 || gy_str_eqc(promise, "...")) {
        return GY_OK;
    }
    if (!c || c->n_promises == GY_TUTORIAL_MAX_PROMISES) {
        return gy_err_set(err, GY_E_INVALID, "a promised line without a command: %" GY_STR_F,
                          GY_STR_A(promise));
    }
    c->promises[c->n_promises++] = promise;
    return GY_OK;
}

gy_status gy_tutorial_commands(struct gy_str text, struct gy_arena *a,
                               struct gy_tutorial_command **ret, size_t *ret_n, struct gy_err *err)
{
    struct reading r = {.section = GY_STR("")};
    struct gy_str line;
    r.list = gy_arena_calloc(a, GY_TUTORIAL_MAX_COMMANDS, sizeof *r.list);
    if (!r.list) {
        return gy_err_set(err, GY_E_NOMEM, "reading a page");
    }
    while (gy_str_next(&text, '\n', &line)) {
        if (gy_str_starts(line, GY_STR("```"))) {
            r.console = !r.console && gy_str_eqc(gy_str_trim(line), "```console");
        } else if (r.console) {
            GY_TRY(read_console(&r, line, err));
        } else if (gy_str_starts(line, GY_STR("## "))) {
            r.section = gy_str_trim(gy_str_sub(line, 3, SIZE_MAX));
        }
    }
    *ret = r.list;
    *ret_n = r.n;
    return GY_OK;
}

/* ---- the promises ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The same texts, where any number of blanks is as good as one. *ret_used: how much of text. */
static bool begins(struct gy_str text, struct gy_str piece, size_t *ret_used)
{
    size_t i = 0;
    for (size_t k = 0; k < piece.n; k++) {
        if (is_blank(piece.p[k])) {
            if (i == text.n || !is_blank(text.p[i])) {
                return false;
            }
            while (i < text.n && is_blank(text.p[i])) {
                i++;
            }
            while (k + 1 < piece.n && is_blank(piece.p[k + 1])) {
                k++;
            }
        } else if (i == text.n || text.p[i++] != piece.p[k]) {
            return false;
        }
    }
    *ret_used = i;
    return true;
}

bool gy_tutorial_line_matches(struct gy_str promise, struct gy_str line)
{
    struct gy_str rest = gy_str_trim(line);
    for (bool first = true;; first = false) {
        size_t at = gy_str_find_str(promise, GY_STR("..."));
        bool last = at == SIZE_MAX;
        struct gy_str piece = gy_str_sub(promise, 0, last ? promise.n : at);
        size_t used = 0;
        size_t i = 0;
        /* The first piece begins the line, the last one ends it. */
        while (!begins(gy_str_sub(rest, i, SIZE_MAX), piece, &used) ||
               (last && i + used != rest.n)) {
            if (first || i == rest.n) {
                return false;
            }
            i++;
        }
        if (last) {
            return true;
        }
        rest = gy_str_sub(rest, i + used, SIZE_MAX);
        promise = gy_str_sub(promise, at + 3, SIZE_MAX);
    }
}

struct gy_str gy_tutorial_broken(const struct gy_tutorial_command *c, struct gy_str output)
{
    size_t kept = 0;
    struct gy_str line;
    while (kept < c->n_promises && gy_str_next(&output, '\n', &line)) {
        kept += gy_tutorial_line_matches(c->promises[kept], line);
    }
    return kept < c->n_promises ? c->promises[kept] : GY_STR_NULL;
}
