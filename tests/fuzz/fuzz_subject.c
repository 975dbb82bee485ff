/* SPDX-License-Identifier: Apache-2.0 */
/* An id (the first line) and a text. Who knows the id and who knows only its keyed hash must find
 * the same places; a blanked text names nobody; of a table every byte either stays, in order, or
 * goes with a row; and a letter is read as both know it. */
#include <sys/mman.h>
#include <unistd.h>

#include "base/limits.h"
#include "data/subject_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80;
}

/* A hash is looked for from word to word, within so many. */
static bool is_found_by_hash(struct gy_str id)
{
    size_t words = 0;
    for (size_t i = 0; i < id.n; i++) {
        words += is_word(id.p[i]) && (i == 0 || !is_word(id.p[i - 1]));
    }
    return is_word(id.p[0]) && is_word(id.p[id.n - 1]) && words <= GY_SUBJECT_MAX_WORDS;
}

static void check_text(const struct gy_subject *by_id, const struct gy_subject *by_hash,
                       struct gy_str text)
{
    size_t at = 0, n = 0, at2 = 0, n2 = 0;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf out;
    GY_REQUIRE(gy_subject_is(by_id, text) == gy_subject_is(by_hash, text));
    bool found = gy_subject_named(by_id, text, &at, &n);
    if (found) {
        GY_REQUIRE(n > 0 && at <= text.n && n <= text.n - at);
    }
    if (!is_found_by_hash(by_id->id)) {
        return;
    }
    GY_REQUIRE(found == gy_subject_named(by_hash, text, &at2, &n2));
    GY_REQUIRE(!found || (at == at2 && n == n2));
    gy_buf_init(&out, 16 * GY_MIB);
    gy_subject_blank(by_id, text, &out);
    if (out.failed == GY_OK && gy_str_find(by_id->id, '[') == SIZE_MAX &&
        gy_str_find(by_id->id, ']') == SIZE_MAX) {
        GY_REQUIRE(!gy_subject_named(by_id, gy_buf_str(&out), NULL, NULL));
    }
}

struct kept {
    struct gy_str whole;
    size_t at, n;
};

/* What stays is a subsequence of pieces of the file, in order. */
static gy_status keep(void *ctx, struct gy_str bytes, struct gy_err *err)
{
    struct kept *k = ctx;
    (void)err;
    k->n += bytes.n;
    while (k->at + bytes.n <= k->whole.n && memcmp(k->whole.p + k->at, bytes.p, bytes.n) != 0) {
        k->at++;
    }
    GY_REQUIRE(k->at + bytes.n <= k->whole.n);
    k->at += bytes.n;
    return GY_OK;
}

static void check_table(const struct gy_subject *s, struct gy_str text, bool lines)
{
    static const struct gy_str columns[] = {{"patient", 7}};
    struct kept k = {.whole = text};
    struct gy_subject_scan scan = {.subject = s,
                                   .columns = columns,
                                   .n_columns = 1,
                                   .mentions = true,
                                   .keep = keep,
                                   .ctx = &k};
    int fd = memfd_create("subject", MFD_CLOEXEC);
    if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n || lseek(fd, 0, SEEK_SET) != 0) {
        (void)close(fd);
        return;
    }
    gy_status status = lines ? gy_subject_scan_lines(&scan, fd, (int64_t)text.n, NULL)
                             : gy_subject_scan_csv(&scan, fd, (int64_t)text.n, NULL);
    GY_REQUIRE(status != GY_OK || scan.hits + scan.named > 0 || k.n == text.n);
    GY_REQUIRE(scan.hits + scan.named <= scan.rows);
    (void)close(fd);
}

static void check_letter(const struct gy_subject *s, struct gy_str text)
{
    static const struct gy_str columns[] = {{"patient", 7}};
    GY_AUTO(gy_subject_letter_reader_free) struct gy_subject_letter_reader *r = NULL;
    if (gy_subject_letter_reader_new(s, columns, 1, &r, NULL) == GY_OK) {
        bool first = gy_subject_letter_is(r, text);
        GY_REQUIRE(first == gy_subject_letter_is(r, text));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gy_str rest = gy_str_n((const char *)data, size), id = GY_STR_NULL;
    static const struct gy_erasure_key key = {.hash_key = {1, 2, 3}};
    unsigned char hash[1][GY_ERASURE_HASH];
    struct gy_subject by_id, by_hash;
    if (!gy_str_next(&rest, '\n', &id) || gy_subject_init(&by_id, id, NULL) != GY_OK || !rest.p) {
        return 0;
    }
    gy_erasure_hash(&key, by_id.id, hash[0]);
    gy_subject_init_hashes(&by_hash, &key, hash, 1);
    check_text(&by_id, &by_hash, rest);
    check_table(&by_id, rest, false);
    check_table(&by_id, rest, true);
    check_letter(&by_id, rest);
    return 0;
}
