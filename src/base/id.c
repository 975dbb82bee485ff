/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#include <errno.h>
#include <math.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/time.h"

gy_status gy_random_bytes(void *p, size_t n, struct gy_err *err)
{
    unsigned char *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return gy_err_sys(err, errno, "the kernel gives no random bytes");
        }
        at += got;
        n -= (size_t)got;
    }
    return GY_OK;
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* xoshiro256**: Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018. */
static uint64_t xoshiro(uint64_t s[4])
{
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The counter has 26 bits: 12 in rand_a, 14 at the head of rand_b. A new millisecond starts it at a
 * random value with the top bit clear (RFC 9562 section 6.2, method 1), which leaves at least 2^25
 * ids for that millisecond. */
#define COUNTER_BITS 26
#define COUNTER_MASK ((1u << COUNTER_BITS) - 1)
#define COUNTER_START_MASK (COUNTER_MASK >> 1)

gy_status gy_uuid_gen_init(struct gy_uuid_gen *g, struct gy_err *err)
{
    memset(g, 0, sizeof *g);
    GY_TRY(gy_random_bytes(g->state, sizeof g->state, err));
    g->state[0] |= 1; /* all zero is the one state that xoshiro can not leave */
    return GY_OK;
}

void gy_uuid7(struct gy_uuid_gen *g, unsigned char out[16])
{
    uint64_t now_ms = (uint64_t)gy_now_us() / 1000;
    uint64_t random = xoshiro(g->state);
    if (now_ms > g->last_ms) {
        g->last_ms = now_ms;
        g->counter = (uint32_t)(xoshiro(g->state) & COUNTER_START_MASK);
    } else if (++g->counter > COUNTER_MASK) {
        /* Exhausted, or the clock went back: borrow from the next millisecond rather than repeat.
         */
        g->last_ms++;
        g->counter = (uint32_t)(xoshiro(g->state) & COUNTER_START_MASK);
    }
    uint64_t ms = g->last_ms;
    for (int i = 0; i < 6; i++) {
        out[i] = (unsigned char)(ms >> (40 - 8 * i));
    }
    uint32_t high = g->counter >> 14;    /* 12 bits */
    uint32_t low = g->counter & 0x3fffu; /* 14 bits */
    out[6] = (unsigned char)(0x70 | high >> 8);
    out[7] = (unsigned char)high;
    out[8] = (unsigned char)(0x80 | low >> 8);
    out[9] = (unsigned char)low;
    for (int i = 0; i < 6; i++) {
        out[10 + i] = (unsigned char)(random >> (56 - 8 * i));
    }
}

void gy_uuid_text(const unsigned char uuid[16], char out[GY_UUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            out[at++] = '-';
        }
        out[at++] = digits[uuid[i] >> 4];
        out[at++] = digits[uuid[i] & 15];
    }
    out[at] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

gy_status gy_uuid_parse(struct gy_str text, unsigned char out[16], struct gy_err *err)
{
    bool good = text.n == GY_UUID_TEXT - 1;
    size_t n = 0;
    for (size_t i = 0; good && i < text.n;) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            good = text.p[i] == '-';
            i++;
            continue;
        }
        int high = hex_value(text.p[i]);
        int low = hex_value(text.p[i + 1]);
        good = high >= 0 && low >= 0;
        if (good) {
            out[n++] = (unsigned char)(high << 4 | low);
        }
        i += 2;
    }
    return good ? GY_OK
                : gy_err_set(err, GY_E_INVALID, "'%" GY_STR_F "' is not a UUID", GY_STR_A(text));
}

static _Thread_local struct gy_uuid_gen tl_gen;
static _Thread_local pid_t tl_gen_pid; /* a forked child must not repeat its parent's ids */

gy_status gy_new_id(char out[GY_UUID_TEXT], struct gy_err *err)
{
    pid_t self = getpid();
    if (tl_gen_pid != self) {
        GY_TRY(gy_uuid_gen_init(&tl_gen, err));
        tl_gen_pid = self;
    }
    unsigned char raw[16];
    gy_uuid7(&tl_gen, raw);
    gy_uuid_text(raw, out);
    return GY_OK;
}

gy_status gy_new_hex32(char out[33], struct gy_err *err)
{
    unsigned char raw[16];
    GY_TRY(gy_random_bytes(raw, sizeof raw, err));
    gy_hex(raw, sizeof raw, out);
    return GY_OK;
}

void gy_rng_init(struct gy_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        r->s[i] = splitmix(&seed);
    }
}

void gy_rng_init_stream(struct gy_rng *r, uint64_t seed, uint64_t index)
{
    /* Both are mixed before they meet, so that (seed, index) and (seed + 1, index - 1) share
     * nothing. */
    uint64_t a = seed;
    uint64_t b = ~index;
    uint64_t state = splitmix(&a) ^ rotl(splitmix(&b), 32);
    gy_rng_init(r, state);
}

uint64_t gy_rng_u64(struct gy_rng *r)
{
    return xoshiro(r->s);
}

double gy_rng_f64(struct gy_rng *r)
{
    return (double)(xoshiro(r->s) >> 11) * 0x1p-53;
}

uint64_t gy_rng_below(struct gy_rng *r, uint64_t n)
{
    GY_REQUIRE(n > 0);
    /* Lemire, "Fast random integer generation in an interval", 2019. */
    __extension__ typedef unsigned __int128 u128;
    u128 m = (u128)xoshiro(r->s) * n;
    if ((uint64_t)m < n) {
        uint64_t threshold = -n % n;
        while ((uint64_t)m < threshold) {
            m = (u128)xoshiro(r->s) * n;
        }
    }
    return (uint64_t)(m >> 64);
}

double gy_rng_normal(struct gy_rng *r)
{
    for (;;) {
        double u = 2 * gy_rng_f64(r) - 1;
        double v = 2 * gy_rng_f64(r) - 1;
        double s = u * u + v * v;
        if (s > 0 && s < 1) {
            return u * sqrt(-2 * log(s) / s);
        }
    }
}
