/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/network/weights.h"

#include <math.h>

#include "base/hash.h"
#include "base/mem.h"

#define MAGIC "GYRENET"
#define VERSION 1
#define HEAD_BYTES 64
#define LAYER_BYTES 16
#define CRC_BYTES 4

gy_status gy_net_model_init(const struct gy_net_spec *spec, struct gy_net_model *ret,
                            struct gy_err *err)
{
    struct gy_net_model m = {.spec = *spec, .out_scale = 1};
    GY_TRY(gy_net_resolve(&m.spec, err));
    size_t channels = m.spec.input.channels;
    m.shift = gy_calloc(2 * channels + m.spec.n_params, sizeof *m.shift);
    if (!m.shift) {
        return gy_err_set(err, GY_E_NOMEM, "a network of %zu parameters", m.spec.n_params);
    }
    m.scale = m.shift + channels;
    m.params = m.scale + channels;
    for (size_t i = 0; i < channels; i++) {
        m.scale[i] = 1;
    }
    *ret = m;
    return GY_OK;
}

void gy_net_model_done(struct gy_net_model *m)
{
    if (m) {
        gy_free(m->shift);
        memset(m, 0, sizeof *m);
    }
}

void gy_net_model_take(const struct gy_net_model *m, const double *x, float *out)
{
    size_t channels = m->spec.input.channels;
    size_t n = gy_net_cells(m->spec.input);
    for (size_t i = 0; i < n; i += channels) {
        for (size_t c = 0; c < channels; c++) {
            out[i + c] = ((float)x[i + c] - m->shift[c]) * m->scale[c];
        }
    }
}

/* ---- bytes ---- */

static void put_u32(struct gy_buf *out, uint32_t v)
{
    unsigned char b[4];
    for (int i = 0; i < 4; i++) {
        b[i] = (unsigned char)(v >> (8 * i));
    }
    gy_buf_add_bytes(out, b, sizeof b);
}

static void put_u64(struct gy_buf *out, uint64_t v)
{
    put_u32(out, (uint32_t)v);
    put_u32(out, (uint32_t)(v >> 32));
}

static void put_f64(struct gy_buf *out, double v)
{
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof bits);
    put_u64(out, bits);
}

static void put_f32(struct gy_buf *out, float v)
{
    uint32_t bits = 0;
    memcpy(&bits, &v, sizeof bits);
    put_u32(out, bits);
}

static uint32_t get_u32(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        v |= (uint32_t)(unsigned char)p[i] << (8 * i);
    }
    return v;
}

static uint64_t get_u64(const char *p)
{
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static double get_f64(const char *p)
{
    uint64_t bits = get_u64(p);
    double v = 0;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static float get_f32(const char *p)
{
    uint32_t bits = get_u32(p);
    float v = 0;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* ---- writing ---- */

static void put_head(const struct gy_net_model *m, struct gy_buf *out)
{
    const struct gy_net_spec *s = &m->spec;
    gy_buf_add_bytes(out, MAGIC, sizeof MAGIC); /* 8 with its NUL */
    put_u32(out, VERSION);
    put_u32(out, (uint32_t)s->n_layers);
    put_u32(out, s->input.width);
    put_u32(out, s->input.height);
    put_u32(out, s->input.channels);
    put_u32(out, (uint32_t)s->head);
    put_u64(out, s->n_params);
    put_f64(out, m->out_shift);
    put_f64(out, m->out_scale);
    put_u64(out, 0);
}

gy_status gy_net_model_write(const struct gy_net_model *m, struct gy_buf *out, struct gy_err *err)
{
    const struct gy_net_spec *s = &m->spec;
    size_t from = out->n;
    put_head(m, out);
    for (size_t i = 0; i < s->n_layers; i++) {
        put_u32(out, (uint32_t)s->layers[i].kind);
        put_u32(out, s->layers[i].units);
        put_u32(out, s->layers[i].size);
        put_f32(out, s->layers[i].rate);
    }
    for (size_t i = 0; i < s->input.channels; i++) {
        put_f32(out, m->shift[i]);
        put_f32(out, m->scale[i]);
    }
    for (size_t i = 0; i < s->n_params; i++) {
        put_f32(out, m->params[i]);
    }
    if (out->failed == GY_OK) {
        put_u32(out, gy_crc32c(0, out->p + from, out->n - from));
    }
    return gy_buf_check(out, "the weights of the network", err);
}

/* ---- reading ---- */

static gy_status corrupt(struct gy_err *err, const char *what)
{
    return gy_err_set(err, GY_E_CORRUPT, "the weights of the network: %s", what);
}

static gy_status read_spec(struct gy_str b, struct gy_net_spec *s, struct gy_err *err)
{
    size_t n_layers = get_u32(b.p + 12);
    s->input = (struct gy_net_shape){get_u32(b.p + 16), get_u32(b.p + 20), get_u32(b.p + 24)};
    s->head = (enum gy_net_head)get_u32(b.p + 28);
    if (n_layers == 0 || n_layers > GY_NET_MAX_LAYERS ||
        b.n < HEAD_BYTES + n_layers * LAYER_BYTES + CRC_BYTES) {
        return corrupt(err, "too many layers, or the file is cut");
    }
    for (size_t i = 0; i < n_layers; i++) {
        const char *p = b.p + HEAD_BYTES + i * LAYER_BYTES;
        s->layers[s->n_layers++] = (struct gy_net_layer){.kind = (enum gy_net_kind)get_u32(p),
                                                         .units = get_u32(p + 4),
                                                         .size = get_u32(p + 8),
                                                         .rate = get_f32(p + 12)};
    }
    struct gy_err why = GY_ERR_INIT;
    if (gy_net_resolve(s, &why) != GY_OK) {
        return corrupt(err, why.msg);
    }
    return s->n_params == get_u64(b.p + 32) ? GY_OK : corrupt(err, "another number of parameters");
}

static bool get_floats(const char *p, size_t n, size_t stride, float *out)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        out[i] = get_f32(p + i * stride);
        finite = finite && isfinite(out[i]);
    }
    return finite;
}

static gy_status read_numbers(const char *p, struct gy_net_model *m, struct gy_err *err)
{
    size_t channels = m->spec.input.channels;
    if (!isfinite(m->out_shift) || !isfinite(m->out_scale) ||
        !get_floats(p, channels, 8, m->shift) || !get_floats(p + 4, channels, 8, m->scale) ||
        !get_floats(p + 8 * channels, m->spec.n_params, 4, m->params)) {
        return corrupt(err, "a number is not finite");
    }
    return GY_OK;
}

static gy_status check_frame(struct gy_str b, struct gy_err *err)
{
    if (b.n < HEAD_BYTES + CRC_BYTES || memcmp(b.p, MAGIC, sizeof MAGIC) != 0) {
        return corrupt(err, "no such file");
    }
    if (get_u32(b.p + 8) != VERSION) {
        return gy_err_set(err, GY_E_NOTSERVABLE,
                          "weights of version %u: this program reads version %d", get_u32(b.p + 8),
                          VERSION);
    }
    if (gy_crc32c(0, b.p, b.n - CRC_BYTES) != get_u32(b.p + b.n - CRC_BYTES)) {
        return corrupt(err, "damaged (checksum)");
    }
    return GY_OK;
}

gy_status gy_net_model_parse(struct gy_str bytes, struct gy_net_model *ret, struct gy_err *err)
{
    struct gy_net_spec spec = {.n_layers = 0};
    GY_TRY(check_frame(bytes, err));
    GY_TRY(read_spec(bytes, &spec, err));
    size_t numbers = HEAD_BYTES + spec.n_layers * LAYER_BYTES;
    if (bytes.n != numbers + 8 * (size_t)spec.input.channels + 4 * spec.n_params + CRC_BYTES) {
        return corrupt(err, "another length than its layers need");
    }
    GY_AUTO_DONE(gy_net_model_done) struct gy_net_model m = {.shift = NULL};
    GY_TRY(gy_net_model_init(&spec, &m, err));
    m.out_shift = get_f64(bytes.p + 40);
    m.out_scale = get_f64(bytes.p + 48);
    GY_TRY(read_numbers(bytes.p + numbers, &m, err));
    *ret = m;
    m.shift = NULL; /* handed over */
    return GY_OK;
}
