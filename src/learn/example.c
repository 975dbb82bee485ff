/* SPDX-License-Identifier: Apache-2.0 */
#include "learn/example.h"

#include <math.h>

#include "base/json.h"
#include "learn/cells.h"

static bool one_cell(const struct gy_predictor_input *in, yyjson_val *v, double *cells)
{
    char scratch[32];
    struct gy_str text = gy_json_val_str(v);
    if (in->kind == GY_INPUT_IMAGE) {
        memset(cells, 0, in->width * sizeof *cells);
        return true;
    }
    *cells = yyjson_is_num(v) ? yyjson_get_num(v) : NAN;
    if (yyjson_is_num(v) && in->kind == GY_INPUT_TEXT && !isnan(*cells)) {
        text = gy_str_n(scratch, gy_fmt_f64_trim(*cells, scratch));
    }
    return !text.p || in->kind == GY_INPUT_NUMBER ||
           gy_cell_of_text(in, text, cells, NULL) == GY_OK;
}

gy_status gy_example_cells(const struct gy_predictor_info *info, double *cells, struct gy_err *err)
{
    GY_AUTO(gy_json_free) yyjson_doc *doc = NULL;
    GY_TRY(gy_json_parse(info->input_example, &doc, err));
    for (size_t i = 0; i < info->n_inputs; i++) {
        const struct gy_predictor_input *input = &info->inputs[i];
        yyjson_val *v = gy_json_get(yyjson_doc_get_root(doc), input->name.p);
        if (!v) {
            return gy_err_set(err, GY_E_INVALID, "the input example lacks an input");
        }
        if (!one_cell(input, v, cells)) {
            return gy_err_set(err, GY_E_INVALID,
                              "the input example has a text that is no value of its input");
        }
        cells += input->width;
    }
    return GY_OK;
}
