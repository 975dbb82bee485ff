/* SPDX-License-Identifier: Apache-2.0 */
/* libpng and libjpeg end a failed call by longjmp. So what one decoding owns stands in a struct
 * that outlives the jump, a function that calls setjmp changes no local variable, and everything is
 * freed by its caller. */
#include "data/image.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h> /* before jpeglib.h */

#include <jpeglib.h>
#include <png.h>

#include <jerror.h>

#include "base/file.h"
#include "base/mem.h"

#define SIGNATURE_BYTES 8

/* Where rows go. */
struct sink {
    struct gy_image_info *info;
    struct gy_image *image; /* NULL: they are only looked at */
    int channels;           /* wanted; 0: as in the file */
    bool head_only;
};

struct decoder {
    jmp_buf jump;
    struct gy_str rest; /* PNG: what was not read yet */
    struct sink *sink;
    uint8_t *rows; /* one row, or of an interlaced PNG that is kept all, as the file has them */
    gy_status failed;
    char why[160];
    /* JPEG */
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
};

static gy_status no_memory(struct gy_err *err)
{
    return gy_err_set(err, GY_E_NOMEM, "out of memory for an image");
}

void gy_image_done(struct gy_image *image)
{
    if (image) {
        gy_free(image->pixels);
        *image = (struct gy_image){0};
    }
}

/* ---- rows ---- */

/* Weights of ITU-R 601, as other tools round them. */
static uint8_t grey_of(const uint8_t *p)
{
    return (uint8_t)((p[0] * 19595U + p[1] * 38470U + p[2] * 7471U + 0x8000U) >> 16);
}

static void convert_row(const uint8_t *from, int n_from, uint8_t *to, int n_to, int width)
{
    if (n_from == n_to) {
        memcpy(to, from, (size_t)width * (size_t)n_to);
        return;
    }
    for (int x = 0; x < width; x++, from += n_from, to += n_to) {
        const bool alpha = n_from == 2 || n_from == 4;
        if (n_to <= 2) {
            to[0] = n_from <= 2 ? from[0] : grey_of(from);
        } else {
            to[0] = from[0];
            to[1] = n_from <= 2 ? from[0] : from[1];
            to[2] = n_from <= 2 ? from[0] : from[2];
        }
        if (n_to == 2 || n_to == 4) {
            to[n_to - 1] = alpha ? from[n_from - 1] : 255;
        }
    }
}

/* After the header: is it one that we take, and room for what is kept. */
static gy_status begin_rows(struct sink *s, enum gy_image_format format, int64_t width,
                            int64_t height, int channels, struct gy_err *err)
{
    if (width < 1 || height < 1 || width > GY_IMAGE_MAX_SIDE || height > GY_IMAGE_MAX_SIDE ||
        width * height > GY_IMAGE_MAX_PIXELS) {
        return gy_err_set(err, GY_E_TOOBIG, "%lld x %lld pixels; an image has at most %d",
                          (long long)width, (long long)height, GY_IMAGE_MAX_PIXELS);
    }
    *s->info = (struct gy_image_info){format, (int)width, (int)height, channels};
    if (!s->image) {
        return GY_OK;
    }
    const int n = s->channels ? s->channels : channels;
    s->image->width = (int)width;
    s->image->height = (int)height;
    s->image->channels = n;
    s->image->pixels = gy_malloc((size_t)width * (size_t)height * (size_t)n);
    return s->image->pixels ? GY_OK : no_memory(err);
}

static void take_row(struct sink *s, const uint8_t *row, int y)
{
    struct gy_image *image = s->image;
    if (image) {
        size_t stride = (size_t)image->width * (size_t)image->channels;
        convert_row(row, s->info->channels, image->pixels + (size_t)y * stride, image->channels,
                    image->width);
    }
}

/* ---- PNG ---- */

static void png_failed(png_structp png, png_const_charp message)
{
    struct decoder *d = png_get_error_ptr(png);
    (void)snprintf(d->why, sizeof d->why, "%s", message);
    d->failed = GY_E_PARSE;
    longjmp(d->jump, 1);
}

static void png_warned(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message; /* what does not touch the pixels: unknown or damaged ancillary chunks */
}

static void png_read(png_structp png, png_bytep to, png_size_t n)
{
    struct decoder *d = png_get_io_ptr(png);
    if (n > d->rest.n) {
        png_error(png, "the file is cut off");
    }
    memcpy(to, d->rest.p, n);
    d->rest = gy_str_sub(d->rest, n, SIZE_MAX);
}

/* Chunks that do not change pixels are skipped unread: they could be bombs. */
static void png_skip_extras(png_structp png)
{
    static const png_byte names[] = "iCCP\0zTXt\0iTXt\0tEXt\0sPLT\0eXIf\0hIST\0tIME\0"
                                    "pCAL\0sCAL\0oFFs\0pHYs\0bKGD\0cHRM\0gAMA\0sRGB\0sBIT";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, (int)(sizeof names / 5));
}

/* Samples of 8 bits, colours instead of a palette. Returns the channels. */
static int png_simplify(png_structp png, png_infop info)
{
    png_set_expand(png);
    png_set_scale_16(png);
    (void)png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return png_get_channels(png, info);
}

/* Returns false when it fails; err is filled then, or d->why. */
static bool png_rows(struct decoder *d, png_structp png, png_infop info, struct gy_err *err)
{
    if (setjmp(d->jump)) {
        return false;
    }
    png_set_read_fn(png, d, png_read);
    png_set_user_limits(png, GY_IMAGE_MAX_SIDE, GY_IMAGE_MAX_SIDE);
    png_set_chunk_malloc_max(png, 8 * GY_MIB);
    png_skip_extras(png);
    png_read_info(png, info);
    const int width = (int)png_get_image_width(png, info);
    const int height = (int)png_get_image_height(png, info);
    const int passes = png_get_interlace_type(png, info) == PNG_INTERLACE_ADAM7 ? 7 : 1;
    const int channels = png_simplify(png, info);
    d->failed = begin_rows(d->sink, GY_IMAGE_PNG, width, height, channels, err);
    if (d->failed != GY_OK || d->sink->head_only) {
        return d->failed == GY_OK;
    }
    const size_t stride = png_get_rowbytes(png, info);
    const bool whole = passes > 1 && d->sink->image;
    d->rows = gy_calloc(whole ? (size_t)height : 1, stride);
    if (!d->rows) {
        d->failed = no_memory(err);
        return false;
    }
    for (int pass = 0; pass < passes; pass++) {
        for (int y = 0; y < height; y++) {
            uint8_t *row = d->rows + (whole ? (size_t)y * stride : 0);
            png_read_row(png, row, NULL);
            if (pass == passes - 1) {
                take_row(d->sink, row, y);
            }
        }
    }
    png_read_end(png, NULL);
    return true;
}

static gy_status decode_png(struct decoder *d, struct gy_str bytes, struct gy_err *err)
{
    d->rest = bytes;
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, png_failed, png_warned);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return no_memory(err);
    }
    bool ok = png_rows(d, png, info, err);
    png_destroy_read_struct(&png, &info, NULL);
    if (!ok && d->why[0]) {
        return gy_err_set(err, GY_E_PARSE, "a PNG that does not decode: %s", d->why);
    }
    return d->failed;
}

/* ---- JPEG ---- */

static void jpeg_failed(j_common_ptr cinfo)
{
    struct decoder *d = cinfo->client_data;
    char text[JMSG_LENGTH_MAX];
    (*cinfo->err->format_message)(cinfo, text);
    (void)snprintf(d->why, sizeof d->why, "%s", text);
    int code = cinfo->err->msg_code;
    d->failed = code == JERR_OUT_OF_MEMORY      ? GY_E_NOMEM
                : code == JERR_NO_BACKING_STORE ? GY_E_TOOBIG
                                                : GY_E_PARSE;
    longjmp(d->jump, 1);
}

/* A level below 0 is a warning: damage, but for some that every reader passes over. */
static void jpeg_said(j_common_ptr cinfo, int level)
{
    int code = cinfo->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM &&
        code != JWRN_JFIF_MAJOR && code != JWRN_TOO_MUCH_DATA) {
        jpeg_failed(cinfo);
    }
}

static void jpeg_progress(j_common_ptr cinfo)
{
    struct jpeg_decompress_struct *c = (struct jpeg_decompress_struct *)(void *)cinfo;
    struct decoder *d = cinfo->client_data;
    if (c->input_scan_number > GY_IMAGE_MAX_SCANS) {
        (void)snprintf(d->why, sizeof d->why, "more than %d scans", GY_IMAGE_MAX_SCANS);
        d->failed = GY_E_PARSE;
        longjmp(d->jump, 1);
    }
}

/* Four inks to three colours; Adobe's files have them upside down. */
static void cmyk_row(uint8_t *row, int width, bool upside_down)
{
    uint8_t *to = row;
    for (int x = 0; x < width; x++, row += 4, to += 3) {
        unsigned turn = upside_down ? 0 : 255;
        unsigned light = row[3] ^ turn;
        for (int i = 0; i < 3; i++) {
            to[i] = (uint8_t)(((row[i] ^ turn) * light + 127) / 255);
        }
    }
}

static bool jpeg_rows(struct decoder *d, struct jpeg_decompress_struct *c, struct gy_str bytes,
                      struct gy_err *err)
{
    if (setjmp(d->jump)) {
        return false;
    }
    jpeg_create_decompress(c);
    c->client_data = d; /* creating has cleared it */
    c->mem->max_memory_to_use = (long)GY_IMAGE_MAX_MEMORY;
    c->progress = &d->progress;
    jpeg_mem_src(c, (const unsigned char *)bytes.p, (unsigned long)bytes.n);
    (void)jpeg_read_header(c, TRUE);
    const bool cmyk = c->jpeg_color_space == JCS_CMYK || c->jpeg_color_space == JCS_YCCK;
    const bool grey = c->jpeg_color_space == JCS_GRAYSCALE;
    d->failed =
        begin_rows(d->sink, GY_IMAGE_JPEG, c->image_width, c->image_height, grey ? 1 : 3, err);
    if (d->failed != GY_OK || d->sink->head_only) {
        return d->failed == GY_OK;
    }
    c->out_color_space = cmyk ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    (void)jpeg_start_decompress(c);
    d->rows = gy_calloc(c->output_width, (size_t)c->output_components);
    if (!d->rows) {
        d->failed = no_memory(err);
        return false;
    }
    while (c->output_scanline < c->output_height) {
        int y = (int)c->output_scanline;
        JSAMPROW row = d->rows;
        (void)jpeg_read_scanlines(c, &row, 1);
        if (cmyk) {
            cmyk_row(row, (int)c->output_width, c->saw_Adobe_marker);
        }
        take_row(d->sink, row, y);
    }
    (void)jpeg_finish_decompress(c);
    return true;
}

static gy_status decode_jpeg(struct decoder *d, struct gy_str bytes, struct gy_err *err)
{
    struct jpeg_decompress_struct c = {0};
    c.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = jpeg_failed;
    d->errors.emit_message = jpeg_said;
    d->progress.progress_monitor = jpeg_progress;
    c.client_data = d;
    bool ok = jpeg_rows(d, &c, bytes, err);
    jpeg_destroy_decompress(&c);
    if (!ok && d->why[0]) {
        return d->failed == GY_E_NOMEM
                   ? no_memory(err)
                   : gy_err_set(err, d->failed, "a JPEG that does not decode: %s", d->why);
    }
    return d->failed;
}

/* ---- either ---- */

static gy_status decode(struct gy_str bytes, struct sink *sink, struct gy_err *err)
{
    if (bytes.n > GY_IMAGE_MAX_BYTES) {
        return gy_err_set(err, GY_E_TOOBIG, "a file of %zu bytes; an image has at most %zu",
                          bytes.n, GY_IMAGE_MAX_BYTES);
    }
    const bool png = gy_str_starts(bytes, gy_str_n("\x89PNG\r\n\x1a\n", SIGNATURE_BYTES));
    if (!png && !gy_str_starts(bytes, GY_STR("\xff\xd8\xff"))) {
        return gy_err_set(err, GY_E_PARSE, bytes.n ? "neither a PNG nor a JPEG" : "an empty file");
    }
    struct decoder *d = gy_calloc(1, sizeof *d);
    if (!d) {
        return no_memory(err);
    }
    d->sink = sink;
    gy_status status = png ? decode_png(d, bytes, err) : decode_jpeg(d, bytes, err);
    gy_free(d->rows);
    gy_free(d);
    return status;
}

gy_status gy_image_info(struct gy_str bytes, struct gy_image_info *ret, struct gy_err *err)
{
    struct sink sink = {.info = ret, .head_only = true};
    return decode(bytes, &sink, err);
}

gy_status gy_image_verify(struct gy_str bytes, struct gy_image_info *ret, struct gy_err *err)
{
    struct sink sink = {.info = ret};
    return decode(bytes, &sink, err);
}

gy_status gy_image_decode(struct gy_str bytes, int channels, struct gy_image *ret,
                          struct gy_err *err)
{
    struct gy_image_info info;
    *ret = (struct gy_image){0};
    if (channels < 0 || channels > 4) {
        return gy_err_set(err, GY_E_INVALID, "%d channels: 1 to 4, or 0 for those of the file",
                          channels);
    }
    struct sink sink = {.info = &info, .image = ret, .channels = channels};
    gy_status status = decode(bytes, &sink, err);
    if (status != GY_OK) {
        gy_image_done(ret);
    }
    return status;
}

/* ---- files that records name ---- */

gy_status gy_image_read(const char *folder, struct gy_str name, struct gy_buf *ret,
                        struct gy_err *err)
{
    char text[GY_MAX_PATH], path[GY_MAX_PATH];
    GY_TRY(gy_path_check_relative(name, err));
    if (name.n >= sizeof text) {
        return gy_err_set(err, GY_E_INVALID, "the path is too long");
    }
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    GY_TRY(gy_path_join(path, sizeof path, folder, text, err));
    int64_t size = gy_file_size(path); /* opening a pipe would wait */
    if (size < 0) {
        return gy_err_set(err, GY_E_NOTFOUND, "no file");
    }
    if (size > (int64_t)GY_IMAGE_MAX_BYTES) {
        return gy_err_set(err, GY_E_TOOBIG, "a file of %lld bytes; an image has at most %zu",
                          (long long)size, GY_IMAGE_MAX_BYTES);
    }
    return gy_file_read(path, ret, err);
}

/* What a failure says of the file; GY_IMAGE_FINE: nothing, it is ours. */
static enum gy_image_fault fault_of(gy_status status, bool read)
{
    if (status == GY_E_NOMEM || status == GY_E_IO) {
        return GY_IMAGE_FINE;
    }
    return read || status == GY_E_TOOBIG ? GY_IMAGE_BROKEN : GY_IMAGE_NO_FILE;
}

static bool add_size(const char *what, int got, int wanted, bool more, struct gy_buf *why)
{
    if (wanted == 0 || got == wanted) {
        return false;
    }
    gy_buf_addf(why, "%s%s %d, not %d", more ? ", " : "has ", what, got, wanted);
    return true;
}

gy_status gy_image_check(const char *folder, struct gy_str name, const struct gy_column *column,
                         enum gy_image_fault *ret, struct gy_buf *why, struct gy_err *err)
{
    GY_AUTO_DONE(gy_buf_done) struct gy_buf bytes;
    struct gy_image_info info;
    struct gy_err said = GY_ERR_INIT;
    gy_buf_init(&bytes, GY_IMAGE_MAX_BYTES);
    *ret = GY_IMAGE_FINE;
    gy_status status = gy_image_read(folder, name, &bytes, &said);
    const bool read = status == GY_OK;
    if (read) {
        status = gy_image_verify(gy_buf_str(&bytes), &info, &said);
    }
    if (status != GY_OK) {
        *ret = fault_of(status, read);
        if (*ret == GY_IMAGE_FINE) {
            return gy_err_set(err, status, "looking at the image '%" GY_STR_F "': %s",
                              GY_STR_A(gy_str_sub(name, 0, 200)), said.msg);
        }
        gy_buf_addc(why, *ret == GY_IMAGE_BROKEN ? "is "
                         : status == GY_E_DENIED ? "is a file that may not be read"
                                                 : "is no file beside the data");
        gy_buf_addc(why, *ret == GY_IMAGE_BROKEN ? said.msg : "");
        return GY_OK;
    }
    bool off = add_size("width", info.width, column->width, false, why);
    off |= add_size("height", info.height, column->height, off, why);
    off |= add_size("channels", info.channels, column->channels, off, why);
    *ret = off ? GY_IMAGE_SIZE : GY_IMAGE_FINE;
    return GY_OK;
}
