/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/stretch.h"

#include "serve/endpoint.h"

static void drop(struct gy_stretches *s, size_t i)
{
    memmove(&s->at[i], &s->at[i + 1], (s->n - i - 1) * sizeof s->at[0]);
    s->n--;
}

/* false: there is no room. */
static bool insert(struct gy_stretches *s, size_t i, struct gy_stretch one)
{
    if (s->n == GY_STRETCHES_MAX) {
        return false;
    }
    memmove(&s->at[i + 1], &s->at[i], (s->n - i) * sizeof s->at[0]);
    s->at[i] = one;
    s->n++;
    return true;
}

static uint64_t lots_of(const struct gy_stretches *s, int64_t version)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        n += s->at[i].version == version ? s->at[i].to - s->at[i].from : 0;
    }
    return n;
}

static void give_back(struct gy_stretches *s, int64_t version, uint64_t lots)
{
    for (size_t i = s->n; i > 0 && lots > 0; i--) {
        struct gy_stretch *one = &s->at[i - 1];
        if (one->version != version) {
            continue;
        }
        uint64_t has = one->to - one->from;
        uint64_t less = has < lots ? has : lots;
        one->to -= less;
        lots -= less;
        if (one->to == one->from) {
            drop(s, i - 1);
        }
    }
}

/* From the gaps, the lowest first. false: there is no room for so many pieces. */
static bool take(struct gy_stretches *s, int64_t version, uint64_t lots)
{
    uint64_t end = 0; /* of the stretch before */
    for (size_t i = 0; i <= s->n && lots > 0; i++) {
        uint64_t next = i < s->n ? s->at[i].from : GY_LOTS;
        uint64_t n = next - end < lots ? next - end : lots;
        struct gy_stretch *before = i ? &s->at[i - 1] : NULL;
        if (n && before && before->version == version) {
            before->to += n;
        } else if (n && !insert(s, i, (struct gy_stretch){end, end + n, version})) {
            return false;
        } else if (n) {
            i++;
        }
        lots -= n;
        end = i < s->n ? s->at[i].to : GY_LOTS;
    }
    return true;
}

static void merge(struct gy_stretches *s)
{
    for (size_t i = 1; i < s->n;) {
        if (s->at[i - 1].version == s->at[i].version && s->at[i - 1].to == s->at[i].from) {
            s->at[i - 1].to = s->at[i].to;
            drop(s, i);
        } else {
            i++;
        }
    }
}

static bool is_listed(const struct gy_stretch_share *shares, size_t n, int64_t version)
{
    bool listed = false;
    for (size_t i = 0; i < n; i++) {
        listed = listed || shares[i].version == version;
    }
    return listed;
}

/* One after the other from 0 on: what may cost a key its place, but never fails. */
static void deal(struct gy_stretches *s, const struct gy_stretch_share *shares, size_t n)
{
    uint64_t from = 0;
    s->n = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t lots = gy_share_cut(shares[i].share);
        if (lots) {
            s->at[s->n++] = (struct gy_stretch){from, from + lots, shares[i].version};
        }
        from += lots;
    }
}

void gy_stretches_weigh(struct gy_stretches *s, const struct gy_stretch_share *shares, size_t n)
{
    GY_REQUIRE(n <= GY_CANARIES_MAX);
    for (size_t i = s->n; i > 0; i--) {
        if (!is_listed(shares, n, s->at[i - 1].version)) {
            drop(s, i - 1);
        }
    }
    for (size_t i = 0; i < n; i++) { /* first all that is given back */
        uint64_t has = lots_of(s, shares[i].version);
        uint64_t wants = gy_share_cut(shares[i].share);
        give_back(s, shares[i].version, has > wants ? has - wants : 0);
    }
    bool fits = true;
    for (size_t i = 0; i < n && fits; i++) {
        uint64_t has = lots_of(s, shares[i].version);
        uint64_t wants = gy_share_cut(shares[i].share);
        fits = take(s, shares[i].version, wants > has ? wants - has : 0);
        merge(s);
    }
    if (!fits) {
        deal(s, shares, n);
    }
}

int64_t gy_stretches_version(const struct gy_stretches *s, uint64_t lot)
{
    for (size_t i = 0; i < s->n; i++) {
        if (lot < s->at[i].to) {
            return lot >= s->at[i].from ? s->at[i].version : 0;
        }
    }
    return 0;
}

/* ---- frozen ---- */

void gy_stretches_write(struct gy_jw *w, const struct gy_stretches *s, int64_t version)
{
    size_t n = 0;
    uint64_t first = 1;
    for (size_t i = s->n; i > 0; i--) {
        n += s->at[i - 1].version == version;
        first = s->at[i - 1].version == version ? s->at[i - 1].from : first;
    }
    if (n == 0 || (n == 1 && first == 0)) {
        return;
    }
    gy_jw_key(w, "lots");
    gy_jw_arr(w);
    for (size_t i = 0; i < s->n; i++) {
        if (s->at[i].version == version) {
            gy_jw_arr(w);
            gy_jw_f64(w, (double)s->at[i].from / (double)GY_LOTS);
            gy_jw_f64(w, (double)s->at[i].to / (double)GY_LOTS);
            gy_jw_arr_end(w);
        }
    }
    gy_jw_arr_end(w);
}

static gy_status add(struct gy_stretches *s, struct gy_stretch one, struct gy_err *err)
{
    size_t at = 0;
    while (at < s->n && s->at[at].from < one.from) {
        at++;
    }
    bool apart = one.from < one.to && one.to <= GY_LOTS &&
                 (at == 0 || s->at[at - 1].to <= one.from) &&
                 (at == s->n || one.to <= s->at[at].from);
    return apart && insert(s, at, one)
               ? GY_OK
               : gy_err_set(err, GY_E_CORRUPT,
                            "a revision divides its traffic in a way that can not be");
}

gy_status gy_stretches_read(struct gy_stretches *s, yyjson_val *entry, int64_t version,
                            double share, struct gy_err *err)
{
    yyjson_val *list = gy_json_get(entry, "lots");
    if (!list) {
        uint64_t lots = gy_share_cut(share);
        return lots ? add(s, (struct gy_stretch){0, lots, version}, err) : GY_OK;
    }
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one)
    {
        double from = yyjson_get_num(yyjson_arr_get(one, 0));
        double to = yyjson_get_num(yyjson_arr_get(one, 1));
        bool good = from >= 0 && to <= 1;
        GY_TRY(add(s,
                   (struct gy_stretch){good ? gy_share_cut(from) : 1, good ? gy_share_cut(to) : 0,
                                       version},
                   err));
    }
    return GY_OK;
}
