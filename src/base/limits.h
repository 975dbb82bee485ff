/* SPDX-License-Identifier: Apache-2.0 */
/* Every ceiling that more than one room knows. A limit of one room stands in that room's header. */
#ifndef GY_BASE_LIMITS_H
#define GY_BASE_LIMITS_H

#define GY_KIB ((size_t)1024)
#define GY_MIB (1024 * GY_KIB)
#define GY_GIB (1024 * GY_MIB)

#define GY_MAX_PATH 4096                   /* a file path, bytes */
#define GY_MAX_JSON_DEPTH 100              /* nesting of a JSON document from outside */
#define GY_MAX_JSON_BODY (64 * GY_MIB)     /* a JSON body that is parsed in memory */
#define GY_MAX_REPLY (256 * GY_MIB)        /* a reply that is built in memory */
#define GY_MAX_REQUEST_ARENA (64 * GY_MIB) /* memory of one request besides its body */
#define GY_MAX_YAML (4 * GY_MIB)           /* a YAML file */
#define GY_MAX_NAME 250                    /* a name or key of a person's choosing, bytes */
#define GY_MAX_COLUMNS 4096                /* columns of a table */
#define GY_MAX_CSV_RECORD (1 * GY_MIB)     /* csv.record_max */
#define GY_MAX_FEATURES 4096               /* model inputs after feature steps */

#endif
