/* SPDX-License-Identifier: Apache-2.0 */
/* The digest that DVC writes over the stage of a .dvc file with dependencies. Pure. */
#ifndef GY_DATA_DVC_STAGE_MD5_H
#define GY_DATA_DVC_STAGE_MD5_H

#include "base/hash.h"
#include "base/yaml.h"

/* MD5 of the stage as Python's JSON with sorted keys, without what says nothing of where data comes
 * from (sizes, descriptions, ...). Fails: UNSUPPORTED (a number that is no integer), NOMEM. */
GY_CHECKED gy_status gy_dvc_stage_md5(const struct gy_yaml_node *stage, char ret[GY_MD5_HEX],
                                      struct gy_err *err);

#endif
