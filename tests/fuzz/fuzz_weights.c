/* SPDX-License-Identifier: Apache-2.0 */
/* Files of network weights: whatever is accepted must be written back as it was, and answer the
 * same for one row as for five. The checksum is put right first, else nothing passes it. */
#include "base/hash.h"
#include "base/mem.h"
#include "learn/runtime/network.h"

#define MAX_WORK 3e5
#define MAX_SCRATCH ((size_t)8 << 20)
#define ROWS 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_crc(char *bytes, size_t size)
{
    uint32_t crc = gy_crc32c(0, bytes, size - 4);
    for (size_t i = 0; i < 4; i++) {
        bytes[size - 4 + i] = (char)(crc >> (8 * i));
    }
}

static void check_written(const struct gy_net_model *m, struct gy_str bytes)
{
    struct gy_buf b;
    gy_buf_init(&b, GY_NET_MAX_FILE);
    GY_REQUIRE(gy_net_model_write(m, &b, NULL) == GY_OK && b.n == bytes.n);
    struct gy_net_model again = {.shift = NULL};
    GY_REQUIRE(gy_net_model_parse(gy_buf_str(&b), &again, NULL) == GY_OK);
    GY_REQUIRE(memcmp(again.params, m->params, m->spec.n_params * sizeof(float)) == 0);
    gy_net_model_done(&again);
    gy_buf_done(&b);
}

static void check_answers(const struct gy_net_model *m)
{
    void *self = NULL;
    size_t cells = gy_net_cells(m->spec.input), k = m->spec.n_outputs;
    GY_REQUIRE(gy_network_new(m, &self, NULL) == GY_OK);
    size_t need = gy_network_ops.scratch(self, ROWS);
    if (need <= MAX_SCRATCH && gy_net_work_of(&m->spec) <= MAX_WORK) {
        char *scratch = gy_malloc(need ? need : 1);
        double *x = gy_calloc(ROWS * cells + (ROWS + 1) * k, sizeof *x);
        GY_REQUIRE(scratch && x);
        double *many = x + ROWS * cells, *one = many + ROWS * k;
        for (size_t i = 0; i < ROWS * cells; i++) {
            x[i] = (double)(i * 7 % 11) - 5;
        }
        gy_network_ops.run(self, x, ROWS, many, scratch);
        for (size_t r = 0; r < ROWS; r++) {
            gy_network_ops.run(self, x + r * cells, 1, one, scratch);
            for (size_t j = 0; j < k; j++) { /* of NaN only the sign may differ */
                GY_REQUIRE(one[j] == many[r * k + j] ||
                           (one[j] != one[j] && many[r * k + j] != many[r * k + j]));
            }
        }
        gy_free(scratch);
        gy_free(x);
    }
    gy_network_ops.free(self);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = gy_malloc(size);
    struct gy_net_model m = {.shift = NULL};
    struct gy_err err = GY_ERR_INIT;
    GY_REQUIRE(bytes);
    memcpy(bytes, data, size);
    if (size >= 4) {
        put_crc(bytes, size);
    }
    gy_status status = gy_net_model_parse(gy_str_n(bytes, size), &m, &err);
    if (status == GY_OK) {
        check_written(&m, gy_str_n(bytes, size));
        check_answers(&m);
    } else {
        GY_REQUIRE(err.code == status && err.msg[0] && !m.shift);
    }
    gy_net_model_done(&m);
    gy_free(bytes);
    return 0;
}
