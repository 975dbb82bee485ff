/* SPDX-License-Identifier: Apache-2.0 */
/* cnn: a small convolutional network (LeCun et al. 1998): convolutions with relu, a max-pool after
 * each, then dense layers. It learns from pictures: one image input, or columns that a setting says
 * are the cells of one. */
#include "learn/learners/network.h"

#include "learn/network/weights.h"
#include "learn/picture.h"

#define MAX_CONVOLUTIONS 16

static gy_status bad_shape(const struct gy_fit *f, struct gy_err *err)
{
    (void)gy_err_set(err, GY_E_INVALID,
                     "the learner 'cnn' needs pictures, and got %zu features that are none",
                     f->n_features);
    return gy_err_hint(err, "give it one image column, or say what the columns are: "
                            "train: {cnn: {shape: 8x8x1}} (width x height x channels)");
}

/* "8x8" or "8x8x3" */
static gy_status read_shape(const struct gy_fit *f, struct gy_str text, struct gy_net_shape *ret,
                            struct gy_err *err)
{
    int64_t sides[3] = {0, 0, 1};
    struct gy_str rest = text, piece;
    size_t n = 0;
    while (n < 3 && gy_str_next(&rest, 'x', &piece)) {
        if (gy_parse_i64(piece, 1, GY_NET_MAX_SIDE, &sides[n++], NULL) != GY_OK) {
            n = 9;
        }
    }
    if (n < 2 || n > 3 || rest.p || (size_t)(sides[0] * sides[1] * sides[2]) != f->n_features) {
        (void)gy_err_set(err, GY_E_INVALID,
                         "shape '%" GY_STR_F "' is not width x height x channels of %zu features",
                         GY_STR_A(text), f->n_features);
        return gy_err_hint(err, "for 64 columns: shape: 8x8x1");
    }
    *ret = (struct gy_net_shape){(uint32_t)sides[0], (uint32_t)sides[1], (uint32_t)sides[2]};
    return GY_OK;
}

static gy_status shape_of(const struct gy_fit *f, struct gy_net_shape *ret, struct gy_err *err)
{
    struct gy_str text = gy_setting_text(f->settings, "shape");
    const struct gy_predictor_input *in = f->m->inputs;
    if (text.p) {
        return read_shape(f, text, ret, err);
    }
    if (f->m->n_inputs != 1 || in->kind != GY_INPUT_IMAGE || in->width != f->n_features) {
        return bad_shape(f, err);
    }
    *ret = (struct gy_net_shape){in->image_width, in->image_height, in->image_channels};
    return GY_OK;
}

/* "32" or "32x5": channels, and the side of the kernel */
static gy_status read_convolution(struct gy_str item, struct gy_net_layer *ret, struct gy_err *err)
{
    struct gy_str head = item, tail = GY_STR_NULL;
    int64_t units = 0, size = 3;
    bool two = gy_str_cut(item, 'x', &head, &tail);
    if (gy_parse_i64(head, 1, GY_NET_MAX_UNITS, &units, NULL) != GY_OK ||
        (two && gy_parse_i64(tail, 1, GY_NET_MAX_KERNEL, &size, NULL) != GY_OK) || size % 2 == 0) {
        (void)gy_err_set(err, GY_E_INVALID, "conv: '%" GY_STR_F "' is no convolution",
                         GY_STR_A(item));
        return gy_err_hint(err, "write channels, or channels x an odd kernel: conv: [32, 64x5]");
    }
    *ret = (struct gy_net_layer){
        .kind = GY_NET_CONV, .units = (uint32_t)units, .size = (uint32_t)size};
    return GY_OK;
}

/* A pool only where the picture is large enough for one. */
static gy_status add_convolutions(const struct gy_fit *f, struct gy_net_spec *spec,
                                  struct gy_err *err)
{
    struct gy_str list = gy_setting_text(f->settings, "conv"), item;
    uint32_t pool = (uint32_t)gy_setting_whole(f->settings, "pool");
    uint32_t width = spec->input.width, height = spec->input.height;
    for (size_t n = 0; gy_setting_next(&list, &item); n++) {
        struct gy_net_layer layer;
        if (n == MAX_CONVOLUTIONS) {
            return gy_err_set(err, GY_E_INVALID, "conv has more than %d convolutions",
                              MAX_CONVOLUTIONS);
        }
        GY_TRY(read_convolution(item, &layer, err));
        GY_TRY(gy_net_add(spec, layer, err));
        GY_TRY(gy_net_add(spec, (struct gy_net_layer){.kind = GY_NET_RELU}, err));
        if (pool > 1 && width >= pool && height >= pool) {
            layer = (struct gy_net_layer){.kind = GY_NET_POOL, .size = pool};
            GY_TRY(gy_net_add(spec, layer, err));
            width /= pool;
            height /= pool;
        }
    }
    return GY_OK;
}

static gy_status read_augment(const struct gy_fit *f, unsigned *ret, struct gy_err *err)
{
    static const struct {
        const char *name;
        unsigned bit;
    } kinds[] = {{"flip", GY_AUGMENT_FLIP},
                 {"rotate", GY_AUGMENT_ROTATE},
                 {"shift", GY_AUGMENT_SHIFT},
                 {"none", 0}};
    struct gy_str list = gy_setting_text(f->settings, "augment"), item;
    while (gy_setting_next(&list, &item)) {
        size_t k = 0;
        while (k < sizeof kinds / sizeof *kinds && !gy_str_eqc(item, kinds[k].name)) {
            k++;
        }
        if (k == sizeof kinds / sizeof *kinds) {
            return gy_err_set(err, GY_E_INVALID,
                              "augment: '%" GY_STR_F "' is not one of flip, rotate, shift, none",
                              GY_STR_A(item));
        }
        *ret |= kinds[k].bit;
    }
    return GY_OK;
}

static gy_status fit(struct gy_fit *f, struct gy_err *err)
{
    struct gy_net_spec spec = {.n_layers = 0};
    unsigned augment = 0;
    GY_TRY(read_augment(f, &augment, err));
    GY_TRY(shape_of(f, &spec.input, err));
    GY_TRY(add_convolutions(f, &spec, err));
    GY_TRY(gy_network_dense(f, "layers", &spec, err));
    return gy_network_fit(f, &spec, augment, true, err);
}

static const struct gy_setting_spec g_settings[] = {
    {"conv", GY_SETTING_LIST, 0, 0, "16\n32", NULL,
     "channels of each convolution, \"32x5\": with a kernel of 5 x 5 (else 3 x 3)"},
    {"pool", GY_SETTING_WHOLE, 1, 8, "2", NULL, "side of the max-pool after each; 1: none"},
    {"layers", GY_SETTING_LIST, 1, GY_NET_MAX_UNITS, "64", NULL, "units of each dense layer"},
    {"shape", GY_SETTING_TEXT, 0, 0, NULL, NULL,
     "width x height x channels of columns that are a picture's cells: 8x8x1"},
    {"augment", GY_SETTING_LIST, 0, 0, NULL, NULL,
     "changes of training pictures: flip, rotate, shift"},
    GY_NETWORK_SETTINGS("0.2", "100", "10"),
    {0}};

const struct gy_learner_ops gy_learner_cnn = {.version = 1,
                                              .name = "cnn",
                                              .summary = "a small convolutional neural network",
                                              .tasks = GY_TASKS_ALL,
                                              .complete = true,
                                              .scaled = false,
                                              .file = GY_NET_FILE,
                                              .settings = g_settings,
                                              .rounds = gy_network_rounds,
                                              .fit = fit,
                                              .check = gy_network_check,
                                              .load = gy_network_load};
