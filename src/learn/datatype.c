/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/datatype.h"

#include <endian.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t size;
    bool whole;
    double min, max; /* max of 64 bits: the largest double that fits */
} types[GY_DATATYPES] = {
    [GY_DATATYPE_BOOL] = {"BOOL", 1, false, 0, 0},
    [GY_DATATYPE_UINT8] = {"UINT8", 1, true, 0, 255},
    [GY_DATATYPE_UINT16] = {"UINT16", 2, true, 0, 65535},
    [GY_DATATYPE_UINT32] = {"UINT32", 4, true, 0, 4294967295},
    [GY_DATATYPE_UINT64] = {"UINT64", 8, true, 0, 0x1p64},
    [GY_DATATYPE_INT8] = {"INT8", 1, true, -128, 127},
    [GY_DATATYPE_INT16] = {"INT16", 2, true, -32768, 32767},
    [GY_DATATYPE_INT32] = {"INT32", 4, true, -0x1p31, 0x1p31 - 1},
    [GY_DATATYPE_INT64] = {"INT64", 8, true, -0x1p63, 0x1p63},
    [GY_DATATYPE_FP16] = {"FP16", 2, false, 0, 0},
    [GY_DATATYPE_BF16] = {"BF16", 2, false, 0, 0},
    [GY_DATATYPE_FP32] = {"FP32", 4, false, 0, 0},
    [GY_DATATYPE_FP64] = {"FP64", 8, false, 0, 0},
    [GY_DATATYPE_BYTES] = {"BYTES", 0, false, 0, 0},
};

const char *gy_datatype_name(enum gy_datatype t)
{
    return types[t].name;
}

bool gy_datatype_parse(struct gy_str name, enum gy_datatype *ret)
{
    for (int i = 0; i < GY_DATATYPES; i++) {
        if (gy_str_eqc(name, types[i].name)) {
            *ret = (enum gy_datatype)i;
            return true;
        }
    }
    return false;
}

size_t gy_datatype_size(enum gy_datatype t)
{
    return types[t].size;
}

bool gy_datatype_range(enum gy_datatype t, double *ret_min, double *ret_max)
{
    *ret_min = types[t].min;
    *ret_max = types[t].max;
    return types[t].whole;
}

bool gy_datatype_has_json(enum gy_datatype t)
{
    return t != GY_DATATYPE_FP16 && t != GY_DATATYPE_BF16;
}

/* ---- floating point of two bytes ---- */

static double half_get(uint16_t h)
{
    int exponent = h >> 10 & 31;
    double m = h & 1023;
    double v = exponent == 31  ? (m > 0 ? NAN : INFINITY)
               : exponent == 0 ? ldexp(m, -24)
                               : ldexp(m + 1024, exponent - 25);
    return h & 0x8000 ? -v : v;
}

/* rint rounds ties to even; a mantissa that becomes too large carries into the exponent. */
static uint16_t half_put(double v)
{
    unsigned sign = signbit(v) ? 0x8000 : 0;
    double a = fabs(v);
    if (isnan(v)) {
        return 0x7e00;
    }
    if (a >= 65520) {
        return (uint16_t)(sign | 0x7c00);
    }
    if (a < 0x1p-14) {
        return (uint16_t)(sign | (unsigned)rint(a * 0x1p24));
    }
    int exponent = 0;
    double fraction = frexp(a, &exponent); /* from 0.5 to 1 */
    unsigned m = (unsigned)rint(fraction * 2048) - 1024;
    return (uint16_t)(sign | (((unsigned)(exponent + 14) << 10) + m));
}

static double brain_get(uint16_t b)
{
    uint32_t bits = (uint32_t)b << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static uint16_t brain_put(double v)
{
    float f = (float)v;
    uint32_t bits;
    if (isnan(v)) {
        return 0x7fc0;
    }
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* ---- elements ---- */

static uint64_t load(const void *from, size_t n)
{
    uint64_t bits = 0;
    memcpy(&bits, from, n);
    return le64toh(bits);
}

static void store(uint64_t bits, size_t n, void *to)
{
    bits = htole64(bits);
    memcpy(to, &bits, n);
}

static double float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

double gy_datatype_get(enum gy_datatype t, const void *from)
{
    uint64_t bits = load(from, types[t].size);
    double d;
    switch (t) {
    case GY_DATATYPE_BOOL:
        return bits ? 1 : 0;
    case GY_DATATYPE_UINT8:
    case GY_DATATYPE_UINT16:
    case GY_DATATYPE_UINT32:
    case GY_DATATYPE_UINT64:
        return (double)bits;
    case GY_DATATYPE_INT8:
        return (double)(int8_t)bits;
    case GY_DATATYPE_INT16:
        return (double)(int16_t)bits;
    case GY_DATATYPE_INT32:
        return (double)(int32_t)bits;
    case GY_DATATYPE_INT64:
        return (double)(int64_t)bits;
    case GY_DATATYPE_FP16:
        return half_get((uint16_t)bits);
    case GY_DATATYPE_BF16:
        return brain_get((uint16_t)bits);
    case GY_DATATYPE_FP32:
        return float_of((uint32_t)bits);
    case GY_DATATYPE_FP64:
        memcpy(&d, &bits, sizeof d);
        return d;
    case GY_DATATYPE_BYTES:
    case GY_DATATYPES:
        break;
    }
    return NAN;
}

void gy_datatype_get_many(enum gy_datatype t, const void *from, size_t n, double *to)
{
    const char *p = from;
    size_t size = types[t].size;
    if (t == GY_DATATYPE_FP32) { /* what clients send: without a look at the type of each */
        for (size_t i = 0; i < n; i++) {
            to[i] = float_of((uint32_t)load(p + i * sizeof(float), sizeof(float)));
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        to[i] = gy_datatype_get(t, p + i * size);
    }
}

static uint64_t whole_bits(enum gy_datatype t, double v)
{
    double whole = isnan(v) ? 0 : fmin(fmax(rint(v), types[t].min), types[t].max);
    if (types[t].min == 0) {
        return whole >= 0x1p64 ? UINT64_MAX : (uint64_t)whole;
    }
    return whole >= 0x1p63 ? INT64_MAX : (uint64_t)(int64_t)whole;
}

void gy_datatype_put(enum gy_datatype t, double v, void *to)
{
    uint64_t bits = 0;
    uint32_t narrow;
    float f = (float)v;
    switch (t) {
    case GY_DATATYPE_BOOL:
        bits = !isnan(v) && v != 0;
        break;
    case GY_DATATYPE_UINT8:
    case GY_DATATYPE_UINT16:
    case GY_DATATYPE_UINT32:
    case GY_DATATYPE_UINT64:
    case GY_DATATYPE_INT8:
    case GY_DATATYPE_INT16:
    case GY_DATATYPE_INT32:
    case GY_DATATYPE_INT64:
        bits = whole_bits(t, v);
        break;
    case GY_DATATYPE_FP16:
        bits = half_put(v);
        break;
    case GY_DATATYPE_BF16:
        bits = brain_put(v);
        break;
    case GY_DATATYPE_FP32:
        memcpy(&narrow, &f, sizeof narrow);
        bits = narrow;
        break;
    case GY_DATATYPE_FP64:
        memcpy(&bits, &v, sizeof bits);
        break;
    case GY_DATATYPE_BYTES:
    case GY_DATATYPES:
        return;
    }
    store(bits, types[t].size, to);
}
