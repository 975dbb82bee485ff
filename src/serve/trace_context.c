/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/trace_context.h"

#define TEXT 55 /* of version 00 */

/* Lower case alone, as the standard has it. */
static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* false: no hex digits, or all of them 0. */
static bool hex(const char *p, unsigned char *ret, size_t n)
{
    unsigned any = 0;
    for (size_t i = 0; i < n; i++) {
        int high = digit(p[2 * i]), low = digit(p[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret[i] = (unsigned char)(high * 16 + low);
        any |= ret[i];
    }
    return any != 0;
}

bool gy_trace_context(const struct gy_request *req, unsigned char ret_trace[16],
                      unsigned char ret_span[8])
{
    struct gy_str s = gy_req_header(req, "traceparent");
    /* A later version may say more behind it; ff is none. */
    bool formed = s.n >= TEXT && s.p[2] == '-' && s.p[35] == '-' && s.p[52] == '-' &&
                  digit(s.p[0]) >= 0 && digit(s.p[1]) >= 0 && !(s.p[0] == 'f' && s.p[1] == 'f') &&
                  digit(s.p[53]) >= 0 && digit(s.p[54]) >= 0;
    bool first = formed && s.p[0] == '0' && s.p[1] == '0';
    formed = formed && (first ? s.n == TEXT : s.n == TEXT || s.p[TEXT] == '-');
    if (formed && hex(s.p + 3, ret_trace, 16) && hex(s.p + 36, ret_span, 8)) {
        return true;
    }
    memset(ret_trace, 0, 16);
    memset(ret_span, 0, 8);
    return false;
}
