/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that fixed buffers and "%.100s" have cut. Thread safe. */
#ifndef GY_BASE_MEND_H
#define GY_BASE_MEND_H

/* Take the parts of characters out of a terminated text that cuts have left in it. Bytes that begin
 * no character stay as they are. */
void gy_str_mend(char *text);

#endif
