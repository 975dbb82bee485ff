/* SPDX-License-Identifier: Apache-2.0 */
/* The report of an endpoint as one HTML file (watch/html.h): what the watcher found, how good
 * answers were, what people judged, what was rolled out by whom and why, which alerts fired. */
#ifndef GY_CLI_WATCH_REPORT_H
#define GY_CLI_WATCH_REPORT_H

#include "cli/cli_internal.h"

/* wait: first until everything answered so far is looked at. Fails: NOTFOUND (nothing is known of
 * the endpoint), as the routes do; TOOBIG. */
GY_CHECKED gy_status gy_watch_report(struct gy_cli *cli, struct gy_str endpoint, bool wait,
                                     struct gy_buf *html, struct gy_err *err);

#endif
