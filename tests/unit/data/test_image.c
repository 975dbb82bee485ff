/* SPDX-License-Identifier: Apache-2.0 */
/* gy_image: every kind of PNG and JPEG gives the samples that were written; damage of any kind is
 * an error; what images of a column are checked for. */
#include "../unit.h"

#include <sys/stat.h>

#include "data/image.h"
#include "pictures.h"

static char g_dir[64];

static int set_up(void **state)
{
    (void)state;
    scratch_make(g_dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_done(g_dir);
    return 0;
}

static int grey(int r, int g, int b)
{
    return (int)((r * 0.299 + g * 0.587 + b * 0.114) + 0.5);
}

/* What a sample should be in an image of n channels, made of p; inks: CMYK as colours. */
static int expected(const struct picture *p, bool inks, int x, int y, int channel, int n)
{
    int s[4];
    for (int i = 0; i < 4; i++) {
        s[i] = picture_sample(p, x, y, i);
    }
    if (inks) {
        for (int i = 0; i < 3; i++) {
            s[i] = s[i] * s[3] / 255; /* libjpeg writes inks upside down, as Adobe does */
        }
    }
    const int from = inks ? 3 : p->channels;
    if (channel == n - 1 && (n == 2 || n == 4)) {
        return from == 2 || from == 4 ? s[from - 1] : 255;
    }
    if (n <= 2) {
        return from <= 2 ? s[0] : grey(s[0], s[1], s[2]);
    }
    return from <= 2 ? s[0] : s[channel];
}

static void check_decoded(struct gy_str bytes, const struct picture *p, bool inks, int n, int slack)
{
    GY_AUTO_DONE(gy_image_done) struct gy_image image = {0};
    struct gy_err err = GY_ERR_INIT;
    assert_status(GY_OK, gy_image_decode(bytes, n, &image, &err), err);
    assert_int_equal(image.width, p->width);
    assert_int_equal(image.height, p->height);
    n = n ? n : inks ? 3 : p->channels;
    assert_int_equal(image.channels, n);
    const uint8_t *at = image.pixels;
    for (int y = 0; y < p->height; y++) {
        for (int x = 0; x < p->width; x++) {
            for (int c = 0; c < n; c++, at++) {
                int want = expected(p, inks, x, y, c, n);
                if (abs(*at - want) > slack) {
                    fail_msg("%dx%d, %d channels of %d: (%d,%d,%d) is %d, not %d", p->width,
                             p->height, n, p->channels, x, y, c, *at, want);
                }
            }
        }
    }
}

static void check_picture(const struct picture *p, bool jpeg)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct gy_image_info info, again;
    struct gy_err err = GY_ERR_INIT;
    const bool inks = jpeg && p->channels == 4;
    gy_buf_init(&b, GY_MIB);
    jpeg ? picture_jpeg(p, &b) : picture_png(p, &b);
    assert_status(GY_OK, gy_image_info(gy_buf_str(&b), &info, &err), err);
    assert_status(GY_OK, gy_image_verify(gy_buf_str(&b), &again, &err), err);
    assert_int_equal(info.format, jpeg ? GY_IMAGE_JPEG : GY_IMAGE_PNG);
    assert_true(info.width == p->width && info.height == p->height);
    assert_int_equal(info.channels, inks ? 3 : p->channels);
    assert_memory_equal(&info, &again, sizeof info);
    for (int n = 0; n <= 4; n++) {
        /* Rounding; JPEG also loses some, and more of colours that it stores coarser. */
        check_decoded(gy_buf_str(&b), p, inks, n, jpeg ? 9 : n && n <= 2 ? 1 : 0);
    }
}

static void test_png(void **state)
{
    (void)state;
    static const struct picture kinds[] = {
        {.channels = 1, .bits = 1},       {.channels = 1, .bits = 2},
        {.channels = 1, .bits = 4},       {.channels = 1},
        {.channels = 1, .bits = 16},      {.channels = 2},
        {.channels = 2, .bits = 16},      {.channels = 3},
        {.channels = 3, .bits = 16},      {.channels = 4},
        {.channels = 4, .bits = 16},      {.channels = 3, .palette = true},
        {.channels = 4, .palette = true}, {.channels = 3, .palette = true, .bits = 4},
    };
    static const int sizes[][2] = {{1, 1}, {7, 5}, {33, 18}, {3, 40}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            struct picture p = kinds[i];
            p.width = sizes[k][0];
            p.height = sizes[k][1];
            check_picture(&p, false);
            p.interlaced = true;
            check_picture(&p, false);
        }
    }
}

static void test_jpeg(void **state)
{
    (void)state;
    for (int channels = 1; channels <= 4; channels++) {
        struct picture p = {.width = 40, .height = 23, .channels = channels};
        if (channels != 2) {
            check_picture(&p, true);
            p.progressive = true;
            check_picture(&p, true);
        }
    }
    struct picture p = {.width = 17, .height = 9, .channels = 3, .separate = true};
    check_picture(&p, true);
}

/* No prefix of a file decodes, and none is mistaken for whole. */
static void test_cut_off(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
        struct picture p = {.width = 19,
                            .height = 12,
                            .channels = 3,
                            .interlaced = kind == 1,
                            .progressive = kind == 3};
        gy_buf_init(&b, GY_MIB);
        kind < 2 ? picture_png(&p, &b) : picture_jpeg(&p, &b);
        for (size_t n = 0; n < b.n; n++) {
            struct gy_image_info info;
            struct gy_err err = GY_ERR_INIT;
            gy_status status = gy_image_verify(gy_str_n(b.p, n), &info, &err);
            if (status != GY_E_PARSE || !err.msg[0]) {
                fail_msg("kind %d: %zu of %zu bytes gave %s", kind, n, b.n, gy_status_name(status));
            }
        }
    }
}

/* A PNG has checksums: any changed byte of what makes the pixels is found. Of a JPEG not each is,
 * but nothing worse may come of it. */
static void test_changed_bytes(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
        struct picture p = {.width = 23,
                            .height = 11,
                            .channels = 3,
                            .interlaced = kind == 1,
                            .progressive = kind == 3};
        gy_buf_init(&b, GY_MIB);
        kind < 2 ? picture_png(&p, &b) : picture_jpeg(&p, &b);
        for (size_t i = 0; i < b.n * 8; i++) {
            struct gy_image image = {0};
            struct gy_err err = GY_ERR_INIT;
            char was = b.p[i / 8];
            b.p[i / 8] = (char)(was ^ (1 << (i % 8)));
            gy_status status = gy_image_decode(gy_buf_str(&b), 0, &image, &err);
            b.p[i / 8] = was;
            gy_image_done(&image);
            if (kind < 2 ? status == GY_OK : status == GY_E_NOMEM) {
                fail_msg("kind %d: bit %zu of %zu: %s", kind, i, b.n * 8, gy_status_name(status));
            }
        }
    }
}

static void check_refused(struct gy_str bytes, gy_status want, const char *message)
{
    struct gy_image image = {0};
    struct gy_image_info info;
    struct gy_err err = GY_ERR_INIT;
    assert_status(want, gy_image_decode(bytes, 0, &image, &err), err);
    assert_null(image.pixels);
    if (!strstr(err.msg, message)) {
        fail_msg("'%s' does not hold '%s'", err.msg, message);
    }
    assert_int_equal(gy_image_verify(bytes, &info, NULL), want);
}

static void put32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (char)(v >> (24 - 8 * i));
    }
}

static uint32_t crc32_of(const char *p, size_t n)
{
    uint32_t c = 0xffffffffU;
    for (size_t i = 0; i < n; i++) {
        c ^= (unsigned char)p[i];
        for (int k = 0; k < 8; k++) {
            c = c & 1 ? 0xedb88320U ^ (c >> 1) : c >> 1;
        }
    }
    return ~c;
}

/* A header may claim any size: nothing is allocated for it. */
static void test_limits(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b;
    struct picture p = {.width = 8, .height = 8, .channels = 3};
    gy_buf_init(&b, GY_MIB);
    picture_png(&p, &b);
    put32(b.p + 16, 60000);
    put32(b.p + 20, 60000);
    put32(b.p + 29, crc32_of(b.p + 12, 17));
    check_refused(gy_buf_str(&b), GY_E_TOOBIG, "60000 x 60000 pixels");
    put32(b.p + 16, 70000);
    put32(b.p + 29, crc32_of(b.p + 12, 17));
    check_refused(gy_buf_str(&b), GY_E_PARSE, "does not decode");
    put32(b.p + 16, 0);
    put32(b.p + 29, crc32_of(b.p + 12, 17));
    check_refused(gy_buf_str(&b), GY_E_PARSE, "does not decode");
    gy_buf_reset(&b);
    picture_jpeg(&p, &b);
    size_t at = gy_str_find_str(gy_buf_str(&b), GY_STR("\xff\xc0")); /* SOF0 */
    assert_true(at != SIZE_MAX);
    memcpy(b.p + at + 5, "\xea\x60\xea\x60", 4);
    check_refused(gy_buf_str(&b), GY_E_TOOBIG, "60000 x 60000 pixels");
    check_refused(GY_STR(""), GY_E_PARSE, "an empty file");
    check_refused(GY_STR("GIF89a"), GY_E_PARSE, "neither a PNG nor a JPEG");
    check_refused(gy_str_n(b.p, 3), GY_E_PARSE, "does not decode");
    struct gy_image image;
    assert_int_equal(gy_image_decode(gy_buf_str(&b), 5, &image, NULL), GY_E_INVALID);
}

/* Scans repeated without end would cost a pass each. */
static void test_many_scans(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b, bomb;
    struct picture p = {.width = 64, .height = 64, .channels = 3, .separate = true};
    gy_buf_init(&b, GY_MIB);
    gy_buf_init(&bomb, 64 * GY_MIB);
    picture_jpeg(&p, &b);
    struct gy_str all = gy_buf_str(&b);
    size_t at = 0;
    for (size_t next; (next = gy_str_find_str(gy_str_sub(all, at + 2, SIZE_MAX),
                                              GY_STR("\xff\xda"))) != SIZE_MAX;) {
        at += 2 + next; /* the last scan */
    }
    /* Its Huffman tables stand before it and stay valid. */
    struct gy_str scan = gy_str_sub(all, at, all.n - 2 - at);
    for (int times = 1; times <= 200; times += 199) {
        gy_buf_reset(&bomb);
        gy_buf_add(&bomb, gy_str_sub(all, 0, at));
        for (int i = 0; i < times; i++) {
            gy_buf_add(&bomb, scan);
        }
        gy_buf_add(&bomb, GY_STR("\xff\xd9"));
        if (times == 1) {
            struct gy_image_info info;
            struct gy_err err = GY_ERR_INIT;
            assert_status(GY_OK, gy_image_verify(gy_buf_str(&bomb), &info, &err), err);
        } else {
            check_refused(gy_buf_str(&bomb), GY_E_PARSE, "more than 100 scans");
        }
    }
}

static void put_file(const char *name, struct gy_str bytes)
{
    char path[GY_MAX_PATH];
    struct gy_err err = GY_ERR_INIT;
    assert_int_equal(gy_path_join(path, sizeof path, g_dir, name, NULL), GY_OK);
    assert_status(GY_OK, gy_file_write(path, bytes, 0644, &err), err);
}

static void test_check(void **state)
{
    (void)state;
    GY_AUTO_DONE(gy_buf_done) struct gy_buf b, why;
    struct picture p = {.width = 30, .height = 20, .channels = 3};
    char path[GY_MAX_PATH];
    gy_buf_init(&b, GY_MIB);
    gy_buf_init(&why, GY_MIB);
    picture_png(&p, &b);
    put_file("a.png", gy_buf_str(&b));
    put_file("cut.png", gy_str_n(b.p, b.n - 1));
    put_file("empty.png", GY_STR(""));
    put_file("text.png", GY_STR("hello"));
    assert_int_equal(gy_path_join(path, sizeof path, g_dir, "pipe", NULL), GY_OK);
    assert_int_equal(mkfifo(path, 0600), 0);
    char inside[128];
    (void)snprintf(inside, sizeof inside, "../%s/a.png", strrchr(g_dir, '/') + 1);
    static const struct gy_column any = {.type = GY_TYPE_IMAGE};
    static const struct gy_column fits = {.width = 30, .height = 20, .channels = 3};
    static const struct gy_column wide = {.width = 31, .height = 20};
    static const struct gy_column other = {.width = 1, .height = 2, .channels = 1};
    const struct {
        const char *name;
        const struct gy_column *column;
        enum gy_image_fault fault;
        const char *why;
    } cases[] = {
        {"a.png", &any, GY_IMAGE_FINE, ""},
        {"a.png", &fits, GY_IMAGE_FINE, ""},
        {"a.png", &wide, GY_IMAGE_SIZE, "has width 30, not 31"},
        {"a.png", &other, GY_IMAGE_SIZE,
         "has width 30, not 1, height 20, not 2, channels 3, not 1"},
        {"b.png", &any, GY_IMAGE_NO_FILE, "is no file beside the data"},
        {".", &any, GY_IMAGE_NO_FILE, "is no file beside the data"},
        {"pipe", &any, GY_IMAGE_NO_FILE, "is no file beside the data"},
        {inside, &any, GY_IMAGE_NO_FILE, "is no file beside the data"},
        {"/etc/hostname", &any, GY_IMAGE_NO_FILE, "is no file beside the data"},
        {"cut.png", &any, GY_IMAGE_BROKEN, "is a PNG that does not decode: the file is cut off"},
        {"empty.png", &any, GY_IMAGE_BROKEN, "is an empty file"},
        {"text.png", &fits, GY_IMAGE_BROKEN, "is neither a PNG nor a JPEG"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum gy_image_fault fault;
        struct gy_err err = GY_ERR_INIT;
        gy_buf_reset(&why);
        assert_status(
            GY_OK,
            gy_image_check(g_dir, gy_str_c(cases[i].name), cases[i].column, &fault, &why, &err),
            err);
        assert_int_equal(fault, cases[i].fault);
        assert_string_equal(why.p, cases[i].why);
    }
    /* Too large to be read at all. */
    assert_int_equal(gy_path_join(path, sizeof path, g_dir, "a.png", NULL), GY_OK);
    assert_int_equal(truncate(path, (off_t)GY_IMAGE_MAX_BYTES + 1), 0);
    enum gy_image_fault fault;
    assert_int_equal(gy_image_check(g_dir, GY_STR("a.png"), &any, &fault, &why, NULL), GY_OK);
    assert_int_equal(fault, GY_IMAGE_BROKEN);
}

static gy_status decode_all(void *ctx, struct gy_err *err)
{
    const struct gy_buf *b = ctx;
    static const struct gy_column any = {.type = GY_TYPE_IMAGE};
    GY_AUTO_DONE(gy_image_done) struct gy_image image = {0};
    GY_AUTO_DONE(gy_buf_done) struct gy_buf why;
    enum gy_image_fault fault;
    gy_buf_init(&why, GY_MIB);
    GY_TRY(gy_image_decode(gy_buf_str(&b[0]), 0, &image, err));
    gy_image_done(&image);
    GY_TRY(gy_image_decode(gy_buf_str(&b[1]), 1, &image, err));
    return gy_image_check(g_dir, GY_STR("a.jpg"), &any, &fault, &why, err);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    struct gy_buf b[2];
    struct picture p = {.width = 9, .height = 9, .channels = 3, .interlaced = true};
    gy_buf_init(&b[0], GY_MIB);
    gy_buf_init(&b[1], GY_MIB);
    picture_png(&p, &b[0]);
    picture_jpeg(&p, &b[1]);
    put_file("a.jpg", gy_buf_str(&b[1]));
    torture(decode_all, b);
    gy_buf_done(&b[0]);
    gy_buf_done(&b[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png),     cmocka_unit_test(test_jpeg),
        cmocka_unit_test(test_cut_off), cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_many_scans),
        cmocka_unit_test(test_check),   cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
