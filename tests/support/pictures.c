/* SPDX-License-Identifier: Apache-2.0 */
#include "pictures.h"

#include <stdio.h> /* before jpeglib.h */
#include <stdlib.h>

#include <jpeglib.h>
#include <png.h>

#define MAX_WIDTH 4096
#define MAX_SAMPLES 4

uint8_t picture_sample(const struct picture *p, int x, int y, int channel)
{
    if (p->palette) { /* 16 colours */
        int i = (x + y) % 16;
        static const int factor[MAX_SAMPLES] = {16, 9, 5, 15};
        return (uint8_t)(255 - i * factor[channel]);
    }
    int bits = p->bits && p->bits < 8 ? p->bits : 8;
    int levels = 1 << bits;
    if (bits < 8) {
        return (uint8_t)((x + 2 * y + channel) % levels * 255 / (levels - 1));
    }
    static const int slope[MAX_SAMPLES][2] = {{3, 1}, {1, 2}, {2, 0}, {0, 3}};
    return (uint8_t)((20 + channel * 30 + (x * slope[channel][0] + y * slope[channel][1]) / 2) &
                     255);
}

static void png_put(png_structp png, png_bytep bytes, png_size_t n)
{
    gy_buf_add_bytes(png_get_io_ptr(png), bytes, n);
}

static void png_flushed(png_structp png)
{
    (void)png;
}

static void png_row(const struct picture *p, int y, uint8_t *row)
{
    size_t at = 0;
    for (int x = 0; x < p->width; x++) {
        if (p->palette) {
            row[at++] = (uint8_t)((x + y) % 16);
            continue;
        }
        for (int c = 0; c < p->channels; c++) {
            uint8_t v = picture_sample(p, x, y, c);
            if (p->bits && p->bits < 8) { /* a byte a sample: libpng packs them */
                v = (uint8_t)(v * ((1 << p->bits) - 1) / 255);
            }
            row[at++] = v;
            if (p->bits == 16) {
                row[at++] = v; /* v * 257 */
            }
        }
    }
}

static void png_colours(const struct picture *p, png_structp png, png_infop info)
{
    png_color colours[16];
    png_byte alpha[16];
    for (int i = 0; i < 16; i++) {
        colours[i] = (png_color){picture_sample(p, i, 0, 0), picture_sample(p, i, 0, 1),
                                 picture_sample(p, i, 0, 2)};
        alpha[i] = picture_sample(p, i, 0, 3);
    }
    png_set_PLTE(png, info, colours, 16);
    if (p->channels == 4) {
        png_set_tRNS(png, info, alpha, 16, NULL);
    }
}

void picture_png(const struct picture *p, struct gy_buf *out)
{
    static const int types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    uint8_t *row = malloc((size_t)MAX_WIDTH * MAX_SAMPLES * 2);
    if (!info || !row || p->width > MAX_WIDTH || setjmp(png_jmpbuf(png))) {
        abort();
    }
    png_set_write_fn(png, out, png_put, png_flushed);
    png_set_IHDR(png, info, (png_uint_32)p->width, (png_uint_32)p->height, p->bits ? p->bits : 8,
                 p->palette ? PNG_COLOR_TYPE_PALETTE : types[p->channels],
                 p->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (p->palette) {
        png_colours(p, png, info);
    }
    png_write_info(png, info);
    png_set_packing(png);
    for (int pass = png_set_interlace_handling(png); pass > 0; pass--) {
        for (int y = 0; y < p->height; y++) {
            png_row(p, y, row);
            png_write_row(png, row);
        }
    }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    free(row);
}

/* One scan for each of three components, and of one coefficient range for all. */
static const jpeg_scan_info separate_scans[] = {
    {1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};

void picture_jpeg(const struct picture *p, struct gy_buf *out)
{
    struct jpeg_compress_struct c = {0};
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long n = 0;
    c.err = jpeg_std_error(&errors); /* a failure ends the test */
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &n);
    c.image_width = (JDIMENSION)p->width;
    c.image_height = (JDIMENSION)p->height;
    c.input_components = p->channels;
    c.in_color_space = p->channels == 1 ? JCS_GRAYSCALE : p->channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 97, TRUE);
    if (p->progressive) {
        jpeg_simple_progression(&c);
    }
    if (p->separate) {
        c.scan_info = separate_scans;
        c.num_scans = 3;
    }
    jpeg_start_compress(&c, TRUE);
    uint8_t *row = malloc((size_t)p->width * MAX_SAMPLES);
    if (!row) {
        abort();
    }
    while (c.next_scanline < c.image_height) {
        JSAMPROW rows = row;
        png_row(p, (int)c.next_scanline, row);
        (void)jpeg_write_scanlines(&c, &rows, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    gy_buf_add_bytes(out, bytes, n);
    free(bytes);
    free(row);
}
