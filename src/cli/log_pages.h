/* SPDX-License-Identifier: Apache-2.0 */
/* What gyre log export and gyre log ship share: reading logged predictions page by page behind a
 * cursor, and the texts that they become. Main thread only. */
#ifndef GY_CLI_LOG_PAGES_H
#define GY_CLI_LOG_PAGES_H

#include "cli/cli_internal.h"

/* What to read; texts in cli->arena or of the command line. */
struct gy_log_pages {
    struct gy_cli *cli;
    const char *endpoint, *version, *where; /* NULL: any */
    int64_t since_us, until_us;             /* 0: no bound */
    int64_t limit;                          /* predictions of a page */
    struct gy_buf cursor; /* JSON, made by the caller (gy_buf_init); empty: the beginning */
    /* Told by the pages: of some where could be asked; why it could not, "": no such page. */
    bool where_right;
    char where_problem[256];
};
void gy_log_pages_done(struct gy_log_pages *p);
GY_DEFINE_AUTO_DONE(struct gy_log_pages, gy_log_pages_done);
/* since and until as people write them; NULL: no bound. Fails: INVALID. */
GY_CHECKED gy_status gy_log_pages_times(struct gy_log_pages *p, const char *since,
                                        const char *until, struct gy_err *err);
/* After the last page of a walk from the beginning: where names what no revision has. Fails:
 * INVALID. */
GY_CHECKED gy_status gy_log_pages_check_where(const struct gy_log_pages *p, struct gy_err *err);
/* The next page, which may be empty while there is more: *ret_rows is the array of rows, a view
 * into *ret_doc (gy_json_free); *ret_more: there is another now. The cursor moves behind it. Fails
 * as the transport does. */
GY_CHECKED gy_status gy_log_pages_next(struct gy_log_pages *p, yyjson_doc **ret_doc,
                                       yyjson_val **ret_rows, bool *ret_more, struct gy_err *err);

enum gy_log_event_style { GY_LOG_KSERVE, GY_LOG_SELDON };
struct gy_log_event_options {
    enum gy_log_event_style style;
    const char *namespace, *source; /* source NULL: "/gyre/endpoints/NAME" */
};
/* Rows first .. first + n of the list, all of one prediction, as two CloudEvents (1.0, structured):
 * what was asked and what was answered; each is one JSON object. Failures stick to the buffers. */
void gy_log_event_request(yyjson_val *const *rows, size_t n, const struct gy_log_event_options *o,
                          struct gy_buf *out);
void gy_log_event_response(yyjson_val *const *rows, size_t n, const struct gy_log_event_options *o,
                           struct gy_buf *out);
/* How many rows from `at` on belong to the same prediction. */
size_t gy_log_event_rows(yyjson_val *const *rows, size_t n, size_t at);

#endif
