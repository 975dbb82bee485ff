/* SPDX-License-Identifier: Apache-2.0 */
/* .dvc files: written anew as DVC writes them; an existing one is edited where it differs, so that
 * comments, order and unknown keys stay. */
#ifndef GY_DATA_DVC_FILE_H
#define GY_DATA_DVC_FILE_H

#include "data/dvc/repo.h"

/* The text of a new one for one output; name is its path beside the file. */
void gy_dvc_file_text(struct gy_buf *out, const struct gy_dvc_out *o, struct gy_str name);
/* source with the entry of o (found by its path; file is source's path from the root) told what o
 * says: digest, size, number of files, exec bit, and that it is of DVC 3 when it is. Fails: PARSE,
 * NOTFOUND (no such output), UNSUPPORTED (a cloud-versioned folder), NOMEM. */
GY_CHECKED gy_status gy_dvc_file_edit(struct gy_str source, struct gy_str file,
                                      const struct gy_dvc_out *o, struct gy_buf *out,
                                      struct gy_err *err);
/* Write or edit root/file. *ret_written false: it said all that already. Fails as the above, and
 * DENIED, NOSPACE, IO. */
GY_CHECKED gy_status gy_dvc_file_write(struct gy_dvc_repo *r, struct gy_str file,
                                       const struct gy_dvc_out *o, bool *ret_written,
                                       struct gy_err *err);

#endif
